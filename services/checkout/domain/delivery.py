"""The delivery of each item, and what it means for the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import SENT, Extra, Line, Order, orders
from shared.contracts.checkout import (
    DeliveredItem,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderDeliveryWaiting,
    OrderFailed,
    OrderItemsDelivered,
)
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemProgressed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemWaiting,
)
from shared.contracts.values import UNFINISHED, DeliveryStatus, Instructions, OrderStatus
from shared.core import Context, Decision
from shared.core.fast_dataclasses import replace
from shared.core.portions import in_messages

TO_COMPLETE = "Everything is delivered. Waits for staff to complete it."
TO_START = "Waits for staff to start its delivery."


@orders.on(ItemDelivered)
def delivered(order: Order, fact: ItemDelivered, context: Context) -> Decision[Order]:
    change, part, given = OrderChange(order, context), _part(order, fact), fact.instructions
    change.received(fact.type, f"{_title(order, part, fact)} delivered.", item=fact.item)
    if part is None or part.has_ended or not _can_be_given(order, part):
        return change.without_effect(_why_not(part))
    change.set_part(part, delivery=DeliveryStatus.DELIVERED, trouble="", **_with(part, given, fact))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemProgressed)
def progressed(order: Order, fact: ItemProgressed, context: Context) -> Decision[Order]:
    """One of several actions is done: the customer gets what it brings, once nothing more is about to come. Or one was
    ended, so that nothing more is."""
    change, part, given = OrderChange(order, context), _part(order, fact), fact.instructions
    change.received(fact.type, f"{_title(order, part, fact)} delivered in part.", item=fact.item)
    if given and (part is None or part.has_ended or not _can_be_given(order, part)):
        return change.without_effect(_why_not(part))
    if part and not part.refunded_whole:
        news = _with(part, given, fact) if given else {}
        change.set_part(part, delivery=DeliveryStatus(fact.status), trouble=fact.text, **news)
    elif part and given:
        change.set_part(part, **_with(part, given, fact))
    return advance(change, under_way=fact.under_way)


Named = ItemDelivered | ItemProgressed | ItemWaiting | ItemFailed | ItemRetried


def _part(order: Order, fact: Named) -> Line | Extra | None:
    part = order.delivered_part(fact.item)
    return replace(part, name=fact.name) if isinstance(part, Extra) and fact.name else part


def _why_not(part: Line | Extra | None) -> str:
    """Empty: because of the order's status."""
    if part is None:
        return "the order has no such item"
    return "it was refunded" if part.has_ended else ""


def _title(order: Order, part: Line | Extra | None, fact: Named) -> str:
    return part.title if part else order.name_of(fact.item)


def _can_be_given(order: Order, part: Line | Extra) -> bool:
    """Also what the customer keeps of a refunded order, if it was delivered before fulfillment knew of the refund."""
    return order.is_deliverable or (
        order.status is OrderStatus.REFUNDED and isinstance(part, Line) and part.access_left
    )


def _with(part: Line | Extra, given: Instructions, fact: ItemDelivered | ItemProgressed) -> dict[str, Any]:
    """Next to what the customer has not been sent yet."""
    if fact.quiet:
        return {}
    if part.instructions is None:
        return {"instructions": given}
    return {"further_instructions": (*part.further_instructions, given)}


@orders.on(ItemWaiting)
def waiting(order: Order, fact: ItemWaiting, context: Context) -> Decision[Order]:
    change, part = OrderChange(order, context), _part(order, fact)
    change.received(fact.type, f"{_title(order, part, fact)} is waiting: {fact.text}", item=fact.item, code=fact.code)
    if part is None or not order.is_deliverable:
        return change.without_effect(_why_not(part))
    if part.has_failed:  # another of its actions has: staff know
        return advance(change, under_way=fact.under_way)
    change.set_part(part, delivery=DeliveryStatus.WAITING, trouble=fact.text)
    if fact.alert and not part.refunded_whole:
        change.publish(OrderDeliveryWaiting(item=fact.item, product=part.title, code=fact.code, text=fact.text))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemFailed)
def failed(order: Order, fact: ItemFailed, context: Context) -> Decision[Order]:
    change, part = OrderChange(order, context), _part(order, fact)
    text = f"{_title(order, part, fact)} could not be delivered: {fact.text}"
    change.received(fact.type, text, item=fact.item, code=fact.code)
    if part is None or not order.is_deliverable:
        return change.without_effect(_why_not(part))
    change.set_part(part, delivery=DeliveryStatus.FAILED, trouble=fact.text)
    if not part.refunded_whole and not part.has_failed:  # else staff know: another of its actions has failed
        change.publish(OrderDeliveryFailed(item=fact.item, product=part.title, code=fact.code, text=fact.text))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemRetried)
def retried(order: Order, fact: ItemRetried, context: Context) -> Decision[Order]:
    change, part = OrderChange(order, context), _part(order, fact)
    how = "" if fact.configuration is None else f" with configuration {fact.configuration} of its product"
    change.received(fact.type, f"Retrying the delivery of {_title(order, part, fact)}{how}.", item=fact.item)
    if part is None or not order.is_deliverable:
        return change.without_effect(_why_not(part))
    status = DeliveryStatus(fact.status)
    if part.delivery is DeliveryStatus.FAILED and status is not DeliveryStatus.FAILED:
        change.publish(OrderDeliveryResumed(item=fact.item))
    change.set_part(part, delivery=status, trouble=fact.text)
    return advance(change)


