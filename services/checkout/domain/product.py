"""A product that is sold as several SKUs: its name, thumbnail and whether it is shipped are theirs, too. Key:
`<store>/<product>`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.checkout.domain.sku import Sku, sku_key
from services.checkout.domain.store import ID, Store, store_named, unknown_store
from shared.contracts.stores import DefineProduct
from shared.core import Change, Context, Core, Decision, Problem, Ref, Refused

MOST_SKUS = 200


@dataclass(frozen=True, slots=True)
class Product:
    store: str
    product: str
    name: str
    skus: tuple[str, ...]
    """All that it ever had."""
    shippable: bool = False
    thumbnail: str | None = None


products = Core(Product)


def its_skus(command: DefineProduct, key: str, product: Product | None) -> list[Ref[Sku]]:
    return [Ref(Sku, sku_key(store_named(key), sku)) for sku in _all(command, product)]


def _all(command: DefineProduct, product: Product | None) -> list[str]:
    return sorted({*command.skus, *(product.skus if product else ())})


@products.begins(DefineProduct, locks=its_skus, reads=lambda command, key, product: [Ref(Store, store_named(key))])
def defined(product: Product | None, command: DefineProduct, context: Context) -> Decision[Product] | Refused:
    store, _, name = context.key.partition("/")
    if not (ID.fullmatch(store) and ID.fullmatch(name)):
        return Refused("bad_product_key", "A product's key has the form <store>/<product>.")
    if context.row(Store, store) is None:
        return unknown_store(store)
    skus = {sku: context.row(Sku, sku_key(store, sku)) for sku in _all(command, product)}
    problems = [*_problems(name, command, skus)]
    if problems:
        return Refused("invalid_product", "The product is invalid.", problems)
    latest = Product(store, name, command.name, tuple(skus), command.shippable, command.thumbnail)
    change = Change(latest, context)
    for sku, before in skus.items():
        offered = command.skus.get(sku)
        if offered is None and before is None:
            continue
        after = Sku(
            store=store,
            sku=sku,
            product=command.name,
            prices=dict(offered.prices if offered else before.prices if before else {}),
            shippable=command.shippable,
            active=bool(offered and offered.active),
            thumbnail=command.thumbnail,
            of=name,
        )
        if after != before:
            change.put(Sku, sku_key(store, sku), after)
    return change.decision()


def _problems(name: str, command: DefineProduct, skus: dict[str, Sku | None]) -> Iterator[Problem]:
    if not command.skus:
        yield Problem(field="skus", code="missing", text="Name at least one SKU.")
    if len(skus) > MOST_SKUS:
        yield Problem(
            field="skus", code="too_many", text=f"A product has at most {MOST_SKUS} SKUs, former ones included."
        )
    for sku in command.skus:
        before = skus[sku]
        if before and before.of not in (None, name):
            text = f"{sku} is a SKU of the product {before.of}."
            yield Problem(field=f"skus.{sku}", code="other_product", text=text)
