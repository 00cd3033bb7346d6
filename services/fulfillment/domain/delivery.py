"""A delivery: what fulfillment does for one order, item by item. README.md has the state diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.fulfillment.domain.keys import row_key
from shared.contracts.fulfillment import Action
from shared.contracts.values import Customer, Instructions
from shared.core import Attempt, Core, Refused
from shared.core.fast_dataclasses import fast, replace
from shared.core.fast_enums import StrEnum

MAX_ATTEMPTS = 20
"""The latest attempts of an item that are kept."""


UNKNOWN_SERVER = "unknown_server"
"""The code of what is delivered by something that the store has not configured."""


class Stage(StrEnum):
    """The order's stage, as far as fulfillment needs it."""

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
    IN_PROGRESS = "in_progress"
    """An operation delivers it."""
    WAITING_PARCEL = "waiting_parcel"
    WAITING_CODE = "waiting_code"
    WAITING_TASK = "waiting_task"
    """Staff do it by hand."""
    WAITING_SETUP = "waiting_setup"
    """Staff must configure its product first."""
    WAITING_OUTSIDE = "waiting_outside"
    """For another system, or for the customer to be there: a timer tries it again."""
    DELIVERED = "delivered"
    FAILED = "failed"
    STOPPING = "stopping"
    """Cancelled while access was being granted; the outcome of the grant decides."""
    REVOKING = "revoking"
    REVOKED = "revoked"
    REVOCATION_FAILED = "revocation_failed"


CANCELLED = (ItemStatus.STOPPING, ItemStatus.REVOKING, ItemStatus.REVOKED, ItemStatus.REVOCATION_FAILED)
"""Of items that were refunded, or whose order was cancelled or has expired."""
WAITING = (
    ItemStatus.WAITING_PARCEL,
    ItemStatus.WAITING_CODE,
    ItemStatus.WAITING_TASK,
    ItemStatus.WAITING_SETUP,
    ItemStatus.WAITING_OUTSIDE,
)
"""For something that staff do, or the customer, or another system."""
TRANSIENT = (ItemStatus.IN_PROGRESS, ItemStatus.STOPPING, ItemStatus.REVOKING)
"""An operation ends these."""


class StockHold(StrEnum):
    """The stage of an item's units. It only moves forward, so that they are released, or written off, exactly once."""

    NONE = "none"
    """Not tracked."""
    RESERVED = "reserved"
    TAKEN = "taken"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class OutsideWait:
    """How long an item has waited for what is outside, and whether it is being tried again right now."""

    since: datetime
    tries: int = 1
    calling: bool = False
    for_staff: bool = False
    """Staff can end the wait: the server is offline, not the player."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Units of one execution in a parcel, which may have others, too."""

    id: str
    quantity: int
    carrier: str
    tracking: str
    sent_at: datetime
    delivered_at: datetime | None = None
    link: str | None = None
    """Where the customer follows it."""
    former: bool = False
    """Its item was revoked since, and granted again."""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """What staff gave the customer in addition, as a download."""

    file: str
    """Within the store's files."""
    name: str
    """What the customer sees."""
    note: str = ""
    expires_after: timedelta = timedelta(days=7)
    """Of each link."""


