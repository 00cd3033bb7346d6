"""An order was placed: set its stock aside, all or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from services.fulfillment.domain.deliveries import Change, deliveries
from services.fulfillment.domain.states import Delivery, Item, Product, Stage, Stock, row_key
from shared.contracts.checkout import OrderPlaced
from shared.contracts.fulfillment import StockRefused, StockReserved
from shared.contracts.values import OrderItem
from shared.core import Context, Decision, Ref


def stock_rows(message: OrderPlaced, key: str) -> Iterator[Ref[Any]]:
    return (Ref(Stock, row_key(message.store.id, item.sku)) for item in message.items)


def product_rows(message: OrderPlaced, key: str) -> Iterator[Ref[Any]]:
    return (Ref(Product, row_key(message.store.id, item.sku)) for item in message.items)


@deliveries.on_old(OrderPlaced, touches=stock_rows, reads=product_rows)
def placed(delivery: Delivery | None, message: OrderPlaced, context: Context) -> Decision[Delivery]:
    if delivery is not None:  # cancelled before it was known here, or known already
        return Decision(delivery)
    store = message.store.id
    products = {item.sku: context.row(Product, row_key(store, item.sku)) for item in message.items}
    items = tuple(_item(line, products[line.sku]) for line in message.items)
    tracked = {sku for sku, product in products.items() if product and product.track_stock}
    missing = _missing(store, items, tracked, context)
    if missing:
        refused = Delivery(Stage.REFUSED, store, message.customer, items)
        return Decision(refused, events=[StockRefused(skus=missing)])
    change = Change(Delivery(Stage.PLACED, store, message.customer, items), context)
    for item in items:
        if item.sku in tracked:
            change.put(change.reserve(item))
    change.events.append(StockReserved())
    return change.decision()


def _item(line: OrderItem, product: Product | None) -> Item:
    return Item(
        id=line.item,
        sku=line.sku,
        product=line.product,
        quantity=line.quantity,
        shippable=line.shippable,
        action=product.action if product else None,
    )


def _missing(store: str, items: tuple[Item, ...], tracked: set[str], context: Context) -> tuple[str, ...]:
    """The SKUs of which less is free than all lines together want."""
    wanted: Counter[str] = Counter()
    for item in items:
        if item.sku in tracked:
            wanted[item.sku] += item.quantity
    free = {sku: (context.row(Stock, row_key(store, sku)) or Stock()).free for sku in wanted}
    return tuple(sku for sku, units in wanted.items() if units > free[sku])