@orders.on(ItemRevoked)
def revoked(order: Order, fact: ItemRevoked, context: Context) -> Decision[Order]:
    """After a refund, a cancellation or an expiry: it counts in every status."""
    change, part = OrderChange(order, context), order.delivered_part(fact.item)
    change.received(fact.type, f"Access to {order.name_of(fact.item)} revoked.", item=fact.item)
    if part is None:
        return change.without_effect(_why_not(part))
    change.set_part(part, delivery=DeliveryStatus.REVOKED, trouble="", **SENT)
    return advance(change, under_way=fact.under_way)


@orders.on(ItemRevocationFailed)
def revocation_failed(order: Order, fact: ItemRevocationFailed, context: Context) -> Decision[Order]:
    """Nothing more of the item may be about to come: then it waits for staff."""
    change, part = OrderChange(order, context), order.delivered_part(fact.item)
    text = f"Access to {order.name_of(fact.item)} could not be revoked: {fact.text}"[:2000]
    change.received(fact.type, text, item=fact.item, code=fact.code)
    if part is None or order.is_unpaid:
        return change.without_effect(_why_not(part))
    if (
        order.is_deliverable
        and part.delivery is DeliveryStatus.PENDING
        and fact.status == "waiting"
        and not part.refunded_whole
    ):
        change.set_part(part, delivery=DeliveryStatus.WAITING, trouble=fact.text)
    return advance(change, under_way=fact.under_way, message=text)


def advance(change: OrderChange, *, under_way: int | None = None, message: str | None = None) -> Decision[Order]:
    """After a change of an item: move the order, and send the customer what has arrived when nothing more is about to.
    `under_way`: how many deliveries are in progress, where that is known."""
    before = change.state
    if under_way is not None and under_way != before.under_way:
        change.set(under_way=under_way)
    if before.status in UNFINISHED and not before.payment_failed:
        _move(change)
    is_refunded = before.status is OrderStatus.REFUNDED
    if is_refunded or (before.is_deliverable and (under_way == 0 or change.state.status is OrderStatus.COMPLETED)):
        hand_over(change)
    if change.state.status is not before.status:
        _announce(change)
    if message:
        change.set(message=message)
    return change.decision()


def _move(change: OrderChange) -> None:
    """To the status that its items demand: failed while one has, completed when all are finished."""
    status, message = demanded_status(change.state, change.state.under_way)
    if status is not change.state.status:
        change.move_to(status, message)
    elif message != change.state.message:
        change.set(message=message)


def demanded_status(order: Order, under_way: int) -> tuple[OrderStatus, str | None]:
    """`under_way`: an extra of which nothing was told yet may be among them."""
    parts = order.parts
    failed = next((part for part in parts if part.has_failed), None)
    if failed:
        return OrderStatus.FAILED, f"{failed.title}: {failed.trouble}"[:2000]
    if not under_way and all(part.is_finished for part in parts) and _is_something_kept(order.lines):
        return (OrderStatus.PROCESSING, TO_COMPLETE) if order.complete_by_hand else (OrderStatus.COMPLETED, None)
    waits = next((part for part in parts if part.delivery is DeliveryStatus.WAITING and not part.refunded_whole), None)
    return OrderStatus.PROCESSING, f"{waits.title}: {waits.trouble}"[:2000] if waits else staff_first(order)


def staff_first(order: Order) -> str | None:
    """What staff must do before anything is delivered."""
    if order.held:
        return f"Held for verification: {order.held}."[:2000]
    return TO_START if order.to_start else None


def _is_something_kept(lines: Sequence[Line]) -> bool:
    """Something was delivered; or every product was refunded, but not the charge for its delivery."""
    if any(line.delivery is DeliveryStatus.DELIVERED for line in lines):
        return True
    charges = [line for line in lines if line.item.is_delivery_charge]
    products = [line for line in lines if not line.item.is_delivery_charge]
    return all(line.refunded_whole for line in products) and not all(line.refunded_whole for line in charges)


def hand_over(change: OrderChange) -> None:
    """Send the customer the instructions that are new. They are not kept."""
    unsent = [part for part in change.state.parts if part.unsent]
    if unsent:
        for part in unsent:
            change.set_part(part, **SENT)
        for items in in_messages(item for part in unsent for item in _delivered_items(part)):
            change.publish(OrderItemsDelivered(items=items))


def _announce(change: OrderChange) -> None:
    match change.state.status:
        case OrderStatus.COMPLETED:
            change.publish(OrderCompleted())
        case OrderStatus.FAILED:
            change.publish(OrderFailed(reason=change.state.message or ""))
        case OrderStatus.PROCESSING:
            if not any(isinstance(event, OrderDeliveryResumed) for event in change.events):
                change.note(OrderDeliveryResumed.type, "Delivery resumed.", actor="system")


def _delivered_items(part: Line | Extra) -> Iterator[DeliveredItem]:
    """One for each of its instructions."""
    id, quantity = (part.item.item, part.item.quantity) if isinstance(part, Line) else (part.id, 1)
    for instructions in part.unsent:
        units = quantity if instructions.quantity is None else instructions.quantity
        yield DeliveredItem(item=id, product=part.title, quantity=units, instructions=instructions)
