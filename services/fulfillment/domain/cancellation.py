"""Cancelled, expired or refunded: stop what is in progress, revoke what was delivered, release the stock once.

A refund may leave access and stock as they are: they are choices of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.course import revoke_access
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.locks import stock_and_queues
from services.fulfillment.domain.operations import RecheckPools, ReturnCodes
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderRefunded
from shared.contracts.fulfillment import CourseAccess
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision


@deliveries.begins(OrderCancelled, OrderExpired, locks=stock_and_queues)
def cancelled(
    delivery: Delivery | None, message: OrderCancelled | OrderExpired, context: Context
) -> Decision[Delivery]:
    if delivery is None:
        if isinstance(message, OrderExpired) and message.was is OrderStatus.CREATED:
            return Decision(None)  # an abandoned checkout page: it was never an order
        return Decision(Delivery(Stage.CANCELLED))
    change = DeliveryChange(delivery, context)
    if delivery.stage is not Stage.CANCELLED:
        change.set(stage=Stage.CANCELLED)
        change.cancel_timer(RecheckPools)
        for item in delivery.items:
            cancel_item(change, item)
    return change.decision()


@deliveries.on(OrderRefunded, locks=stock_and_queues)
def refunded(delivery: Delivery, message: OrderRefunded, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    for item in delivery.items:
        if message.whole or item.id in message.items:
            released = change.release_stock(item, restock=_is_chosen(item, message.restock))
            if item.status is not ItemStatus.DELIVERED or _is_chosen(item, message.remove_access):
                revoke_item(change, released)
    return change.decision()


def _is_chosen(item: Item, choice: Sequence[str] | None) -> bool:
    """Without a choice, as in messages of older builds: every item."""
    return choice is None or item.id in choice


def cancel_item(change: DeliveryChange, item: Item) -> None:
    """In any status. Cancelling again has no effect."""
    revoke_item(change, change.release_stock(item))


def revoke_item(change: DeliveryChange, item: Item) -> None:
    """Deliver it no more, and take away what was delivered."""
    match item.status, item.action:
        case ItemStatus.PLANNED, _:
            change.update_item(item, status=ItemStatus.REVOKED)
        case ItemStatus.IN_PROGRESS, CourseAccess():
            change.update_item(item, status=ItemStatus.STOPPING)
        case ItemStatus.DELIVERED, CourseAccess() as course:
            revoke_access(change, item, course)
        case ItemStatus.FAILED, CourseAccess() as course if item.in_doubt:
            revoke_access(change, item, course)
        case (
            (
                ItemStatus.IN_PROGRESS
                | ItemStatus.WAITING_PARCEL
                | ItemStatus.WAITING_CODE
                | ItemStatus.DELIVERED
                | ItemStatus.FAILED
            ),
            _,
        ):
            _revoke_at_once(change, item)


def _revoke_at_once(change: DeliveryChange, item: Item) -> None:
    """A download's link stops working; a code that the customer has seen can only be marked."""
    if item.pool and item.in_doubt and item.status is not ItemStatus.DELIVERED:
        change.request(ReturnCodes(change.state.row_key(item.pool), change.context.key, item.id))
    change.mark_revoked(change.leave_queue(item), code_requested=False)
