"""What staff did about deliveries: in the timeline, and sent to the customer."""

from __future__ import annotations

from collections.abc import Mapping

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Line, Order, orders
from services.checkout.domain.timeline import entry
from shared.contracts.checkout import DeliveredItem, OrderItemsDelivered
from shared.contracts.delivery_work import (
    DeliveryNoted,
    DeliveryResent,
    DeliveryWaitsForStaff,
    ItemReturned,
    OrderWaitsForStaff,
    ResentItem,
    StaffAction,
)
from shared.core import Context, Decision
from shared.core.portions import in_messages

WORDS: Mapping[StaffAction, str] = {
    "marked_delivered": "Marked as delivered by hand",
    "resent": "Sending again what was delivered",
    "resend_failed": "Could not be sent again",
    "revoked": "Revoked by staff",
    "granted_again": "Granted again",
    "attached": "Attached by staff",
    "held": "Held: nothing is delivered until it is released",
    "released": "Released for delivery",
    "parcel_delivered": "A parcel has arrived",
}


@orders.on(DeliveryNoted)
def noted(order: Order, fact: DeliveryNoted, context: Context) -> Decision[Order]:
    names = ", ".join(order.name_of(item) for item in fact.items)
    text = f"{WORDS[fact.action]}{f' ({names})' if names else ''}. {fact.text}".strip()
    return Decision(order, records=[entry(context, fact.type, text, action=fact.action, items=list(fact.items))])


@orders.on(DeliveryResent)
def resent(order: Order, fact: DeliveryResent, context: Context) -> Decision[Order]:
    """The order's status stays as it is."""
    change = OrderChange(order, context)
    kept = [item for item in fact.items if _is_kept(order, item)]
    names = ", ".join(dict.fromkeys(order.name_of(item.item) for item in kept))
    change.note(fact.type, f"Sent to the customer: {names}." if kept else "Not sent: it was refunded or revoked since.")
    if not kept or not order.is_deliverable:
        return change.without_effect()
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


@orders.on(ItemReturned)
def returned(order: Order, fact: ItemReturned, context: Context) -> Decision[Order]:
    what = f"{fact.quantity} of {order.name_of(fact.item)} returned"
    text = f"{what}{'' if fact.resaleable else ', not to be sold again'}. {fact.reason}"
    note = entry(context, fact.type, text, item=fact.item, quantity=fact.quantity, returned=fact.returned)
    return Decision(order, records=[note])


@orders.on(DeliveryWaitsForStaff)
def waits_for_staff(order: Order, fact: DeliveryWaitsForStaff, context: Context) -> Decision[Order]:
    """It changes nothing of the order. Of what waited when staff completed it by hand they are not told again, but of
    access that is left."""
    change = OrderChange(order, context)
    change.note(fact.type, f"{'Still waits' if fact.again else 'Waits'} for staff. {fact.text}")
    was_completed = order.completed_at is not None and fact.since < order.completed_at
    if not fact.access_left and (was_completed or not order.is_deliverable):
        return change.without_effect()
    change.publish(OrderWaitsForStaff(what=fact.what, text=fact.text, since=fact.since, again=fact.again))
    return change.decision()
