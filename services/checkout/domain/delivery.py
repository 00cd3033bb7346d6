"""The delivery of each item, and what it means for the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Line, Order, orders
from shared.contracts.checkout import (
    CompleteOrder,
    DeliveredItem,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderFailed,
    OrderItemsDelivered,
)
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemWaiting,
)
from shared.contracts.values import DeliveryStatus, Instructions, OrderItem, OrderStatus
from shared.core import Attempt, Context, Decision, Refused
from shared.core.fast_dataclasses import replace


@orders.on(ItemDelivered)
def delivered(order: Order, fact: ItemDelivered, context: Context) -> Decision[Order]:
    change, line, given = OrderChange(order, context), order.line(fact.item), fact.instructions
    change.note(
        fact.type,
        f"{order.name_of(fact.item)} delivered.",
        item=fact.item,
        kind=given.kind,
        carrier=given.carrier,
        tracking=given.tracking,
        attempts=_attempts(fact.attempts),
    )
    if line is None or line.has_ended or not order.is_deliverable:
        return change.without_effect()
    change.set_line(replace(line, delivery=DeliveryStatus.DELIVERED, instructions=given, trouble=""))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemWaiting)
def waiting(order: Order, fact: ItemWaiting, context: Context) -> Decision[Order]:
    change, line = OrderChange(order, context), order.line(fact.item)
    change.note(fact.type, f"{order.name_of(fact.item)} is waiting: {fact.text}", item=fact.item, code=fact.code)
    if line is None or not order.is_deliverable:
        return change.without_effect()
    change.set_line(replace(line, delivery=DeliveryStatus.WAITING, trouble=fact.text))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemFailed)
def failed(order: Order, fact: ItemFailed, context: Context) -> Decision[Order]:
    change, line = OrderChange(order, context), order.line(fact.item)
    text = f"{order.name_of(fact.item)} could not be delivered: {fact.text}"
    change.note(fact.type, text, item=fact.item, code=fact.code, attempts=_attempts(fact.attempts))
    if line is None or not order.is_deliverable:
        return change.without_effect()
    change.set_line(replace(line, delivery=DeliveryStatus.FAILED, trouble=fact.text))
    if not line.refunded_whole:
        product = line.item.product
        change.publish(OrderDeliveryFailed(item=fact.item, product=product, code=fact.code, text=fact.text))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemRetried)
def retried(order: Order, fact: ItemRetried, context: Context) -> Decision[Order]:
    change, line = OrderChange(order, context), order.line(fact.item)
    change.note(fact.type, f"Retrying the delivery of {order.name_of(fact.item)}.", item=fact.item)
    if line is None or not order.is_deliverable:
        return change.without_effect()
    if line.delivery is DeliveryStatus.FAILED:
        change.publish(OrderDeliveryResumed(item=fact.item))
    change.set_line(replace(line, delivery=DeliveryStatus.PENDING, trouble=""))
    return advance(change)


@orders.on(ItemRevoked)
def revoked(order: Order, fact: ItemRevoked, context: Context) -> Decision[Order]:
    """After a refund, a cancellation or an expiry: it counts in every status."""
    change, line = OrderChange(order, context), order.line(fact.item)
    change.note(fact.type, f"Access to {order.name_of(fact.item)} revoked.", item=fact.item)
    if line is None:
        return change.without_effect()
    change.set_line(replace(line, delivery=DeliveryStatus.REVOKED, instructions=None, trouble=""))
    return advance(change, under_way=fact.under_way)


@orders.on(ItemRevocationFailed)
def revocation_failed(order: Order, fact: ItemRevocationFailed, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    text = f"Access to {order.name_of(fact.item)} could not be revoked: {fact.text}"[:2000]
    change.note(fact.type, text, item=fact.item, code=fact.code)
    return advance(change, under_way=fact.under_way, message=text)


@orders.on(CompleteOrder)
def completed(order: Order, command: CompleteOrder, context: Context) -> Decision[Order] | Refused:
    """By staff, whatever is left to deliver. Deliveries in progress continue."""
    if not order.may_become(OrderStatus.COMPLETED):
        text = f"Only a paid order can be completed: this one is {order.status_in_words}."
        return Refused("not_completable", text)
    change = OrderChange(order, context)
    change.move_to(OrderStatus.COMPLETED)
    _hand_over(change)
    change.publish(OrderCompleted(by_hand=True))
    change.note(command.type, "Completed manually.", note=command.note)
    return change.decision()


def advance(change: OrderChange, *, under_way: int | None = None, message: str | None = None) -> Decision[Order]:
    """After a change of an item: move the order, and send the customer what has arrived when nothing more is about to.
    `under_way`: how many deliveries are in progress, where that is known."""
    before = change.state
    if before.may_become(OrderStatus.COMPLETED):
        _move(change)
    if before.is_deliverable and (under_way == 0 or change.state.status is OrderStatus.COMPLETED):
        _hand_over(change)
    if change.state.status is not before.status:
        _announce(change)
    if message:
        change.set(message=message)
    return change.decision()


def _move(change: OrderChange) -> None:
    """To the status that its items demand: failed while one has, completed when all are finished."""
    status, message = _demanded(change.state.lines)
    if status is not change.state.status:
        change.move_to(status, message)
    elif message != change.state.message:
        change.set(message=message)


def _demanded(lines: Sequence[Line]) -> tuple[OrderStatus, str | None]:
    failed = next((line for line in lines if line.has_failed), None)
    if failed:
        return OrderStatus.FAILED, f"{failed.item.product}: {failed.trouble}"[:2000]
    if all(line.is_finished for line in lines) and _is_something_kept(lines):
        return OrderStatus.COMPLETED, None
    waits = next((line for line in lines if line.delivery is DeliveryStatus.WAITING and not line.refunded_whole), None)
    return OrderStatus.PROCESSING, f"{waits.item.product}: {waits.trouble}"[:2000] if waits else None


def _is_something_kept(lines: Sequence[Line]) -> bool:
    """Something was delivered; or every product was refunded, but not the charge for its delivery."""
    if any(line.delivery is DeliveryStatus.DELIVERED for line in lines):
        return True
    charges = [line for line in lines if line.item.is_delivery_charge]
    products = [line for line in lines if not line.item.is_delivery_charge]
    return all(line.refunded_whole for line in products) and not all(line.refunded_whole for line in charges)


def _hand_over(change: OrderChange) -> None:
    """Send the customer the instructions that are new. They are not kept."""
    lines = change.state.lines
    items = tuple(_delivered_item(line.item, line.instructions) for line in lines if line.instructions)
    if items:
        change.set(lines=tuple(replace(line, instructions=None) if line.instructions else line for line in lines))
        change.publish(OrderItemsDelivered(items=items))


def _announce(change: OrderChange) -> None:
    match change.state.status:
        case OrderStatus.COMPLETED:
            change.publish(OrderCompleted())
            change.note("order.completed", "All items delivered.", actor="system")
        case OrderStatus.FAILED:
            change.publish(OrderFailed(reason=change.state.message or ""))
            change.note("order.failed", "Needs attention.", actor="system")
        case OrderStatus.PROCESSING:
            change.note("order.delivery_resumed", "Delivery resumed.", actor="system")


def _delivered_item(item: OrderItem, instructions: Instructions) -> DeliveredItem:
    return DeliveredItem(item=item.item, product=item.product, quantity=item.quantity, instructions=instructions)


def _attempts(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [attempt.model_dump(mode="json") for attempt in attempts]
