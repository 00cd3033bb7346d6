"""The delivery of each item, and what it means for the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.checkout.domain.decisions import changed, on_fact, too_late
from services.checkout.domain.order import Line, Order, moved
from services.checkout.domain.timeline import Note
from shared.contracts.checkout import (
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
from shared.contracts.values import DeliveryStatus, OrderStatus
from shared.core import Attempt, Context, Decision, Event
from shared.core.fast_dataclasses import replace

UNDER_WAY = (OrderStatus.PROCESSING, OrderStatus.FAILED)


@on_fact(ItemDelivered)
def delivered(order: Order, message: ItemDelivered, context: Context) -> Decision[Order]:
    line = order.line(message.item)
    detail = {
        "item": message.item,
        "kind": message.instructions.kind,
        "carrier": message.instructions.carrier,
        "tracking": message.instructions.tracking,
        "attempts": _attempts(message.attempts),
    }
    note = Note(message.type, f"{_name(line, message.item)} was delivered.", detail)
    if line is None or line.refunded_whole or not order.is_deliverable:
        return too_late(order, context, note)
    line = replace(line, delivery=DeliveryStatus.DELIVERED, instructions=message.instructions, trouble="")
    return progressed(order.with_line(line), context, note, under_way=message.under_way)


@on_fact(ItemWaiting)
def waiting(order: Order, message: ItemWaiting, context: Context) -> Decision[Order]:
    line = order.line(message.item)
    detail = {"item": message.item, "code": message.code}
    note = Note(message.type, f"{_name(line, message.item)} waits: {message.text}", detail)
    if line is None or not order.is_deliverable:
        return too_late(order, context, note)
    line = replace(line, delivery=DeliveryStatus.WAITING, trouble=message.text)
    return progressed(order.with_line(line), context, note, under_way=message.under_way)


@on_fact(ItemFailed)
def failed(order: Order, message: ItemFailed, context: Context) -> Decision[Order]:
    line = order.line(message.item)
    detail = {"item": message.item, "code": message.code, "attempts": _attempts(message.attempts)}
    note = Note(message.type, f"{_name(line, message.item)} could not be delivered: {message.text}", detail)
    if line is None or not order.is_deliverable:
        return too_late(order, context, note)
    line = replace(line, delivery=DeliveryStatus.FAILED, trouble=message.text)
    trouble = OrderDeliveryFailed(item=message.item, product=line.item.product, code=message.code, text=message.text)
    events = [] if line.refunded_whole else [trouble]
    return progressed(order.with_line(line), context, note, events, under_way=message.under_way)


@on_fact(ItemRetried)
def retried(order: Order, message: ItemRetried, context: Context) -> Decision[Order]:
    line = order.line(message.item)
    note = Note(message.type, f"{_name(line, message.item)} is tried again.", {"item": message.item})
    if line is None or not order.is_deliverable:
        return too_late(order, context, note)
    events = [OrderDeliveryResumed(item=message.item)] if line.delivery is DeliveryStatus.FAILED else []
    line = replace(line, delivery=DeliveryStatus.PENDING, trouble="")
    return progressed(order.with_line(line), context, note, events)


@on_fact(ItemRevoked)
def revoked(order: Order, message: ItemRevoked, context: Context) -> Decision[Order]:
    """After a refund, a cancellation or an expiry: true whatever the order's status is."""
    line = order.line(message.item)
    note = Note(message.type, f"Access to {_name(line, message.item)} was taken back.", {"item": message.item})
    if line is None:
        return too_late(order, context, note)
    line = replace(line, delivery=DeliveryStatus.REVOKED, instructions=None, trouble="")
    return progressed(order.with_line(line), context, note, under_way=message.under_way)


@on_fact(ItemRevocationFailed)
def revocation_failed(order: Order, message: ItemRevocationFailed, context: Context) -> Decision[Order]:
    text = f"Access to {_name(order.line(message.item), message.item)} could not be taken back: {message.text}"
    note = Note(message.type, text[:2000], {"item": message.item, "code": message.code})
    return progressed(order, context, note, under_way=message.under_way, message=note.text)


def progressed(
    order: Order,
    context: Context,
    note: Note,
    events: Sequence[Event] = (),
    *,
    under_way: int | None = None,
    message: str | None = None,
) -> Decision[Order]:
    """An item changed: tell the customer of what has arrived when nothing more comes at once, and move the order."""
    after = _after(order, context)
    ending = _ending(order, after)
    if order.is_deliverable and (under_way == 0 or after.status is OrderStatus.COMPLETED):
        after, told = tell(after)
        ending = [*told, *ending]
    if message:
        after = replace(after, message=message)
    return changed(after, context, [note, *_notes(order, after)], [*events, *ending])


def tell(order: Order) -> tuple[Order, list[Event]]:
    """The instructions that the customer has not seen."""
    items = tuple(
        DeliveredItem(
            item=line.item.item,
            product=line.item.product,
            quantity=line.item.quantity,
            instructions=line.instructions,
        )
        for line in order.lines
        if line.instructions
    )
    if not items:
        return order, []
    told = tuple(replace(line, instructions=None) if line.instructions else line for line in order.lines)
    return replace(order, lines=told), [OrderItemsDelivered(items=items)]


def _after(order: Order, context: Context) -> Order:
    """The order in the status that its items demand: failed while one is, completed when all are settled."""
    if order.status not in UNDER_WAY:
        return order
    status, message = _demanded(order.lines)
    if status is not order.status:
        return moved(order, status, context.at, message)
    return order if message == order.message else replace(order, message=message)


def _demanded(lines: Sequence[Line]) -> tuple[OrderStatus, str | None]:
    stuck = next((line for line in lines if line.failed), None)
    if stuck:
        return OrderStatus.FAILED, f"{stuck.item.product}: {stuck.trouble}"[:2000]
    arrived = any(line.delivery is DeliveryStatus.DELIVERED for line in lines)
    if arrived and all(line.settled for line in lines):
        return OrderStatus.COMPLETED, None
    waits = next((line for line in lines if line.delivery is DeliveryStatus.WAITING and not line.refunded_whole), None)
    return OrderStatus.PROCESSING, f"{waits.item.product}: {waits.trouble}"[:2000] if waits else None


def _ending(before: Order, after: Order) -> list[Event]:
    if before.status is after.status:
        return []
    if after.status is OrderStatus.COMPLETED:
        return [OrderCompleted()]
    return [OrderFailed(reason=after.message or "")] if after.status is OrderStatus.FAILED else []


def _notes(before: Order, after: Order) -> list[Note]:
    texts = {
        OrderStatus.COMPLETED: ("order.completed", "Every item is delivered."),
        OrderStatus.FAILED: ("order.failed", "A person must look."),
        OrderStatus.PROCESSING: ("order.delivery_resumed", "Nothing is stuck any more."),
    }
    return [] if before.status is after.status else [Note(*texts[after.status], actor="system")]


def _name(line: Line | None, item: str) -> str:
    return line.item.product if line else f"Item {item}"


def _attempts(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [attempt.model_dump(mode="json") for attempt in attempts]
