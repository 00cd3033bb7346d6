"""Products: what happens when a SKU is bought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.fulfillment.domain.keys import wrong_key
from shared.contracts.fulfillment import Action, ConfigureProduct
from shared.core import Change, Context, Core, Decision, Ref, Refused


@dataclass(frozen=True, slots=True)
class Configuration:
    """An earlier or the present one."""

    version: int
    action: Action
    track_stock: bool
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Product:
    """What happens when a SKU is bought. Key: `<store>/<sku>`. An order keeps the version that it was bought with."""

    action: Action
    track_stock: bool = False
    version: int = 0
    """0: as an earlier build configured it."""


@dataclass(frozen=True, slots=True)
class ProductHistory:
    """How a SKU was configured, for staff: apart, since every order reads its products. Key: `<store>/<sku>`."""

    configurations: tuple[Configuration, ...] = ()
    """The latest MAX_HISTORY versions, the present one last."""


products = Core(Product)
histories = Core(ProductHistory)
MAX_HISTORY = 50


def history(command: ConfigureProduct, key: str, product: Product | None) -> list[Ref[ProductHistory]]:
    return [Ref(ProductHistory, key)]


@products.begins(ConfigureProduct, locks=history)
def configured(product: Product | None, command: ConfigureProduct, context: Context) -> Decision[Product] | Refused:
    if refused := wrong_key(context.key, "<store>/<sku>"):
        return refused
    action, counted = command.action, command.track_stock
    if product and product.version and (product.action, product.track_stock) == (action, counted):
        return Decision(product)
    version = product.version + 1 if product else 1
    change = Change(Product(action, counted, version), context)
    past = (change.other(ProductHistory, context.key) or ProductHistory()).configurations
    latest = Configuration(version, action, counted, context.at, context.actor)
    change.put(ProductHistory, context.key, ProductHistory((*past, latest)[-MAX_HISTORY:]))
    return change.decision()
