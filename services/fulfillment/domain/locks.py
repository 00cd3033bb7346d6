"""Other rows that decisions about a delivery lock or read, by message, key and the state that the message meets."""

from __future__ import annotations

from services.fulfillment.domain.delivery import WAITING, Delivery, ItemStatus
from services.fulfillment.domain.keys import EVERY_ORDER, offer_name, row_key
from services.fulfillment.domain.pool import CodePool
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderPlaced
from shared.contracts.values import OrderItem
from shared.core import Ref

RECONFIGURABLE = (ItemStatus.FAILED, ItemStatus.IN_PROGRESS, *WAITING)
"""Items that staff can have delivered again, as the product says by then."""


def ordered_lines(order: OrderPlaced) -> list[OrderItem]:
    """What is to be delivered: not the charge for its delivery."""
    return [line for line in order.items if not line.is_delivery_charge]


def ordered_stock(order: OrderPlaced, key: str, delivery: Delivery | None) -> list[Ref[Stock]]:
    return [Ref(Stock, row_key(order.store.id, line.sku)) for line in ordered_lines(order)]


def extras(order: OrderPlaced) -> dict[str, str]:
    """What may be delivered along with the items: id, and the rest of the product's key after the store."""
    offer = {"offer": offer_name(order.offer)} if order.offer else {}
    return offer | {"order": EVERY_ORDER}


def ordered_products(order: OrderPlaced, key: str, delivery: Delivery | None) -> list[Ref[Product]]:
    names = [*(line.sku for line in ordered_lines(order)), *extras(order).values()]
    return [Ref(Product, row_key(order.store.id, name)) for name in names]


def held_stock(message: object, key: str, delivery: Delivery) -> list[Ref[Stock]]:
    """The stock that the delivery holds units of."""
    return [Ref(Stock, delivery.row_key(item.sku)) for item in delivery.items if item.holds_stock]


def queues(message: object, key: str, delivery: Delivery | None) -> list[Ref[CodePool]]:
    """The pools in whose queues the order waits."""
    return [Ref(CodePool, item.queue) for item in delivery.items if item.queue] if delivery else []


def stock_and_queues(message: object, key: str, delivery: Delivery | None) -> list[Ref[Stock] | Ref[CodePool]]:
    """All other rows that the delivery is entered in."""
    return [*held_stock(message, key, delivery), *queues(message, key, delivery)] if delivery else []


def current_products(message: object, key: str, delivery: Delivery) -> list[Ref[Product]]:
    """The products of items that are started, or may have to be started again."""
    return [
        Ref(Product, delivery.row_key(item.sku))
        for item in delivery.items
        if item.status in RECONFIGURABLE or (item.status is ItemStatus.PLANNED and item.action is None)
    ]
