"""The invariants of a delivery: checked by tests, the simulation and `orderbus check`."""

from __future__ import annotations

from collections.abc import Iterator

from services.fulfillment.domain.delivery import CANCELLED, TRANSIENT, Delivery, Item, ItemStatus, Stage, StockHold
from services.fulfillment.domain.kinds import kind_of
from shared.core import NO_WORK, Work

UNTOUCHED = (ItemStatus.PLANNED, ItemStatus.REVOKED)


def broken(delivery: Delivery, *, at_rest: bool = False, work: Work = NO_WORK) -> Iterator[str]:
    """The rules that one order's delivery breaks. `at_rest`: no operation but `work` should be in progress any more."""
    items, stage = delivery.items, delivery.stage
    statuses = [item.status for item in items]
    rules = {
        "nothing is delivered before it is paid": stage in (Stage.PAID, Stage.CANCELLED)
        or all(status in UNTOUCHED for status in statuses),
        "nothing of a cancelled order is or will be delivered": stage is not Stage.CANCELLED
        or all(status in CANCELLED for status in statuses),
        "cancelled items hold no stock": not any(
            item.holds_stock for item in items if item.status in CANCELLED and not item.withdrawn
        ),
        "a sold-out order holds no stock": stage is not Stage.REFUSED or not any(item.holds_stock for item in items),
        "stock is taken exactly when the order is paid": all(_hold_fits(item, stage) for item in items),
        "only an item's first execution holds stock": not any(
            item.holds_stock and (item.number > 1 or item.is_extra) for item in items
        ),
        "no unit is put back, written off or returned twice": all(
            item.put_back >= 0 and item.written_off >= 0 and item.put_back + item.written_off <= item.quantity
            for item in items
        )
        and all(item.returned <= item.quantity for item in items),
        "an order that waits for staff delivers nothing": not delivery.why_not_begun
        or all(status in UNTOUCHED for status in statuses),
        "a delivered item has instructions": all(
            item.instructions is not None for item in items if item.status is ItemStatus.DELIVERED
        ),
    }
    if at_rest:
        rules["nothing is in progress at rest"] = not any(
            (item.status in TRANSIENT or item.code_requested or item.is_calling) and not _is_delivered(item, work)
            for item in items
        )
    return (rule for rule, holds in rules.items() if not holds)


def _is_delivered(item: Item, work: Work) -> bool:
    """Whether something is under way that may end it."""
    return work.to_come("fulfillment", kind_of(item).ended_by, item.id)


def _hold_fits(item: Item, stage: Stage) -> bool:
    if item.stock is StockHold.RESERVED:
        return stage is Stage.PLACED
    return item.stock is not StockHold.TAKEN or stage is Stage.PAID
