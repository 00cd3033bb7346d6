"""Staff hear of a pool with few codes left: when it falls below its mark, and each day while it stays so.

A fact must be an order's, for its readers hear of orders (ADR 9): the order that took the last ones tells it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.operations import PoolStillLow
from services.fulfillment.domain.pool import CodePool
from shared.contracts.codes import PoolLow
from shared.core.fast_dataclasses import replace

STILL_LOW_AFTER = timedelta(days=1)
ROUNDING = timedelta(hours=1)
"""Timers of several orders go off at about the same time: staff are told by one."""


def tell_if_low(change: DeliveryChange, key: str, left: int | None) -> None:
    """`left`: free codes, where they are fewer than the pool's mark: then the handler locked it."""
    if left is None:
        return
    pool, at = change.other(CodePool, key) or CodePool(), change.context.at
    if left >= pool.low_water or not is_due(pool, at):
        return
    since = pool.low_since or at
    change.put(CodePool, key, replace(pool, low_since=since, told=at))
    name = key.partition("/")[2]
    change.publish(
        PoolLow(
            pool=name,
            name=pool.name or name,
            left=left,
            low_water=pool.low_water,
            waiting=len(pool.waiting),
            since=since,
        )
    )
    change.timer(at + STILL_LOW_AFTER, PoolStillLow())


def is_due(pool: CodePool, at: datetime) -> bool:
    """Staff were not told of it within a day."""
    return pool.told is None or at - pool.told >= STILL_LOW_AFTER - ROUNDING
