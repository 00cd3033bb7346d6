"""Texts that databases and backups must not show: sealed with AES-256-GCM (NIST SP 800-38D), keys that rotate."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = b"\x01"
_NAME, _NONCE = 4, 12
"""Bytes: of what tells which key sealed it, and of the nonce (96 bits at random: at most 2^32 texts for each key)."""


class CannotOpen(Exception):
    """It was sealed with a key that is not among ours, for something else, or was changed. Says nothing of the text."""


class Sealer:
    """The first key seals, all of them open: to rotate, put a new one in front, and remove the old one when nothing is
    sealed with it any more.

    `about` is bound to what is sealed (`secret acme/rcon`): moved elsewhere, it cannot be opened.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        derived = [hashlib.sha256(b"orderbus sealing\x00" + key.encode()).digest() for key in keys]
        self._ciphers = {_name_of(key): AESGCM(key) for key in reversed(derived)}
        self._name = _name_of(derived[0])
        self._head = _FORMAT + self._name
        self._cipher = self._ciphers[self._name]

    def seal(self, text: str, about: str) -> bytes:
        """Another result each time."""
        nonce = os.urandom(_NONCE)
        return self._head + nonce + self._cipher.encrypt(nonce, text.encode(), about.encode())

    def open(self, sealed: bytes, about: str) -> str:
        """Raises CannotOpen."""
        start = len(_FORMAT) + _NAME
        cipher = self._ciphers.get(sealed[len(_FORMAT) : start]) if sealed.startswith(_FORMAT) else None
        if cipher is None:
            raise CannotOpen("it is sealed with a key that is not among the data keys")
        try:
            return cipher.decrypt(sealed[start : start + _NONCE], sealed[start + _NONCE :], about.encode()).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen("it was changed, or belongs elsewhere") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether the first key sealed it; others are to be sealed again before their key is removed."""
        return sealed.startswith(self._head)


def _name_of(key: bytes) -> bytes:
    return hashlib.sha256(b"name\x00" + key).digest()[:_NAME]
