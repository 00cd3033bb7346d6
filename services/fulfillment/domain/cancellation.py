"""Cancelled, declined, expired or refunded: stop what is under way, revoke what was delivered, release the stock once.

A refund may leave access and stock as they are: they are choices of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import CANCELLED, Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.kinds import kind_of
from services.fulfillment.domain.locks import stock_and_queues
from services.fulfillment.domain.operations import PoolStillLow, RecheckPools
from shared.contracts.approval import OrderDeclined
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderRefunded
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision


@deliveries.begins(OrderCancelled, OrderExpired, OrderDeclined, locks=stock_and_queues)
def cancelled(
    delivery: Delivery | None, message: OrderCancelled | OrderExpired | OrderDeclined, context: Context
) -> Decision[Delivery]:
    if delivery is None:
        if isinstance(message, OrderExpired) and message.was is OrderStatus.CREATED:
            return Decision(None)  # an abandoned checkout page: it was never an order
        return Decision(Delivery(Stage.CANCELLED))
    change = DeliveryChange(delivery, context)
    if delivery.stage is not Stage.CANCELLED:
        change.set(stage=Stage.CANCELLED, held=False, to_start=False)
        change.cancel_timer(RecheckPools, PoolStillLow)
        for item in delivery.items:
            cancel_item(change, item)
    return change.decision()


@deliveries.on(OrderRefunded, locks=stock_and_queues)
def refunded(delivery: Delivery, message: OrderRefunded, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    for item in delivery.items:
        if item.is_extra:
            if message.remove_offer_access or (message.whole and item.status is not ItemStatus.DELIVERED):
                revoke_item(change, item)
        elif message.whole or item.about in message.items:
            released = change.release_stock(item, restock=_is_chosen(item, message.restock))
            if item.status is not ItemStatus.DELIVERED or _is_chosen(item, message.remove_access):
                revoke_item(change, released)
    return change.decision()


def _is_chosen(item: Item, choice: Sequence[str] | None) -> bool:
    """Without a choice, as in messages of older builds: every item."""
    return choice is None or item.about in choice


def cancel_item(change: DeliveryChange, item: Item) -> None:
    """In any status. Cancelling again has no effect."""
    revoke_item(change, change.release_stock(item))


def revoke_item(change: DeliveryChange, item: Item) -> None:
    """Deliver it no more, and revoke what was delivered. What staff had revoked cannot be granted again then."""
    if item.withdrawn:
        item = change.update_item(item, withdrawn=False)
    if item.status is ItemStatus.PLANNED:
        change.update_item(item, status=ItemStatus.REVOKED)
    elif item.status not in CANCELLED:
        kind_of(item).revoke(change, item)
