"""What makes text unreadable, for tests: backwards."""

from __future__ import annotations


class Seals:
    def seal(self, text: str, about: str) -> bytes:
        return f"{about}|{text[::-1]}".encode()

    def open(self, sealed: bytes, about: str) -> str:
        bound, _, text = sealed.decode().partition("|")
        assert bound == about
        return text[::-1]
