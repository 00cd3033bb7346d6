"""The reservation of an order's stock when it is placed: all or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, Stage, deliveries, execution_id
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.locks import extras, ordered_lines, ordered_products, ordered_stock
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderPlaced
from shared.contracts.fulfillment import Action, StockRefused, StockReserved
from shared.contracts.values import OrderItem
from shared.core import Context, Decision
from shared.core.fast_dataclasses import replace


@deliveries.begins(OrderPlaced, locks=ordered_stock, reads=ordered_products)
def placed(delivery: Delivery | None, message: OrderPlaced, context: Context) -> Decision[Delivery]:
    if delivery is not None:  # placed already, or cancelled before it was placed
        return Decision(delivery)
    store, lines = message.store.id, ordered_lines(message)
    products = {line.sku: context.row(Product, row_key(store, line.sku)) for line in lines}
    items = (
        *(item for line in lines for item in _items(line, products[line.sku])),
        *(item for about, name in extras(message).items() for item in _extras(about, name, message, context)),
    )
    tracked = {sku for sku, product in products.items() if product and product.track_stock}
    missing = _missing(store, items, tracked, context)
    if missing:
        refused = Delivery(Stage.REFUSED, store, message.customer, items, number=message.number)
        return Decision(refused, events=[StockRefused(skus=missing)])
    placed = Delivery(
        Stage.PLACED,
        *(store, message.customer, items),
        number=message.number,
        held=message.held is not None,
        to_start=bool(message.store.start_by_hand),
    )
    change = DeliveryChange(placed, context)
    for item in items:
        if item.sku in tracked and item.number == 1:
            change.reserve_stock(item)
    change.publish(StockReserved())
    return change.decision()


def _items(line: OrderItem, product: Product | None) -> Iterator[Item]:
    """One for each action."""
    fields = tuple(line.custom_fields.items())
    first = Item(line.item, line.sku, line.product, line.quantity, line.shippable, custom_fields=fields)
    return configured(first, product)


def _extras(about: str, name: str, order: OrderPlaced, context: Context) -> Iterator[Item]:
    """What the offer, or every order, brings; nothing where nothing is configured."""
    product = context.row(Product, row_key(order.store.id, name))
    if product and product.action:
        yield from configured(Item(about, name, product.name, 1), product)


def configured(first: Item, product: Product | None) -> Iterator[Item]:
    """An item's first execution, and a further one for each further action of its product."""
    version, actions = (product.version, product.actions) if product else (0, ())
    yield replace(first, action=actions[0] if actions else None, version=version)
    for number, action in enumerate(actions[1:], 2):
        yield further(first, number, action, version)


def further(first: Item, number: int, action: Action, version: int) -> Item:
    """A further execution for the same thing."""
    id = execution_id(first.about, number)
    return Item(id, first.sku, first.product, first.quantity, first.shippable, action, version)


def _missing(store: str, items: tuple[Item, ...], tracked: set[str], context: Context) -> tuple[str, ...]:
    """The SKUs of which fewer units are free than all lines together request."""
    requested: Counter[str] = Counter()
    for item in items:
        if item.sku in tracked and item.number == 1:
            requested[item.sku] += item.quantity
    free = {sku: (context.row(Stock, row_key(store, sku)) or Stock()).free for sku in requested}
    return tuple(sku for sku, units in requested.items() if units > free[sku])
