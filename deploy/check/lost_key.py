"""A data key that is lost for good: codes that it sealed can be neither read nor recognised any more.

They are removed, and a new key of digests is made. Those that customers have are remembered again, as their topic and
the deliveries tell them: the topic is kept for days only. Those that were free come back with their files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.gateways.code_vault import CodeVault
from shared.shell.sealer import CannotOpen

_LOCK = sa.text("lock table sealed_codes in share row exclusive mode")
_FORGET = sa.text("delete from vault_keys where name = 'codes'")
_TAKEN = sa.text("""
    select key, order_key, item, count(*) as codes from sealed_codes where order_key is not null
    group by key, order_key, item
""")
_GIVEN = sa.text("""
    select d.key as order_key, item ->> 'id' as item, given ->> 'code' as code, given -> 'codes' as codes
    from deliveries d, jsonb_array_elements(d.data -> 'items') item,
        jsonb_array_elements(jsonb_build_array(item -> 'instructions') || coalesce(item -> 'attached', '[]')) given
    where d.key in (select order_key from sealed_codes) and given ->> 'kind' = 'code'
""")
_REMOVE = sa.text("delete from sealed_codes returning key, order_key is null as free")


class NothingLost(Exception):
    """The key of digests can be read."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    removed: Mapping[str, int] = field(default_factory=dict)
    """Free codes, by pool."""
    pools: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)
    """By order and item: of codes that were taken, with the key of no pool where staff typed some."""
    taken: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How many codes, by order and item."""
    given: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """Codes as the deliveries of orders show them: what each item was given last."""


async def forget_lost_key(connection: AsyncConnection, vault: CodeVault) -> Forgotten:
    """While fulfillment is stopped, and once only. In the transaction that remembers codes of customers again: what
    breaks off leaves everything as it was. Raises NothingLost."""
    try:
        await vault.unlock(connection)
    except CannotOpen:
        await connection.execute(_LOCK)
        pools: dict[tuple[str, str], set[str]] = {}
        taken = Counter[tuple[str, str]]()
        for row in await connection.execute(_TAKEN):
            pools.setdefault((row.order_key, row.item), set()).add(row.key)
            taken[row.order_key, row.item] += row.codes
        given: dict[tuple[str, str], list[str]] = {}
        for row in await connection.execute(_GIVEN):
            codes = row.codes or ([row.code] if row.code else [])
            given.setdefault((row.order_key, row.item), []).extend(codes)
        await connection.execute(_FORGET)
        removed = Counter(row.key for row in await connection.execute(_REMOVE) if row.free)
        await vault.unlock(connection)
        return Forgotten(dict(removed), pools, taken, given)
    raise NothingLost
