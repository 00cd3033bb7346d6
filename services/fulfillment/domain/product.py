"""Products: what happens when a SKU is bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.fulfillment.domain.keys import EVERY_ORDER, offer_name, wrong_key
from services.fulfillment.domain.stock import Stock
from shared.contracts.fulfillment import Action, ConfigureExtras, ConfigureOffer, ConfigureProduct
from shared.core import Change, Context, Core, Decision, Problem, Ref, Refused
from shared.core.fast_dataclasses import replace


@dataclass(frozen=True, slots=True)
class Configuration:
    """An earlier or the present one. `at` and `actor` of version 0, which an earlier build configured, are unknown."""

    version: int
    track_stock: bool
    at: datetime | None = None
    actor: str | None = None
    action: Action | None = None
    further: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """What happens when a SKU is bought, with an offer, or with every order. Key: `<store>/<sku>`,
    `<store>/offer/<offer>` or `<store>/order/every`. An order keeps the version that it was bought with."""

    action: Action | None = None
    """None: an offer, or every order, brings nothing any more."""
    track_stock: bool = False
    version: int = 0
    """0: as an earlier build configured it."""
    further: tuple[Action, ...] = ()
    name: str = ""
    """Of an offer, or of what every order brings."""

    @property
    def actions(self) -> tuple[Action, ...]:
        return (self.action, *self.further) if self.action else ()


@dataclass(frozen=True, slots=True)
class ProductHistory:
    """How a SKU was configured, for staff: apart, since every order reads its products. Key: `<store>/<sku>`."""

    configurations: tuple[Configuration, ...] = ()
    """The latest MAX_HISTORY versions, the present one last."""


def history_before(product: Product | None) -> ProductHistory:
    """Of a product without a history: what an earlier build configured."""
    if product is None or product.version:
        return ProductHistory()
    earlier = Configuration(0, product.track_stock, action=product.action, further=product.further)
    return ProductHistory((earlier,))


products = Core(Product)
histories = Core(ProductHistory)
MAX_HISTORY = 50
MOST_BYTES = 30_000
"""Of a product's actions, as JSON: an order of 200 items keeps 6 MB of them then."""


def history(message: object, key: str, product: Product | None) -> list[Ref[ProductHistory]]:
    return [Ref(ProductHistory, key)]


def history_and_stock(message: object, key: str, product: Product | None) -> list[Ref[ProductHistory] | Ref[Stock]]:
    return [*history(message, key, product), Ref(Stock, key)]


@products.begins(ConfigureProduct, locks=history_and_stock)
def configured(product: Product | None, command: ConfigureProduct, context: Context) -> Decision[Product] | Refused:
    latest = Product(command.action, command.track_stock, further=command.further)
    wrong = wrong_key(context.key, "<store>/<sku>") or _too_large(latest.actions)
    if wrong:
        return wrong
    decision, stock = _with_version(product, latest, context), context.row(Stock, context.key)
    if (stock.low_stock if stock else None) == command.low_stock:
        return decision
    watched = replace(stock or Stock(), low_stock=command.low_stock).watched(context.at)
    return replace(decision, other_states={**decision.other_states, Ref(Stock, context.key): watched})


@products.begins(ConfigureOffer, locks=history)
def offer_configured(product: Product | None, command: ConfigureOffer, context: Context) -> Decision[Product] | Refused:
    wrong = _wrong_key(context.key, "offer") or _too_large(command.actions)
    return wrong or _with_version(product, _extra(command), context)


@products.begins(ConfigureExtras, locks=history)
def extras_configured(
    product: Product | None, command: ConfigureExtras, context: Context
) -> Decision[Product] | Refused:
    wrong = _wrong_key(context.key, "order") or _too_large(command.actions)
    return wrong or _with_version(product, _extra(command), context)


def _too_large(actions: Sequence[Action]) -> Refused | None:
    sizes = [len(action.model_dump_json(exclude_defaults=True).encode()) for action in actions]
    if sum(sizes) <= MOST_BYTES:
        return None
    text = (
        f"The actions have {sum(sizes):,} bytes; at most {MOST_BYTES:,} are allowed: each item of an order keeps them."
    )
    problems = [
        Problem(
            field=f"actions.{number}", code="too_large", text=f"Action {number} ({action.kind}) has {size:,} bytes."
        )
        for number, (action, size) in enumerate(zip(actions, sizes, strict=True), 1)
        if size > MOST_BYTES // len(actions)
    ]
    return Refused("too_large", " ".join((text, *(problem.text for problem in problems))), tuple(problems))


def _extra(command: ConfigureOffer | ConfigureExtras) -> Product:
    first, further = command.actions[:1], command.actions[1:]
    return Product(first[0] if first else None, further=further, name=command.name)


def _wrong_key(key: str, of: str) -> Refused | None:
    store, _, rest = key.partition("/")
    name = rest.removeprefix(f"{of}/")
    right = store and name and rest != name and "/" not in name and (of == "offer" or name == "every")
    shape = offer_name("<offer>") if of == "offer" else EVERY_ORDER
    return None if right else Refused("wrong_key", f"The key must be <store>/{shape}.")


def _with_version(former: Product | None, latest: Product, context: Context) -> Decision[Product]:
    """The same configuration again is no new version."""
    version = former.version if former else 0
    if former and version and replace(latest, version=version) == former:
        return Decision(former)
    change = Change(replace(latest, version=version + 1), context)
    past = (change.other(ProductHistory, context.key) or history_before(former)).configurations
    entry = Configuration(version + 1, latest.track_stock, context.at, context.actor, latest.action, latest.further)
    change.put(ProductHistory, context.key, ProductHistory((*past, entry)[-MAX_HISTORY:]))
    return change.decision()
