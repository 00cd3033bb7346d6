"""Pools of codes, in the service's own database. Each operation is one transaction, safe to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    CountCodes,
    GiveCodes,
    ReturnCodes,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.gateways.clear_codes import (
    CLEAR_LEFT,
    clear_of,
    known_in_clear,
    remove_clear,
    take_also_clear,
)
from services.fulfillment.gateways.code_claims import CodeClaims
from services.fulfillment.gateways.code_vault import LOST_KEY, CodeVault
from services.fulfillment.gateways.low_marks import MARK, TOLD, LowMarks
from shared.core import NoOutcome, NotDone, OperatorFault, Outcome, Retry
from shared.shell.sealer import CannotOpen

PoolCall = TakeCode | ReturnCodes | StoreCodes | GiveCodes | CountCodes
# Those of the item already, or else exactly as many as are needed, of those that no other call is taking right now.
# Two at once for one item collide on the unique (key, order_key, item, unit); the loser is retried and finds them.
_TAKE = sa.text(f"""
    with mine as (
        select digest, sealed, unit, number from sealed_codes where key = :pool and order_key = :order and item = :item
    ), free as (
        select digest from sealed_codes where key = :pool and order_key is null and not exists (select from mine)
        order by number limit :quantity for update skip locked
    ), numbered as (
        select digest, row_number() over () as unit, count(*) over () as found from free
    ), taken as (
        update sealed_codes c set order_key = :order, item = :item, unit = numbered.unit, taken_at = clock_timestamp()
        from numbered
        where c.key = :pool and c.digest = numbered.digest and numbered.found = :quantity
        returning c.sealed, c.unit, c.number
    )
    select sealed, unit, number, {MARK} as low, {TOLD} as told from (
        select sealed, unit, number from mine union all select sealed, unit, number from taken
    ) given order by unit
""").bindparams(sa.bindparam("quantity", type_=sa.BigInteger))
_RETURN = sa.text("""
    update sealed_codes set order_key = null, item = null, unit = null, taken_at = null
    where key = :pool and order_key = :order and item = :item
    returning digest
""")
# Of codes that return: it is under the key of no pool what staff typed, so that no file brings it to another pool.
_UNMARK = sa.text("""
    delete from sealed_codes
    where key = :no_pool and order_key = :order and item = :item and digest = any(cast(:digests as bytea[]))
""").bindparams(sa.bindparam("digests", type_=postgresql.ARRAY(sa.LargeBinary)))
_STORE = sa.text("""
    insert into sealed_codes (key, digest, sealed, batch)
    select :pool, digest, sealed, cast(:batch as uuid)
    from unnest(cast(:digests as bytea[]), cast(:sealed as bytea[])) with ordinality as u(digest, sealed, n)
    where not exists (
        select from sealed_codes known where known.key in ('', :no_pool) and known.digest = u.digest
    )
    order by n
    on conflict do nothing
""")
_BATCH = sa.text("select count(*) from sealed_codes where key = :pool and batch = cast(:batch as uuid)")
_GIVE = sa.text("""
    insert into sealed_codes (key, digest, sealed, order_key, item, unit, taken_at)
    select :pool, digest, sealed, :order, :item, n + coalesce(
        (select max(unit) from sealed_codes where key = :pool and order_key = :order and item = :item), 0
    ), clock_timestamp()
    from unnest(cast(:digests as bytea[]), cast(:sealed as bytea[])) with ordinality as u(digest, sealed, n)
    order by digest
    on conflict (key, digest) do update set order_key = excluded.order_key, item = excluded.item,
        unit = excluded.unit, taken_at = excluded.taken_at
    where sealed_codes.order_key is null
""")


def _of_store(table: str) -> str:
    """The store's pools, each looked up after the one before it: they are few, and codes are many."""
    following = f"select min(key) as key from {table} where key > coalesce({{}}, :first) and key < :last"
    return f"""
        with recursive pools as (
            {following.format("null")} union all
            select ({following.format("pools.key")}) from pools where key is not null
        )
    """


