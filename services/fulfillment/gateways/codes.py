"""Pools of codes, in the service's own database. Each step is one statement, safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.domain.operations import POOL_EMPTY, ReturnCodes, StoreCodes, TakeCode
from shared.core import NoOutcome, NotDone, Outcome, Retry

# Those of the item already, or else exactly as many as are needed, of those that no other call is taking right now.
# Two at once for one item collide on the unique (key, order_key, item, unit); the loser is retried and finds them.
_TAKE = sa.text("""
    with mine as (
        select code, unit from codes where key = :pool and order_key = :order and item = :item
    ), free as (
        select code from codes where key = :pool and order_key is null and not exists (select from mine)
        order by number limit :quantity for update skip locked
    ), numbered as (
        select code, row_number() over () as unit, count(*) over () as found from free
    ), taken as (
        update codes set order_key = :order, item = :item, unit = numbered.unit, taken_at = clock_timestamp()
        from numbered
        where codes.key = :pool and codes.code = numbered.code and numbered.found = :quantity
        returning codes.code, codes.unit
    )
    select code, unit from mine union all select code, unit from taken order by unit
""").bindparams(sa.bindparam("quantity", type_=sa.BigInteger))
_RETURN = sa.text("""
    update codes set order_key = null, item = null, unit = null, taken_at = null
    where key = :pool and order_key = :order and item = :item
""")
_STORE = sa.text("""
    insert into codes (key, code, batch)
    select :pool, code, cast(:batch as uuid)
    from unnest(cast(:codes as text[])) with ordinality as u(code, n) order by n
    on conflict do nothing
""").bindparams(sa.bindparam("codes", type_=postgresql.ARRAY(sa.Text)))
_COUNT = sa.text("select count(*) from codes where key = :pool and batch = cast(:batch as uuid)")


class Codes:
    """Gateway of TakeCode, ReturnCodes and StoreCodes. What the database refuses is retried."""

    def __init__(self, engine: AsyncEngine, recheck_after: timedelta) -> None:
        self._engine = engine
        self._recheck_after = recheck_after

    async def perform(self, operation: TakeCode | ReturnCodes | StoreCodes, key: str) -> Outcome | NoOutcome:
        try:
            match operation:
                case TakeCode():
                    return await self._take(operation)
                case ReturnCodes():
                    return await self._return(operation)
                case StoreCodes():
                    return await self._store(operation, UUID(key))
        except sa.exc.IntegrityError:
            return Retry("Another call took codes for the same item at the same time.", after=0.05)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            return Retry(f"The fulfillment database does not answer: {type(error).__name__}.")

    async def find(self, operation: TakeCode | ReturnCodes | StoreCodes, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()

    async def _take(self, take: TakeCode) -> Outcome:
        values = {"pool": take.pool, "order": take.order, "item": take.item, "quantity": take.quantity}
        async with self._engine.begin() as connection:
            codes = tuple(row.code for row in await connection.execute(_TAKE, values))
        if codes:
            return TakeCode.Done(codes)
        name = take.pool.partition("/")[2]
        text = (
            f"Pool {name} has too few free codes ({take.quantity} needed). Add codes; delivery continues automatically."
        )
        return TakeCode.Failed(POOL_EMPTY, text, self._recheck_after)

    async def _return(self, codes: ReturnCodes) -> Outcome:
        await self._execute(_RETURN, {"pool": codes.pool, "order": codes.order, "item": codes.item})
        return ReturnCodes.Done()

    async def _store(self, store: StoreCodes, batch: UUID) -> Outcome:
        """`batch` names this operation's codes, so that a repetition counts the same ones."""
        values = {"pool": store.pool, "batch": batch}
        async with self._engine.begin() as connection:
            await connection.execute(_STORE, values | {"codes": list(store.codes)})
            added: int = (await connection.execute(_COUNT, values)).scalar_one()
        return StoreCodes.Done(added)

    async def _execute(self, statement: sa.TextClause, values: Mapping[str, Any]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement, values)
