"""What orders that found too few codes in a pool have waited for, so that smaller ones overtake a big one for a while
only.

An order that finds too few enters what it needs, and refreshes that at each recheck. Once it has waited for a day,
later ones leave it as many codes as it needs. What is not refreshed is of an order that waits no more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.fulfillment.domain.operations import GiveCodes, ReturnCodes, TakeCode

ItemCall = TakeCode | GiveCodes | ReturnCodes
OVERTAKEN_FOR = timedelta(days=1)
RECHECKS_MISSED = 20
"""After which an order is taken to wait no more; at least FORGOTTEN_AFTER."""
FORGOTTEN_AFTER = timedelta(minutes=10)
KEPT = timedelta(days=1)
_AHEAD = sa.text("""
    select coalesce(sum(codes), 0) as codes from code_claims
    where key = :pool and (order_key, item) <> (:order, :item)
        and since < clock_timestamp() - cast(:overtaken as interval)
        and seen_at > clock_timestamp() - cast(:forgotten as interval)
        and since < coalesce(
            (select since from code_claims where key = :pool and order_key = :order and item = :item), clock_timestamp()
        )
""")
_ENTER = sa.text("""
    insert into code_claims (key, order_key, item, codes, since, seen_at)
    values (:pool, :order, :item, :quantity, clock_timestamp(), clock_timestamp())
    on conflict (key, order_key, item) do update set codes = excluded.codes, seen_at = excluded.seen_at,
        since = case
            when code_claims.seen_at > clock_timestamp() - cast(:kept as interval) then code_claims.since
            else excluded.since
        end
""")
_REMOVE = sa.text("delete from code_claims where key = :pool and order_key = :order and item = :item")
_FORGET = sa.text("delete from code_claims where seen_at < clock_timestamp() - cast(:kept as interval)")
_ENOUGH = sa.text("""
    select count(*) >= :needed from (
        select from sealed_codes where key = :pool and order_key is null limit :needed
    ) free
""").bindparams(sa.bindparam("needed", type_=sa.BigInteger))
_HAS = sa.text("select exists (select from sealed_codes where key = :pool and order_key = :order and item = :item)")
_LOCK = sa.text("select pg_advisory_xact_lock(hashtextextended(:pool, 16))")
log = structlog.get_logger(__name__)


class CodeClaims:
    def __init__(self, recheck_after: timedelta) -> None:
        self._forgotten = max(FORGOTTEN_AFTER, recheck_after * RECHECKS_MISSED)

    async def kept_for_others(self, connection: AsyncConnection, take: TakeCode) -> int:
        """Codes that orders which have waited longer need, where it must not take any for their sake; else 0."""
        ahead = await self._ahead(connection, take)
        if not ahead or (await connection.execute(_HAS, _of(take))).scalar_one():
            return 0
        await connection.execute(_LOCK, {"pool": take.pool})  # two at once must not both take the same surplus
        needed = ahead + take.quantity
        enough = (await connection.execute(_ENOUGH, {"pool": take.pool, "needed": needed})).scalar_one()
        return 0 if enough else ahead

    async def _ahead(self, connection: AsyncConnection, take: TakeCode) -> int:
        values = _of(take) | {"overtaken": OVERTAKEN_FOR, "forgotten": self._forgotten}
        return int((await connection.execute(_AHEAD, values)).scalar_one())

    async def enter(self, connection: AsyncConnection, take: TakeCode) -> None:
        """That it found too few."""
        await connection.execute(_ENTER, _of(take) | {"quantity": take.quantity, "kept": KEPT})

    async def remove(self, connection: AsyncConnection, call: ItemCall) -> None:
        """The item has codes, or waits for none of this pool."""
        await connection.execute(_REMOVE, _of(call))


def _of(call: ItemCall) -> dict[str, Any]:
    return {"pool": call.pool, "order": call.order, "item": call.item}


class ForgettingClaims:
    """Upkeep: removes those of orders that wait no more."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def __call__(self, now: datetime) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(_FORGET, {"kept": KEPT})