# What other pools of the store have free is for this item by now.
_LEAVE_OTHERS = [
    sa.text(f"""
        {_of_store(table)}
        delete from {table} c using pools
        where c.key = pools.key and c.key <> :pool and c.{name} = any(cast(:{name}s as {kind}[]))
            and c.order_key is null
    """).bindparams(sa.bindparam(f"{name}s", type_=postgresql.ARRAY(sa.Text if kind == "text" else sa.LargeBinary)))
    for table, name, kind in (("codes", "code", "text"), ("sealed_codes", "digest", "bytea"))
]
# After that: no call takes them any more. Under `` and `<store>/` are those of no pool.
_OTHERS = [
    sa.text(f"""
        {_of_store(table)}
        select exists (
            select from (select key from pools union values (''), (:first)) p
            join {table} c on c.key = p.key and c.{name} = any(cast(:{name}s as {kind}[]))
            where c.order_key is not null and (c.order_key <> :order or c.item <> :item)
        )
    """).bindparams(sa.bindparam(f"{name}s", type_=postgresql.ARRAY(sa.Text if kind == "text" else sa.LargeBinary)))
    for table, name, kind in (("codes", "code", "text"), ("sealed_codes", "digest", "bytea"))
]
_COUNT = sa.text(
    "select count(*) from (select from sealed_codes where key = :pool and order_key is null limit :most) s"
)
LEFT = sa.text(f"""
    select count(*) from (select from sealed_codes where key = :pool and order_key is null limit greatest({MARK}, 1)) s
""")


def no_pool(pool: str) -> str:
    """The key of codes that staff of its store gave with what is no code. `pool`: key, `<store>/<pool>`."""
    return pool.partition("/")[0] + "/"


LOCK_STORE = sa.text("select pg_advisory_xact_lock_shared(hashtextextended(:no_pool, 14))")
"""First: adding to the store's pools and typing codes of it exclude each other."""
LOCK = sa.text("select pg_advisory_xact_lock(hashtextextended(:pool, 14))")
"""One at a time adds codes to a pool: what it has is then known."""