@fast
@dataclass(frozen=True, slots=True)
class Item:
    """An execution: an action for an item of the order, for its offer, or for the order itself. The first of an item
    has the item's id and holds its stock; others are called `1/2`, `1/3`, …"""

    id: str
    sku: str
    """Of an item; else the rest of its product's key: `offer/<offer>` or `order/every`."""
    product: str
    quantity: int
    shippable: bool = False
    action: Action | None = None
    """How it is delivered: as its product said when it was bought, or when staff last retried it with the latest
    configuration; None: nothing was configured."""
    version: int = 0
    """Of its product's configuration; 0: of before there were versions, or not of a product."""
    status: ItemStatus = ItemStatus.PLANNED
    stock: StockHold = StockHold.NONE
    instructions: Instructions | None = None
    attempts: tuple[Attempt, ...] = ()
    code: str = ""
    """Why it waits or failed, for machines."""
    text: str = ""
    """The same for staff: what to fix."""
    code_requested: bool = False
    """While it waits for a code: an operation is trying to take one."""
    returning: int = 0
    """Calls under way that return codes of it to their pool: until they are done, none is taken for it again."""
    codes_seen: bool = False
    """The customer has had codes of it: they never return to their pool."""
    queue: str = ""
    """Key of the pool in whose queue the order waits for this item."""
    in_doubt: bool = False
    """A failed attempt may have been carried out, so a cancellation must revoke it."""
    unrevoked: tuple[str, ...] = ()
    """Former URLs of its course, before the product was corrected, where access could not be revoked."""
    custom_fields: tuple[tuple[str, str], ...] = ()
    """Of an item's first execution: what the customer wrote into the product's custom fields, by name."""
    former: tuple[Action, ...] = ()
    """Actions of it, before the product was corrected, whose access could not be revoked. Those of courses are
    `unrevoked`."""

    outside: OutsideWait | None = None
    """While it waits for what is outside."""
    answers: tuple[str, ...] = ()
    """What the other system said when it was delivered, shortened: evidence, for staff only."""

    calls: int = 0
    """How many calls were requested that must not be made twice: only the latest may still be made."""

    @property
    def is_calling(self) -> bool:
        """While it waits: a call tries it again."""
        return self.outside is not None and self.outside.calling

    parcels: tuple[Parcel, ...] = ()
    attached: tuple[Instructions, ...] = ()
    """What staff gave the customer in addition."""
    withdrawn: bool = False
    """Staff revoked it, without a refund: it can be granted again, and its units are still sold."""
    returned: int = 0
    """Units that came back from the customer."""
    put_back: int = 0
    """Units that were sold and are in stock again. Not counted by builds that knew no returns."""
    written_off: int = 0
    """Units that were sold and not put back, though refunded or returned."""
    files: tuple[AttachedFile, ...] = ()
    """What staff gave the customer in addition, as downloads."""
    waits_since: datetime | None = None
    """Since when it waits for staff, if it does (`staff_waits.py`)."""
    left: int = 0
    """Units that had been sent when staff revoked it, all times together."""
    taken_again: int = 0
    """So many of them were replaced from stock when it was granted again; the stock counts them as written off."""

    @property
    def about(self) -> str:
        """What it is for: the item's id, `offer` or `order`."""
        return self.id.partition("/")[0]

    def attached_file(self, file: str) -> AttachedFile | None:
        return next((each for each in self.files if each.file == file), None)

    @property
    def number(self) -> int:
        """Of its item's executions, from 1."""
        return int(self.id.partition("/")[2] or 1)

    @property
    def is_extra(self) -> bool:
        """For the offer, or the order itself."""
        return "/" in self.sku

    @property
    def is_left_elsewhere(self) -> bool:
        """Access that a former action gave could not be revoked."""
        return bool(self.unrevoked or self.former)

    def tried(self, attempts: Sequence[Attempt]) -> Item:
        return replace(self, attempts=(*self.attempts, *attempts)[-MAX_ATTEMPTS:]) if attempts else self

    def unrevoked_at(self, url: str) -> Item:
        return replace(self, unrevoked=(*self.revoked_at(url).unrevoked, url))

    def revoked_at(self, url: str) -> Item:
        """Nothing is left to revoke there."""
        return replace(self, unrevoked=tuple(other for other in self.unrevoked if other != url))

    @property
    def holds_stock(self) -> bool:
        return self.stock in (StockHold.RESERVED, StockHold.TAKEN)

    @property
    def units_held(self) -> int:
        """Reserved, or taken and neither put back nor written off."""
        return self.quantity - self.put_back - self.written_off if self.holds_stock else 0

    @property
    def lacks_setup(self) -> bool:
        """It waits until staff configure its product, or what its product is delivered by."""
        is_unknown = self.status is ItemStatus.WAITING_OUTSIDE and self.code == UNKNOWN_SERVER
        return self.status is ItemStatus.WAITING_SETUP or is_unknown

    @property
    def sent(self) -> int:
        """Units in parcels."""
        return sum(parcel.quantity for parcel in self.parcels if not parcel.former)

    @property
    def expects_code(self) -> bool:
        return self.status is ItemStatus.IN_PROGRESS or (self.status is ItemStatus.WAITING_CODE and self.code_requested)

    @property
    def has_seen_codes(self) -> bool:
        """Earlier builds did not write it down."""
        return self.codes_seen or (self.instructions is not None and self.instructions.kind == "code")

    @property
    def lacks_code(self) -> bool:
        """It waits, and no operation is trying to take a code."""
        return self.status is ItemStatus.WAITING_CODE and not self.code_requested


@dataclass(frozen=True, slots=True)
class Reminder:
    """When staff hear again of what waits for them."""

    due: datetime
    times: int = 0
    """How often they have."""
    is_late: bool = False
    """It was due while the service was down, and has been put off once."""


@fast
@dataclass(frozen=True, slots=True)
class Delivery:
    """Everything that fulfillment does for one order. Key: the order id."""

    stage: Stage
    store: str = ""
    customer: Customer | None = None
    items: tuple[Item, ...] = ()
    revision: int = 0
    """Of its status record."""
    updated_at: datetime | None = None
    number: str = ""
    """The order's, as the customer reads it; empty in deliveries of earlier builds."""
    held: bool = False
    """Nothing is delivered until staff release it."""
    held_since: datetime | None = None
    """Since when it is paid and held."""
    reminder: Reminder | None = None
    """While something of it waits for staff."""
    to_start: bool = False
    """Nothing is delivered until staff start it, as the store wants it."""
    pause_told: datetime | None = None
    """When staff were last told at once that calls of it are paused."""
    erased_at: datetime | None = None
    """When the customer's personal data was erased."""

    @property
    def why_not_begun(self) -> Refused | None:
        """Why nothing of it may be delivered yet, if staff must act first."""
        if self.held:
            return Refused("held", "The order is held for verification. Release it first.")
        return Refused("not_started", "Its delivery is not started yet. Start it first.") if self.to_start else None

    def find(self, id: str) -> Item | None:
        return next((item for item in self.items if item.id == id), None)

    def named(self, about: str) -> list[Item]:
        """All executions for an item, for the offer or for the order."""
        return [item for item in self.items if item.about == about]

    def in_progress(self) -> int:
        """How many items are being delivered right now."""
        return self.count(ItemStatus.IN_PROGRESS)

    def count(self, status: ItemStatus) -> int:
        return sum(item.status is status for item in self.items)

    def not_revoked(self) -> int:
        """How many give access that could not be revoked, be it by a former action."""
        return sum(item.status is ItemStatus.REVOCATION_FAILED or item.is_left_elsewhere for item in self.items)

    def row_key(self, name: str) -> str:
        """Of the stock or product of a SKU, or of a pool."""
        return row_key(self.store, name)


def execution_id(about: str, number: int) -> str:
    return about if number == 1 else f"{about}/{number}"


deliveries = Core(
    Delivery,
    missing=Refused("unknown_order", "Unknown order. Fulfillment knows an order once it is placed."),
)
