"""What staff say about a SKU: what buying it brings, and that units arrived."""

from __future__ import annotations

from services.fulfillment.domain.states import Product, Stock
from shared.contracts.fulfillment import ConfigureProduct, ReceiveStock
from shared.core import Context, Core, Decision, Refused

products = Core(Product)
stocks = Core(Stock)


@products.begins(ConfigureProduct)
def configure(product: Product | None, command: ConfigureProduct, context: Context) -> Decision[Product] | Refused:
    return wrong_key(context.key, "<store>/<sku>") or Decision(Product(command.action, command.track_stock))


@stocks.begins(ReceiveStock)
def receive(stock: Stock | None, command: ReceiveStock, context: Context) -> Decision[Stock] | Refused:
    if not command.quantity:
        return Refused("no_quantity", "Say how many units arrived: at least one.")
    return wrong_key(context.key, "<store>/<sku>") or Decision((stock or Stock()).receive(command.quantity))


def wrong_key(key: str, shape: str) -> Refused | None:
    """Why a key does not name a row of a store; None when it does."""
    store, _, name = key.partition("/")
    if store and name and "/" not in name:
        return None
    return Refused("wrong_key", f"The key must be {shape}.")
