"""The start of an item's delivery: once its order is paid, as its product says."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.kinds import kind_of
from services.fulfillment.domain.locks import current_products, held_stock
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.reservation import configured
from shared.contracts.checkout import OrderPaid
from shared.contracts.fulfillment import Action, Shipment
from shared.core import Context, Decision


@deliveries.on(OrderPaid, locks=held_stock, reads=current_products)
def paid(delivery: Delivery, message: OrderPaid, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    if delivery.stage is Stage.PLACED:
        change.set(stage=Stage.PAID)
        for item in delivery.items:
            if item.status is ItemStatus.PLANNED:
                change.take_stock(item)
        if not delivery.why_not_begun:
            start_planned(change)
    return change.decision()


def start_planned(change: DeliveryChange) -> None:
    """All of a paid order that was not begun yet."""
    for item in change.items:
        if item.status is ItemStatus.PLANNED:
            for execution in with_configuration(change, item):
                start_item(change, execution)


def with_configuration(change: DeliveryChange, item: Item) -> list[Item]:
    """As it was bought; where nothing was configured then, as its product says now: one execution for each action."""
    product = latest_product(change, item) if item.action is None else None
    if product is None:
        return [item]
    return [change.put_item(execution) for execution in configured(item, product)]


def latest_product(change: DeliveryChange, item: Item) -> Product | None:
    return change.other(Product, change.state.row_key(item.sku))


def start_item(change: DeliveryChange, item: Item) -> None:
    action: Action | None = item.action or (Shipment() if item.shippable else None)
    item = change.update_item(item, action=action, code="", text="", status=ItemStatus.IN_PROGRESS)
    kind_of(item).begin(change, item, action)
