"""A data key that is lost for good: codes that it sealed can be neither read nor recognised any more.

They are removed, and a new key of digests is made. Those that customers have are remembered again, as their topic tells
them; those that were free come back with their files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.gateways.code_vault import CodeVault
from shared.shell.sealer import CannotOpen

_LOCK = sa.text("lock table sealed_codes in share row exclusive mode")
_FORGET = sa.text("delete from vault_keys where name = 'codes'")
_TAKEN = sa.text("select distinct key, order_key, item from sealed_codes where order_key is not null")
_REMOVE = sa.text("delete from sealed_codes returning key, order_key is null as free")


class NothingLost(Exception):
    """The key of digests can be read."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    removed: Mapping[str, int] = field(default_factory=dict)
    """Free codes, by pool."""
    pools: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)
    """By order and item: of codes that were taken, with the key of no pool where staff typed some."""


async def forget_lost_key(engine: AsyncEngine, vault: CodeVault) -> Forgotten:
    """While fulfillment is stopped, and once only. Raises NothingLost."""
    async with engine.begin() as connection:
        try:
            await vault.unlock(connection)
        except CannotOpen:
            await connection.execute(_LOCK)
            await connection.execute(_FORGET)
            taken: dict[tuple[str, str], set[str]] = {}
            for row in await connection.execute(_TAKEN):
                taken.setdefault((row.order_key, row.item), set()).add(row.key)
            removed = Counter(row.key for row in await connection.execute(_REMOVE) if row.free)
            await vault.unlock(connection)
            return Forgotten(dict(removed), taken)
    raise NothingLost
