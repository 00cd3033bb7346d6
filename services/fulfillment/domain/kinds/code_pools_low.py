"""Pools that stay low or empty: staff hear of them again each day, with their age."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, ItemStatus, Stage, deliveries
from services.fulfillment.domain.kinds.code import pool_of, pools_of
from services.fulfillment.domain.low_pools import STILL_LOW_AFTER, is_due, tell_if_low
from services.fulfillment.domain.operations import CountCodes, PoolStillLow
from services.fulfillment.domain.pool import CodePool
from services.fulfillment.domain.staff_waits import age
from shared.contracts.fulfillment import ItemWaiting
from shared.core import Context, Decision, Outcome
from shared.core.fast_dataclasses import replace


@deliveries.on(PoolStillLow, locks=pools_of)
def still_low(delivery: Delivery, message: PoolStillLow, context: Context) -> Decision[Delivery]:
    """Of the orders that wait for one pool, the first tells it; of one that is low, all that are due count."""
    change = DeliveryChange(delivery, context)
    if delivery.stage is Stage.PAID:
        _tell_waiting(change)
    for ref in pools_of(message, context.key, delivery):
        pool = change.other(CodePool, ref.key)
        if pool and pool.low_since and pool.low_water and is_due(pool, context.at):
            change.request(CountCodes(ref.key, pool.low_water))
    return change.decision()


def _tell_waiting(change: DeliveryChange) -> None:
    waiting = [item for item in change.state.items if item.status is ItemStatus.WAITING_CODE]
    if waiting:
        change.timer(change.context.at + STILL_LOW_AFTER, PoolStillLow())
    for item in waiting:
        key, at = change.state.row_key(pool_of(item) or ""), change.context.at
        pool = change.other(CodePool, key)
        if pool and pool.waiting[:1] == (change.context.key,) and is_due(pool, at):
            since = pool.low_since or at
            change.put(CodePool, key, replace(pool, low_since=since, told=at))
            text = (
                f"The pool has been empty {age(since, at)}, and orders wait for it ({len(pool.waiting)}). {item.text}"
            )
            change.publish(
                ItemWaiting(
                    item=item.about,
                    code=item.code,
                    text=text[:2000],
                    alert=True,
                    name=item.product if item.is_extra else None,
                )
            )


@deliveries.answers(CountCodes.Done, locks=pools_of)
def codes_counted(
    delivery: Delivery, count: CountCodes, outcome: CountCodes.Done, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    if count.pool not in [ref.key for ref in pools_of(outcome, context.key, delivery)]:
        return change.decision()  # its product has another pool by now, and it was retried
    pool = change.other(CodePool, count.pool) or CodePool()
    if outcome.free < pool.low_water:
        tell_if_low(change, count.pool, outcome.free)
    elif pool.low_since and not pool.waiting:
        change.put(CodePool, count.pool, replace(pool, low_since=None, told=None))
    return change.decision()


@deliveries.answers(CountCodes.Failed, CountCodes.Unresolved)
def codes_not_counted(delivery: Delivery, count: CountCodes, outcome: Outcome, context: Context) -> Decision[Delivery]:
    return Decision(delivery)
