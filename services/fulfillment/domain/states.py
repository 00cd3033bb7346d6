"""What fulfillment remembers: a delivery per order, stock and product per SKU, and pools of codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.contracts.fulfillment import Action, CourseAccess, Download, RedemptionCode, Shipment
from shared.contracts.values import Customer, Instructions
from shared.core import Attempt
from shared.core.fast_dataclasses import replace

MOST_ATTEMPTS = 20
"""Of an item, the latest ones that are kept."""


class Stage(StrEnum):
    """Where the order is, as far as fulfillment must know."""

    PLACED = "placed"
    """Stock is reserved; nothing may be delivered."""
    REFUSED = "refused"
    """Sold out: nothing is reserved."""
    PAID = "paid"
    CANCELLED = "cancelled"
    """Cancelled or expired: nothing more is delivered."""


class ItemStatus(StrEnum):
    PLANNED = "planned"
    """Not paid yet."""
    UNDER_WAY = "under_way"
    """An operation delivers it."""
    WAITING_PARCEL = "waiting_parcel"
    WAITING_CODE = "waiting_code"
    DELIVERED = "delivered"
    FAILED = "failed"
    STOPPING = "stopping"
    """Called off while access was being granted; what comes of that decides."""
    REVOKING = "revoking"
    REVOKED = "revoked"
    REVOCATION_FAILED = "revocation_failed"


class StockHold(StrEnum):
    """What became of the units of one item. Only ever forward, so that units go back exactly once."""

    NONE = "none"
    """Not tracked."""
    RESERVED = "reserved"
    TAKEN = "taken"
    GIVEN_BACK = "given_back"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the order and how far its delivery is."""

    id: str
    sku: str
    product: str
    quantity: int
    shippable: bool = False
    action: Action | None = None
    """What is done, as configured when it was last begun; None: nothing was configured."""
    status: ItemStatus = ItemStatus.PLANNED
    stock: StockHold = StockHold.NONE
    instructions: Instructions | None = None
    attempts: tuple[Attempt, ...] = ()
    code: str = ""
    """Why it waits or failed, for machines."""
    text: str = ""
    """The same for staff: what to fix."""
    looking: bool = False
    """While it waits for a code: an operation is looking for one right now."""
    registered: bool = False
    """The pool knows that the order waits."""
    doubtful: bool = False
    """A failed attempt may have been carried out all the same, so calling off must take back."""
    unrevoked: tuple[str, ...] = ()
    """Former URLs of its course, before the product was corrected, where access could not be taken back."""

    def effective_action(self) -> Action | None:
        """What to do: as configured, and a parcel for what is shippable otherwise."""
        return self.action or (Shipment() if self.shippable else None)

    def tried(self, attempts: tuple[Attempt, ...]) -> Item:
        return replace(self, attempts=(*self.attempts, *attempts)[-MOST_ATTEMPTS:])

    def unrevoked_at(self, url: str) -> Item:
        return replace(self, unrevoked=(*self.revoked_at(url).unrevoked, url))

    def revoked_at(self, url: str) -> Item:
        """Nothing is left to take back there."""
        return replace(self, unrevoked=tuple(other for other in self.unrevoked if other != url))

    @property
    def may_get_a_code(self) -> bool:
        return self.status is ItemStatus.UNDER_WAY or (self.status is ItemStatus.WAITING_CODE and self.looking)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Everything that fulfillment does for one order. Key: the order id."""

    stage: Stage
    store: str = ""
    customer: Customer | None = None
    items: tuple[Item, ...] = ()

    def item(self, id: str) -> Item | None:
        return next((item for item in self.items if item.id == id), None)

    def with_item(self, changed: Item) -> Delivery:
        return replace(self, items=tuple(changed if item.id == changed.id else item for item in self.items))

    def under_way(self) -> int:
        """How many items are being delivered at this moment."""
        return sum(item.status is ItemStatus.UNDER_WAY for item in self.items)

    def waiting_for(self, pool: str) -> Iterator[Item]:
        """Items that wait for a code of a pool (by its name in the store)."""
        for item in self.items:
            if item.status is ItemStatus.WAITING_CODE and pool_of(item) == pool:
                yield item


@dataclass(frozen=True, slots=True)
class Stock:
    """Units of one SKU. Key: `<store>/<sku>`. Always 0 ≤ reserved ≤ on_hand ≤ received."""

    on_hand: int = 0
    reserved: int = 0
    received: int = 0
    """All units that ever arrived."""

    def __post_init__(self) -> None:
        if not 0 <= self.reserved <= self.on_hand <= self.received:
            raise ValueError(f"stock out of balance: {self.reserved} reserved, {self.on_hand} on hand")

    @property
    def free(self) -> int:
        return self.on_hand - self.reserved

    def receive(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand + units, received=self.received + units)

    def reserve(self, units: int) -> Stock:
        return replace(self, reserved=self.reserved + units)

    def release(self, units: int) -> Stock:
        return replace(self, reserved=self.reserved - units)

    def take(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand - units, reserved=self.reserved - units)

    def put_back(self, units: int) -> Stock:
        return replace(self, on_hand=self.on_hand + units)


@dataclass(frozen=True, slots=True)
class Product:
    """What buying a SKU brings. Key: `<store>/<sku>`."""

    action: Action
    track_stock: bool = False


@dataclass(frozen=True, slots=True)
class CodePool:
    """Who waits for codes of a pool. Key: `<store>/<pool>`. The codes themselves are a table of their own."""

    added: int = 0
    """All codes that ever came in."""
    waiting: tuple[str, ...] = ()
    """Orders, first come first. Bounded: whoever finds it full looks again by its timer."""


def row_key(store: str, name: str) -> str:
    """Of stock, products (by SKU) and pools (by name)."""
    return f"{store}/{name}"


def pool_of(item: Item) -> str | None:
    """The pool, by its name in the store, that the item's codes come from."""
    return item.action.pool if isinstance(item.action, RedemptionCode) else None


__all__ = [
    "Action",
    "CodePool",
    "CourseAccess",
    "Delivery",
    "Download",
    "Item",
    "ItemStatus",
    "Product",
    "RedemptionCode",
    "Shipment",
    "Stage",
    "Stock",
    "StockHold",
    "pool_of",
    "row_key",
]
