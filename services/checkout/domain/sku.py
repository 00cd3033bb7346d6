"""An article that a store sells. Key: `<store>/<sku>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.checkout.domain.store import ID, Store, store_named, unknown_store
from shared.contracts.stores import DefineSku
from shared.core import Context, Core, Decision, Ref, Refused


@dataclass(frozen=True, slots=True)
class Sku:
    store: str
    sku: str
    product: str
    prices: Mapping[str, int]
    """Unit price in minor units by currency."""
    shippable: bool = False
    active: bool = True
    thumbnail: str | None = None
    of: str | None = None
    """The product that defines it, if it is one of several."""


skus = Core(Sku)


def sku_key(store: str, sku: str) -> str:
    return f"{store}/{sku}"


@skus.begins(DefineSku, reads=lambda command, key, sku: [Ref(Store, store_named(key))])
def defined(sku: Sku | None, command: DefineSku, context: Context) -> Decision[Sku] | Refused:
    store, _, name = context.key.partition("/")
    if not (ID.fullmatch(store) and ID.fullmatch(name)):
        return Refused("bad_sku_key", "A SKU's key has the form <store>/<sku>.")
    if context.row(Store, store) is None:
        return unknown_store(store)
    if sku and sku.of:
        return Refused("sku_of_product", f"It is a SKU of the product {sku.of}: define that.")
    return Decision(
        Sku(
            store=store,
            sku=name,
            product=command.product,
            prices=dict(command.prices),
            shippable=command.shippable,
            active=command.active,
            thumbnail=command.thumbnail,
        )
    )
