"""Codes as fulfillment's tables keep them: sealed, and recognised by a digest that tells nothing without its key.

The digests' key is random, made once for each database and itself sealed: it stays the same when the keys of the
settings rotate, so that a code is recognised for ever.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

DIGEST_BYTES = 16
"""Of HMAC-SHA256: two of a billion codes are taken for the same with a probability of 10^-21."""
_NAME = "codes"
_ABOUT_KEY = "key of codes"
_READ = sa.text("select sealed from vault_keys where name = :name")
_MAKE = sa.text("insert into vault_keys (name, sealed) values (:name, :sealed) on conflict do nothing")


class Seals(Protocol):
    """What makes text unreadable without the keys of the settings. See `shared/shell/sealing.py`."""

    def seal(self, text: str, about: str) -> bytes:
        """`about` is bound to it."""
        ...

    def open(self, sealed: bytes, about: str) -> str: ...


class CodeVault:
    def __init__(self, seals: Seals) -> None:
        self._seals = seals
        self._key: bytes | None = None

    async def unlock(self, connection: AsyncConnection) -> None:
        """Reads the key of digests, or makes it. Before anything else."""
        if self._key is None:
            found = (await connection.execute(_READ, {"name": _NAME})).scalar_one_or_none()
            if found is None:
                made = self._seals.seal(secrets.token_hex(32), _ABOUT_KEY)
                await connection.execute(_MAKE, {"name": _NAME, "sealed": made})
                found = (await connection.execute(_READ, {"name": _NAME})).scalar_one()
            self._key = bytes.fromhex(self._seals.open(found, _ABOUT_KEY))

    def forget(self) -> None:
        """The key of digests: its transaction was rolled back."""
        self._key = None

    def digest(self, code: str) -> bytes:
        assert self._key is not None, "unlock it first"
        return hmac.digest(self._key, code.encode(), "sha256")[:DIGEST_BYTES]

    def seal(self, code: str, pool: str) -> bytes:
        """`pool`: key, `<store>/<pool>`."""
        return self._seals.seal(code, _about(pool))

    def open(self, sealed: bytes, pool: str) -> str:
        return self._seals.open(sealed, _about(pool))


def _about(pool: str) -> str:
    return f"code {pool}"
