"""The start of an item's delivery: once its order is paid, as its product says."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.code import request_codes
from services.fulfillment.domain.course import request_access
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.download import request_link
from services.fulfillment.domain.locks import current_products, held_stock
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.shipment import await_parcel
from shared.contracts.checkout import OrderPaid
from shared.contracts.fulfillment import Action, CourseAccess, Download, RedemptionCode, Shipment
from shared.core import Context, Decision


@deliveries.on(OrderPaid, locks=held_stock, reads=current_products)
def paid(delivery: Delivery, message: OrderPaid, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    if delivery.stage is Stage.PLACED:
        change.set(stage=Stage.PAID)
        for item in delivery.items:
            if item.status is ItemStatus.PLANNED:
                start_item(change, change.take_stock(item), item.action or configured_action(change, item))
    return change.decision()


def configured_action(change: DeliveryChange, item: Item) -> Action | None:
    """What the product says now."""
    product = change.other(Product, change.state.row_key(item.sku))
    return product.action if product else None


def start_item(change: DeliveryChange, item: Item, action: Action | None) -> None:
    item = change.update_item(item, action=action, code="", text="", status=ItemStatus.IN_PROGRESS)
    match item.effective_action():
        case Download() as download:
            request_link(change, item, download)
        case RedemptionCode(pool=pool):
            request_codes(change, item, pool)
        case CourseAccess() as course:
            request_access(change, item, course)
        case Shipment() as parcel:
            await_parcel(change, item, parcel)
        case None:
            text = f"No delivery is configured for SKU {item.sku}. Configure the product, then retry the order."
            change.fail_item(item, "not_configured", text)
