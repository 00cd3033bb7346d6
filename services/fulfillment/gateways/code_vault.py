"""Codes as fulfillment's tables keep them: sealed, and recognised by a digest that tells nothing without its key.

The digests' key is random, made once for each database and itself sealed: it stays the same when the keys of the
settings rotate, so that a code is recognised for ever.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.settings import name_of
from shared.shell.sealer import CannotOpen

DATA_KEYS = name_of(("fulfillment", "data_keys"))
LOST_KEY = (
    f"Put the key that sealed it among {DATA_KEYS} again. If it is lost for good, import the pool's file again; if "
    "that is refused, too, stop fulfillment and run `orderbus reclaim-codes --forget-lost-key`."
)
DIGEST_BYTES = 16
"""Of HMAC-SHA256: two of a billion codes are taken for the same with a probability of 10^-21."""
HEAD_BYTES = 5
"""Of what is sealed: its format, and the name of its key."""
AT_A_TIME = 1000
_NAME = "codes"
_ABOUT_KEY = "key of codes"
_READ = sa.text("select sealed from vault_keys where name = :name")
_MAKE = sa.text("insert into vault_keys (name, sealed) values (:name, :sealed) on conflict do nothing")
_OLD_KEYS = sa.text("select name, sealed from vault_keys where substr(sealed, 1, :bytes) <> :head for update")
_SEAL_KEY = sa.text("update vault_keys set sealed = :new where name = :name")
_OLD = sa.text("""
    select key, digest, sealed from sealed_codes
    where substr(sealed, 1, :bytes) <> :head and (key, digest) > (:key, :digest)
    order by key, digest limit :limit for update skip locked
""")
_SEAL = sa.text("update sealed_codes set sealed = :new where key = :key and digest = :digest")
log = structlog.get_logger(__name__)


class Seals(Protocol):
    """What makes text unreadable without the keys of the settings. See `shared/shell/sealer.py`."""

    def seal(self, text: str, about: str) -> bytes:
        """`about` is bound to it."""
        ...

    def open(self, sealed: bytes, about: str) -> str:
        """Raises CannotOpen."""
        ...


class CodeVault:
    def __init__(self, seals: Seals) -> None:
        self._seals = seals
        self.head = seals.seal("", "")[:HEAD_BYTES]
        """What is sealed with the newest key begins so."""
        self._key: bytes | None = None
        self._is_new = False

    async def unlock(self, connection: AsyncConnection) -> None:
        """Reads the key of digests, or makes it. Before anything else in a transaction, with which a new key is lost
        when it is rolled back: so it is read again until it is found there."""
        if self._key is None or self._is_new:
            found = (await connection.execute(_READ, {"name": _NAME})).scalar_one_or_none()
            self._is_new = found is None
            if found is None:
                made = self._seals.seal(secrets.token_hex(32), _ABOUT_KEY)
                await connection.execute(_MAKE, {"name": _NAME, "sealed": made})
                found = (await connection.execute(_READ, {"name": _NAME})).scalar_one()
            self._key = bytes.fromhex(self._seals.open(found, _ABOUT_KEY))

    def digest(self, code: str) -> bytes:
        assert self._key is not None, "unlock it first"
        return hmac.digest(self._key, code.encode(), "sha256")[:DIGEST_BYTES]

    def seal(self, code: str, pool: str) -> bytes:
        """`pool`: key, `<store>/<pool>`."""
        return self._seals.seal(code, _about(pool))

    def open(self, sealed: bytes, pool: str) -> str:
        return self._seals.open(sealed, _about(pool))

    def can_open(self, sealed: bytes, pool: str) -> bool:
        try:
            self.open(sealed, pool)
        except CannotOpen:
            return False
        return True

    def again(self, sealed: bytes, about: str) -> bytes:
        """With the newest key. Raises CannotOpen."""
        return self._seals.seal(self._seals.open(sealed, about), about)


class SealingAgain:
    """Upkeep: seals with the newest key what an older one has sealed, so that this one can be removed. What no key
    opens stays as it is."""

    def __init__(self, engine: AsyncEngine, vault: CodeVault) -> None:
        self._engine, self._vault = engine, vault

    async def __call__(self, now: datetime) -> None:
        head: dict[str, object] = {"bytes": HEAD_BYTES, "head": self._vault.head}
        done = unread = 0
        async with self._engine.begin() as connection:
            for row in (await connection.execute(_OLD_KEYS, head)).all():
                if new := self._again(row.sealed, _ABOUT_KEY):
                    await connection.execute(_SEAL_KEY, {"name": row.name, "new": new})
                else:
                    unread += 1
        place: dict[str, object] = {"key": "", "digest": b""}
        while place:
            async with self._engine.begin() as connection:
                rows = (await connection.execute(_OLD, head | place | {"limit": AT_A_TIME})).all()
                again = [(row, self._again(row.sealed, _about(row.key))) for row in rows]
                changed = [{"key": row.key, "digest": row.digest, "new": new} for row, new in again if new]
                if changed:
                    await connection.execute(_SEAL, changed)
            done, unread = done + len(changed), unread + len(rows) - len(changed)
            place = {"key": rows[-1].key, "digest": rows[-1].digest} if rows else {}
        if done:
            log.info("codes sealed again with the newest key", codes=done)
        if unread:
            remedy = f"put the key that sealed them among {DATA_KEYS} again; if it is lost, import their file again"
            log.error("codes cannot be opened", codes=unread, remedy=remedy)

    def _again(self, sealed: bytes, about: str) -> bytes | None:
        try:
            return self._vault.again(sealed, about)
        except CannotOpen:
            return None


def _about(pool: str) -> str:
    return f"code {pool}"
