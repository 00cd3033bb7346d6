"""The reservation of an order's stock when it is placed: all or nothing."""

from __future__ import annotations

from collections import Counter

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, Stage, deliveries
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.locks import ordered_lines, ordered_products, ordered_stock
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderPlaced
from shared.contracts.fulfillment import StockRefused, StockReserved
from shared.contracts.values import OrderItem
from shared.core import Context, Decision


@deliveries.begins(OrderPlaced, locks=ordered_stock, reads=ordered_products)
def placed(delivery: Delivery | None, message: OrderPlaced, context: Context) -> Decision[Delivery]:
    if delivery is not None:  # placed already, or cancelled before it was placed
        return Decision(delivery)
    store, lines = message.store.id, ordered_lines(message)
    products = {line.sku: context.row(Product, row_key(store, line.sku)) for line in lines}
    items = tuple(_item(line, products[line.sku]) for line in lines)
    tracked = {sku for sku, product in products.items() if product and product.track_stock}
    missing = _missing(store, items, tracked, context)
    if missing:
        refused = Delivery(Stage.REFUSED, store, message.customer, items)
        return Decision(refused, events=[StockRefused(skus=missing)])
    change = DeliveryChange(Delivery(Stage.PLACED, store, message.customer, items), context)
    for item in items:
        if item.sku in tracked:
            change.reserve_stock(item)
    change.publish(StockReserved())
    return change.decision()


def _item(line: OrderItem, product: Product | None) -> Item:
    return Item(
        id=line.item,
        sku=line.sku,
        product=line.product,
        quantity=line.quantity,
        shippable=line.shippable,
        action=product.action if product else None,
        version=product.version if product else 0,
    )


def _missing(store: str, items: tuple[Item, ...], tracked: set[str], context: Context) -> tuple[str, ...]:
    """The SKUs of which fewer units are free than all lines together request."""
    requested: Counter[str] = Counter()
    for item in items:
        if item.sku in tracked:
            requested[item.sku] += item.quantity
    free = {sku: (context.row(Stock, row_key(store, sku)) or Stock()).free for sku in requested}
    return tuple(sku for sku, units in requested.items() if units > free[sku])
