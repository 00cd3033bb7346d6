"""Codes in clear, as builds before sealing kept them: taken first while there are some, and sealed by and by.

Order of an update: migrate, roll out, add codes only when no worker of an older build runs any more. An older worker
does not see sealed codes: an order that it serves waits, and rechecks the pool half a minute later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.fulfillment.domain.operations import TakeCode
from services.fulfillment.gateways.code_vault import DATA_KEYS, CodeVault
from shared.shell.sealer import CannotOpen

AT_A_TIME = 1000
BUILDS_MIX = timedelta(minutes=50)
"""So long after its start a worker leaves the codes in clear, which workers of an older build can give out."""
CLEAR_LEFT = sa.text("select exists (select from codes where key = :pool)")
_LOCK_ITEM = sa.text("select pg_advisory_xact_lock(hashtextextended(:order || ' ' || :item, 15))")
_MINE = sa.text("""
    select code, null as sealed, unit from codes where key = :pool and order_key = :order and item = :item
    union all
    select null, sealed, unit from sealed_codes where key = :pool and order_key = :order and item = :item
    order by unit
""")
_FREE_CLEAR = sa.text("""
    select code from codes where key = :pool and order_key is null order by number limit :count for update skip locked
""")
_FREE = sa.text("""
    select digest, sealed from sealed_codes where key = :pool and order_key is null
    order by number limit :count for update skip locked
""")
_SEALED = sa.text("""
    select digest from sealed_codes where key in (:pool, '', :no_pool) and digest = any(cast(:digests as bytea[]))
""").bindparams(sa.bindparam("digests", type_=postgresql.ARRAY(sa.LargeBinary)))
_TAKE_CLEAR = sa.text("""
    update codes set order_key = :order, item = :item, unit = u.n, taken_at = clock_timestamp()
    from unnest(cast(:codes as text[])) with ordinality as u(code, n)
    where codes.key = :pool and codes.code = u.code
""").bindparams(sa.bindparam("codes", type_=postgresql.ARRAY(sa.Text)))
_TAKE_SEALED = sa.text("""
    update sealed_codes c set order_key = :order, item = :item, unit = u.n + :before, taken_at = clock_timestamp()
    from unnest(cast(:digests as bytea[])) with ordinality as u(digest, n)
    where c.key = :pool and c.digest = u.digest
""").bindparams(
    sa.bindparam("digests", type_=postgresql.ARRAY(sa.LargeBinary)), sa.bindparam("before", type_=sa.BigInteger)
)
_RETURN_CLEAR = sa.text("""
    update codes set order_key = null, item = null, unit = null, taken_at = null
    where key = :pool and order_key = :order and item = :item
""")
_KNOWN = sa.text(
    "select code, order_key is null as free from codes where key = :pool and code = any(cast(:codes as text[]))"
).bindparams(sa.bindparam("codes", type_=postgresql.ARRAY(sa.Text)))
_DELETE = sa.text(
    "delete from codes where key = :pool and code = any(cast(:codes as text[])) and order_key is null"
).bindparams(sa.bindparam("codes", type_=postgresql.ARRAY(sa.Text)))
_NEXT = [
    sa.text(f"""
        select key, code, batch, order_key, item, unit, taken_at from codes where {which} limit :limit
        for update skip locked
    """)
    for which in ("order_key is null order by key, number", "order_key is not null order by key, code")
]
"""Free ones in their order, then those that are taken."""
_INSERT = sa.text("""
    insert into sealed_codes (key, digest, sealed, batch, order_key, item, unit, taken_at)
    values (:key, :digest, :sealed, :batch, :order_key, :item, :unit, :taken_at)
    on conflict (key, digest) do update set order_key = coalesce(sealed_codes.order_key, excluded.order_key),
        item = coalesce(sealed_codes.item, excluded.item), unit = coalesce(sealed_codes.unit, excluded.unit),
        taken_at = coalesce(sealed_codes.taken_at, excluded.taken_at)
