"""What always holds here (DESIGN, invariants 5 and 6). Tests, the simulation and `orderbus check` ask these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from services.fulfillment.domain.states import Delivery, Item, ItemStatus, Stage, Stock, StockHold, row_key

UNTOUCHED = (ItemStatus.PLANNED, ItemStatus.REVOKED)
CLOSED = (ItemStatus.STOPPING, ItemStatus.REVOKING, ItemStatus.REVOKED, ItemStatus.REVOCATION_FAILED)
PASSING = (ItemStatus.UNDER_WAY, ItemStatus.STOPPING, ItemStatus.REVOKING)


def broken(delivery: Delivery, *, at_rest: bool = False) -> list[str]:
    """The rules that one order's delivery breaks, in words. `at_rest`: no operation should be under way any more."""
    items, stage = delivery.items, delivery.stage
    statuses = [item.status for item in items]
    rules = {
        "nothing is delivered before it is paid": stage in (Stage.PAID, Stage.CANCELLED)
        or all(status in UNTOUCHED for status in statuses),
        "nothing of a cancelled order stays or goes on": stage is not Stage.CANCELLED
        or all(status in CLOSED for status in statuses),
        "what is called off holds no stock": all(not _holds(item) for item in items if item.status in CLOSED),
        "a sold out order holds no stock": stage is not Stage.REFUSED or not any(map(_holds, items)),
        "stock is taken exactly when the order is paid": all(_held_rightly(item, stage) for item in items),
        "what is delivered says how to use it": all(
            item.instructions is not None for item in items if item.status is ItemStatus.DELIVERED
        ),
    }
    if at_rest:
        rules["nothing is under way at rest"] = not any(s in PASSING for s in statuses) and not any(
            item.looking for item in items
        )
    return [rule for rule, holds in rules.items() if not holds]


def unbalanced(stocks: Mapping[str, Stock], deliveries: Iterable[Delivery]) -> list[str]:
    """Where stock (by key) does not agree with what all deliveries hold of it."""
    held: Counter[tuple[str, StockHold]] = Counter()
    keys = set(stocks)
    for delivery in deliveries:
        for item in delivery.items:
            if _holds(item):
                key = row_key(delivery.store, item.sku)
                held[key, item.stock] += item.quantity
                keys.add(key)
    wrong = []
    for key in sorted(keys):
        stock, reserved, taken = stocks.get(key, Stock()), held[key, StockHold.RESERVED], held[key, StockHold.TAKEN]
        if stock.reserved != reserved:
            wrong.append(f"{key}: {stock.reserved} units are reserved, orders hold {reserved}")
        if stock.on_hand + taken != stock.received:
            wrong.append(f"{key}: {stock.on_hand} on hand and {taken} taken are not the {stock.received} received")
    return wrong


def _holds(item: Item) -> bool:
    return item.stock in (StockHold.RESERVED, StockHold.TAKEN)


def _held_rightly(item: Item, stage: Stage) -> bool:
    if item.stock is StockHold.RESERVED:
        return stage is Stage.PLACED
    return item.stock is not StockHold.TAKEN or stage is Stage.PAID
