"""What staff did about deliveries: what waits for them, and what is sent to the customer again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.checkout.domain.change import OrderChange
from services.checkout.domain.delivery import staff_first
from services.checkout.domain.order import Line, Order, orders
from services.checkout.domain.status import CLOSED
from shared.contracts.checkout import DeliveredItem, OrderItemsDelivered
from shared.contracts.delivery_work import (
    DeliveryNoted,
    DeliveryResent,
    DeliveryWaitsForStaff,
    OrderWaitsForStaff,
    ResentItem,
    StaffAction,
)
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision
from shared.core.portions import in_messages

WORDS: Mapping[StaffAction, str] = {
    "held": "Held: nothing is delivered until it is released",
    "released": "Released for delivery",
    "started": "Delivery started by hand",
}
WAITS: Mapping[StaffAction, Mapping[str, Any]] = {
    "held": {},
    "released": {"held": None},
    "started": {"to_start": False},
}


@orders.on(DeliveryNoted)
def noted(order: Order, fact: DeliveryNoted, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    if fact.action in WAITS and order.status in CLOSED:
        change.received(fact.type, f"{WORDS[fact.action]}. {fact.text}".strip(), action=fact.action)
        return change.without_effect()
    if fact.action in WAITS:
        change.set(**({"held": fact.text} if fact.action == "held" else WAITS[fact.action]))
        if order.status is OrderStatus.PROCESSING and order.message in (None, staff_first(order)):
            change.set(message=staff_first(change.state))
    return change.decision()


@orders.on(DeliveryResent)
def resent(order: Order, fact: DeliveryResent, context: Context) -> Decision[Order]:
    """The order's status stays as it is."""
    change = OrderChange(order, context)
    kept = [item for item in fact.items if _is_kept(order, item)]
    names = ", ".join(dict.fromkeys(order.name_of(item.item) for item in fact.items))
    change.received(fact.type, f"Not sent to the customer: {names}.")
    if not kept or not order.is_deliverable:
        return change.without_effect("" if kept else "it was refunded or revoked since")
    for given in in_messages([_given(order, item) for item in kept]):
        change.publish(OrderItemsDelivered(items=given))
    change.set(updated_at=context.at)
    return change.decision()


def _is_kept(order: Order, item: ResentItem) -> bool:
    part = order.delivered_part(item.item)
    return part is not None and not part.has_ended


def _given(order: Order, item: ResentItem) -> DeliveredItem:
    part = order.delivered_part(item.item)
    quantity = part.item.quantity if isinstance(part, Line) else 1
    given = item.instructions
    title = item.name or order.name_of(item.item)
    units = quantity if given.quantity is None else given.quantity
    return DeliveredItem(item=item.item, product=title, quantity=units, instructions=given)


@orders.on(DeliveryWaitsForStaff)
def waits_for_staff(order: Order, fact: DeliveryWaitsForStaff, context: Context) -> Decision[Order]:
    """It changes nothing of the order. Of what waited when staff completed it by hand they are not told again, but of
    access that is left."""
    change = OrderChange(order, context)
    change.received(fact.type, f"{'Still waits' if fact.again else 'Waits'} for staff. {fact.text}")
    was_completed = order.completed_at is not None and fact.since < order.completed_at
    if not fact.access_left and (was_completed or not order.is_deliverable):
        return change.without_effect()
    change.publish(OrderWaitsForStaff(what=fact.what, text=fact.text, since=fact.since, again=fact.again))
    return change.decision()