""")
_REMOVE = sa.text("delete from codes where key = :key and code = :code")
log = structlog.get_logger(__name__)


async def take_also_clear(connection: AsyncConnection, vault: CodeVault, take: TakeCode) -> tuple[str, ...]:
    """Those of the item already, or else as many as are needed, those in clear first; none if there are too few."""
    place = {"pool": take.pool, "order": take.order, "item": take.item}
    await connection.execute(_LOCK_ITEM, place)
    mine = (await connection.execute(_MINE, place)).all()
    if mine:
        return tuple(row.code if row.code is not None else vault.open(row.sealed, take.pool) for row in mine)
    found = await connection.execute(_FREE_CLEAR, {"pool": take.pool, "count": take.quantity})
    clear = [row.code for row in found]
    if repeated := await _sealed_already(connection, vault, take.pool, clear):
        await remove_clear(connection, take.pool, repeated)
        return await take_also_clear(connection, vault, take)
    found = await connection.execute(_FREE, {"pool": take.pool, "count": take.quantity - len(clear)})
    sealed = found.all()
    if len(clear) + len(sealed) < take.quantity:
        return ()
    await connection.execute(_TAKE_CLEAR, place | {"codes": clear})
    digests = [row.digest for row in sealed]
    await connection.execute(_TAKE_SEALED, place | {"digests": digests, "before": len(clear)})
    return (*clear, *(vault.open(row.sealed, take.pool) for row in sealed))


async def _sealed_already(
    connection: AsyncConnection, vault: CodeVault, pool: str, codes: Sequence[str]
) -> Sequence[str]:
    """Those that the pool has sealed, too, or that a customer has: an older worker has added them once more."""
    digests = {vault.digest(code): code for code in codes}
    store = pool.partition("/")[0] + "/"
    found = await connection.execute(_SEALED, {"pool": pool, "no_pool": store, "digests": [*digests]})
    return [digests[row.digest] for row in found]


async def clear_of(connection: AsyncConnection, pool: str, order: str, item: str) -> None:
    """Return an item's codes in clear to the pool."""
    await connection.execute(_RETURN_CLEAR, {"pool": pool, "order": order, "item": item})


async def known_in_clear(connection: AsyncConnection, pool: str, codes: Sequence[str]) -> Mapping[str, bool]:
    """Those that the pool has in clear, and whether they are free."""
    if not (await connection.execute(CLEAR_LEFT, {"pool": pool})).scalar_one():
        return {}
    rows = await connection.execute(_KNOWN, {"pool": pool, "codes": list(codes)})
    return {row.code: row.free for row in rows}


async def remove_clear(connection: AsyncConnection, pool: str, codes: Sequence[str]) -> None:
    """Free ones: they are sealed from now on."""
    if codes:
        await connection.execute(_DELETE, {"pool": pool, "codes": list(codes)})


async def seal_clear_codes(engine: AsyncEngine, vault: CodeVault) -> int:
    """Seal all codes in clear, free or taken, some at a time. Returns how many."""
    sealed = 0
    for following in _NEXT:
        while some := await _seal_some(engine, vault, following):
            sealed += some
    return sealed


async def _seal_some(engine: AsyncEngine, vault: CodeVault, following: sa.TextClause) -> int:
    async with engine.begin() as connection:
        await vault.unlock(connection)
        rows = (await connection.execute(following, {"limit": AT_A_TIME})).mappings().all()
        if rows:
            values = [
                {**row, "digest": vault.digest(row["code"]), "sealed": vault.seal(row["code"], row["key"])}
                for row in rows
            ]
            await connection.execute(_INSERT, values)
            await connection.execute(_REMOVE, [{"key": row["key"], "code": row["code"]} for row in rows])
    return len(rows)


class SealingOfClearCodes:
    """Upkeep: seals what an older build left in clear, once its workers have ended."""

    def __init__(self, engine: AsyncEngine, vault: CodeVault) -> None:
        self._engine, self._vault = engine, vault
        self._started: datetime | None = None

    async def __call__(self, now: datetime) -> None:
        self._started = self._started or now
        if now - self._started >= BUILDS_MIX:
            try:
                sealed = await seal_clear_codes(self._engine, self._vault)
            except CannotOpen as trouble:
                log.error("codes cannot be sealed", reason=str(trouble), remedy=f"put the former key among {DATA_KEYS}")
                return
            if sealed:
                log.info("codes sealed", codes=sealed)
