"""Codes that change every half minute (RFC 6238): six digits, SHA-1, as all authenticator apps have them."""

from __future__ import annotations

import base64
import hmac

STEP = 30
"""Seconds."""
DIGITS = 6
DRIFT = 1
"""Steps by which a phone's clock may be early or late."""


def code_at(secret: bytes, step: int) -> str:
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_step(secret: bytes, code: str, seconds: float, used: int) -> int | None:
    """The step whose code it is, later than the one that was used last; None: it is none, or was used."""
    now = int(seconds) // STEP
    found = None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > used:
            found = step
    return found


def key_of(secret: bytes) -> str:
    """The secret as it is typed into an app."""
    return base64.b32encode(secret).decode().rstrip("=")