class Codes:
    """Gateway of the calls to pools. What the database refuses is retried."""

    def __init__(self, engine: AsyncEngine, recheck_after: timedelta, vault: CodeVault) -> None:
        self._engine = engine
        self._recheck_after = recheck_after
        self._vault = vault
        self._claims = CodeClaims(recheck_after)
        self._marks = LowMarks()

    async def perform(self, operation: PoolCall, key: str) -> Outcome | NoOutcome:
        try:
            async with self._engine.begin() as connection:
                await self._vault.unlock(connection)
                return await self._perform(connection, operation, key)
        except CannotOpen as trouble:
            return OperatorFault(f"A code cannot be read: {trouble}. {LOST_KEY}")
        except sa.exc.IntegrityError:
            return Retry("Another call took codes for the same item at the same time.", after=0.05)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            return Retry(f"The fulfillment database does not answer: {type(error).__name__}.")

    async def _perform(self, connection: AsyncConnection, operation: PoolCall, key: str) -> Outcome | NoOutcome:
        match operation:
            case TakeCode():
                return await self._take(connection, operation)
            case ReturnCodes():
                return await self._return(connection, operation)
            case StoreCodes():
                return await self._store(connection, operation, UUID(key))
            case GiveCodes():
                return await self._give(connection, operation)
            case CountCodes():
                counted = await connection.execute(_COUNT, {"pool": operation.pool, "most": operation.most})
                return CountCodes.Done(counted.scalar_one())

    async def find(self, operation: PoolCall, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()

    async def _take(self, connection: AsyncConnection, take: TakeCode) -> Outcome:
        place = {"pool": take.pool}
        kept, left = 0, None
        if (await connection.execute(CLEAR_LEFT, place)).scalar_one():
            codes = await take_also_clear(connection, self._vault, take)
        elif kept := await self._claims.kept_for_others(connection, take):
            codes = ()
        else:
            codes, left = await self._take_sealed(connection, take)
        if codes:
            await self._claims.remove(connection, take)
            return TakeCode.Done(codes, left)
        await self._claims.enter(connection, take)
        return TakeCode.Failed(POOL_EMPTY, _too_few(take, kept), self._recheck_after)

    async def _take_sealed(self, connection: AsyncConnection, take: TakeCode) -> tuple[tuple[str, ...], int | None]:
        """The codes, and how many are left, if too few."""
        values = {"pool": take.pool, "order": take.order, "item": take.item, "quantity": take.quantity}
        rows = (await connection.execute(_TAKE, values)).all()
        codes = tuple(self._vault.open(row.sealed, take.pool) for row in rows)
        if not rows or not rows[0].low or rows[0].told:
            return codes, None
        highest = max(row.number for row in rows)
        return codes, await self._marks.left(connection, take.pool, rows[0].low, highest)

    async def _return(self, connection: AsyncConnection, codes: ReturnCodes) -> Outcome:
        await self._return_all(connection, codes.pool, codes.order, codes.item)
        await self._claims.remove(connection, codes)
        return ReturnCodes.Done()

    async def _return_all(self, connection: AsyncConnection, pool: str, order: str, item: str) -> None:
        await clear_of(connection, pool, order, item)  # first: meanwhile they could be sealed
        values = {"pool": pool, "no_pool": no_pool(pool), "order": order, "item": item}
        returned = (await connection.execute(_RETURN, values)).scalars().all()
        if returned and pool != values["no_pool"]:
            await connection.execute(_UNMARK, values | {"digests": returned})

    async def _store(self, connection: AsyncConnection, store: StoreCodes, batch: UUID) -> Outcome:
        """`batch` names this operation's codes, so that a repetition counts the same ones."""
        await connection.execute(LOCK_STORE, {"no_pool": no_pool(store.pool)})
        await connection.execute(LOCK, {"pool": store.pool})
        known = await known_in_clear(connection, store.pool, store.codes)
        new = [code for code in store.codes if code not in known]
        values = {"pool": store.pool, "batch": batch, "no_pool": no_pool(store.pool)}
        await connection.execute(_STORE, values | self._sealed(store.pool, new))
        added: int = (await connection.execute(_BATCH, values)).scalar_one()
        left: int = (await connection.execute(LEFT, {"pool": store.pool})).scalar_one()
        return StoreCodes.Done(added, left)

    async def _give(self, connection: AsyncConnection, give: GiveCodes) -> Outcome:
        """One at a time in each store: the same code could be of two of its pools."""
        store = give.pool.partition("/")[0]
        # The keys of a store's pools lie between `<store>/` and `<store>0`: `0` follows `/`.
        values: dict[str, Any] = {"pool": give.pool, "order": give.order, "item": give.item, "codes": list(give.codes)}
        values |= {"first": f"{store}/", "last": f"{store}0"} | self._digests(give.codes)
        for lock in (f"{store}/", give.pool):
            await connection.execute(LOCK, {"pool": lock})
        if not give.keep:
            await self._return_all(connection, give.pool, give.order, give.item)
        tried = await connection.begin_nested()
        for others in _LEAVE_OTHERS:
            await connection.execute(others, values)
        clear = await known_in_clear(connection, give.pool, give.codes)
        await remove_clear(connection, give.pool, [*clear])
        for key in dict.fromkeys((give.pool, no_pool(give.pool))):
            await connection.execute(_GIVE, values | {"pool": key} | self._sealed(key, give.codes))
        if any([(await connection.execute(others, values)).scalar_one() for others in _OTHERS]):
            await tried.rollback()
            text = "Another item has one of these codes. Provide others, or retry the item to have some of its pool."
            return GiveCodes.Failed("already_given", text)
        await self._claims.remove(connection, give)
        return GiveCodes.Done()

    def _digests(self, codes: Sequence[str]) -> dict[str, Any]:
        return {"digests": [self._vault.digest(code) for code in codes]}

    def _sealed(self, pool: str, codes: Sequence[str]) -> dict[str, Any]:
        return self._digests(codes) | {"sealed": [self._vault.seal(code, pool) for code in codes]}


def _too_few(take: TakeCode, kept: int) -> str:
    """`kept`: for orders that have waited longer."""
    name = take.pool.partition("/")[2]
    if kept:
        return (
            f"Pool {name} keeps {kept} codes for orders that have waited for more than a day, and has too few besides "
            f"({take.quantity} needed). Add codes; delivery continues automatically."
        )
    return f"Pool {name} has too few free codes ({take.quantity} needed). Add codes; delivery continues automatically."


BYTES = postgresql.ARRAY(sa.LargeBinary)
_STORE = _STORE.bindparams(sa.bindparam("digests", type_=BYTES), sa.bindparam("sealed", type_=BYTES))
_GIVE = _GIVE.bindparams(sa.bindparam("digests", type_=BYTES), sa.bindparam("sealed", type_=BYTES))
