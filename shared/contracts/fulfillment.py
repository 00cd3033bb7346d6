"""Messages of fulfillment, which owns stock and delivery. Key: the order id, unless a message says otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.contracts.discord import DiscordRole
from shared.contracts.http_action import HttpAction
from shared.contracts.rcon import RconCommands
from shared.contracts.templates import Template
from shared.contracts.values import (
    CallableUrl,
    Count,
    Given,
    Id,
    Instructions,
    Line,
    Revision,
    Short,
    Text,
    Url,
    Value,
    Wait,
)
from shared.core import Attempt, Command, Event, Refusal, Topic

COMMANDS = Topic("fulfillment.commands.v1", owner="fulfillment", description="Shipping, retries, stock and codes.")
EVENTS = Topic("fulfillment.events.v1", owner="fulfillment", description="Facts about stock and the delivery of items.")
STATUS = Topic(
    "deliveries.status.v1",
    owner="fulfillment",
    compacted=True,
    description="The latest complete state of every order's deliveries, for staff tools.",
)


# How a product is delivered


class Download(Given):
    """A file, behind a signed link that expires."""

    kind: Literal["download"] = "download"
    file: Url | Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]+$")]
    """A URL to redirect to, or a path within the store's folder: `<ORDERBUS_FULFILLMENT__FILES>/<store>/`."""
    expires_after: Wait = timedelta(days=7)
    limit: int = Field(0, ge=0, le=10_000)
    """How often the file may be downloaded by one link; 0: as often as the customer likes. Parts of one download that
    a client fetches within a day count once."""


class RedemptionCode(Given):
    """Codes from a pool for each unit."""

    kind: Literal["code"] = "code"
    pool: Id
    per_unit: int = Field(1, ge=1, le=20)
    """How many codes a unit brings."""


class CourseAccess(Given):
    """Access to a course platform, granted and revoked over HTTP."""

    kind: Literal["course"] = "course"
    url: CallableUrl
    """Receives POST requests with `{"order", "item", "customer": "<email>", "name", "product", "quantity", "grant":
    true|false}` and an `Idempotency-Key`."""
    enter: Url | None = None
    """Where the customer opens the course."""


class Shipment(Given):
    """A parcel that staff ship."""

    kind: Literal["shipment"] = "shipment"


class ManualTask(Given):
    """Something that staff do, then mark as delivered."""

    kind: Literal["manual"] = "manual"
    text: Template = Field(min_length=1)
    """What to do."""


Action = Annotated[
    Download | RedemptionCode | CourseAccess | Shipment | ManualTask | HttpAction | DiscordRole | RconCommands,
    Field(discriminator="kind"),
]


Execution = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}(/[1-9][0-9]?)?$")]
"""An item's first execution is named like the item, the second of item 1 is `1/2`."""
Actions = Annotated[tuple[Action, ...], Field(max_length=9)]
SettledOutcome = Literal["delivered", "not_delivered", "revoked", "not_revoked"]

# Commands


class ConfigureProduct(Command, type="product.configure", topic=COMMANDS):
    """Set how a SKU is delivered and whether its stock is tracked. Key: `<store>/<sku>`."""

    action: Action
    track_stock: bool = False
    further: Actions = ()
    """Further actions. An item is delivered when all of its actions are done. Configure them when no worker of an older
    build runs any more."""
    low_stock: Count | None = None
    """Staff are told when fewer units than this are free."""


class ConfigureOffer(Command, type="offer.configure", topic=COMMANDS):
    """Set what an offer brings, along with its products: to each order that names it. Key: `<store>/offer/<offer>`."""

    name: Line
    """As the customer reads it."""
    actions: Actions


class ConfigureExtras(Command, type="extras.configure", topic=COMMANDS):
    """Set what every order of a store brings, along with its products. Key: `<store>/order/every`."""

    name: Line
    """As the customer reads it."""
    actions: Actions


class ReceiveStock(Command, type="stock.receive", topic=COMMANDS):
    """Add units to the stock. Key: `<store>/<sku>`."""

    quantity: Count


class ShipOrder(Command, type="order.ship", topic=COMMANDS):
    """Record that a parcel was shipped. Without `items`, `executions` and `quantities`: all items that are waiting for
    shipment. An item is delivered when all of its units are sent."""

    carrier: Line
    tracking: Line
    items: tuple[Id, ...] = ()
    executions: tuple[Execution, ...] = ()
    """Single ones: `1/2` is the second of item 1."""
    quantities: dict[Execution, Count] = Field(default_factory=dict, max_length=1000)
    """Units in the parcel, by execution. Of others that are named: all that are left."""
    link: Url | None = None
    """Where the customer follows the parcel. Without it: the public page of the carrier, where it is known."""
    parcel: Id | None = None
    """The parcel's id within the order. Without it: its number."""


class DeliveryCodesArrived(Command, type="delivery.codes_arrived", topic=COMMANDS):
    """A pool that the order is waiting for has new codes. Sent by fulfillment to itself; never refused."""

    pool: Id


class RetryDelivery(Command, type="delivery.retry", topic=COMMANDS):
    """Retry items that failed or are waiting. Without `items` and `executions`: all of them."""

    items: tuple[Id, ...] = ()
    executions: tuple[Execution, ...] = ()
    """Single ones: `1/2` is the second of item 1."""
    latest: bool = False
    """Deliver them as their products are configured now, which replaces for good what was configured when they were
    bought. Items whose products were not configured then are always delivered so."""


class SettleDelivery(Command, type="delivery.settle", topic=COMMANDS):
    """Record the outcome of an item's delivery or revocation manually, if it is unknown or staff did it themselves."""

    item: Id
    execution: Execution | None = None
    """Which of the item's executions is meant, where several could be: `1/2`."""
    outcome: SettledOutcome
    reason: Line = Field(min_length=1)
    """How the outcome was established. Appears in the order's timeline."""


# Facts


class StockReserved(Event, type="stock.reserved", topic=EVENTS):
    """All units of the order are reserved."""


class StockRefused(Event, type="stock.refused", topic=EVENTS):
    """Some SKUs are out of stock; nothing was reserved."""

    skus: tuple[Id, ...]


class StockReleased(Event, type="stock.released", topic=EVENTS):
    """Reserved or taken units were returned to the stock."""

    skus: dict[Id, Count]


class ItemDelivered(Event, type="item.delivered", topic=EVENTS):
    """An item was delivered: all of its actions are done."""

    item: Id
    """The order's item; `offer` is what its offer brings, `order` what every order does. So in all facts."""
    instructions: Instructions
    under_way: Count
    """How many items of the order are still being delivered, not counting those that wait or failed. At 0 no delivery
    is in progress: the customer can be notified of everything that has arrived."""
    execution: Execution | None = None
    """Which of its actions is done, unless it is the first."""
    name: Line | None = None
    """Of what the offer, or every order, brings."""
    attempts: tuple[Attempt, ...] = ()
    """Earlier attempts that failed."""
    quiet: bool = False
    """Staff delivered it by hand, and the customer is not told."""


PartStatus = Literal["pending", "waiting", "failed", "delivered"]
"""Of an item, or of what the offer or every order brings, with all of its actions."""


class ItemProgressed(Event, type="item.progressed", topic=EVENTS):
    """One of several actions of an item is done, and others are not; or what was under way was ended by a refund."""

    item: Id
    instructions: Instructions | None = None
    """Of the action that is done."""
    status: PartStatus
    text: Text = ""
    """What it waits for, or why it has failed."""
    under_way: Count
    """As in `item.delivered`."""
    execution: Execution | None = None
    """Which of its actions is done, unless it is the first."""
    name: Line | None = None
    """Of what the offer, or every order, brings."""
    attempts: tuple[Attempt, ...] = ()
    quiet: bool = False
    """As in `item.delivered`."""


class ItemWaiting(Event, type="item.waiting", topic=EVENTS):
    """An item is waiting for a parcel (code `shipment`), a redemption code (`pool_empty`), for staff to do a task
    (`task`) or to configure its product (`not_configured`), or for another system or a player, which is tried again by
    itself (`server_offline`, `player_offline`, …)."""

    item: Id
    code: Short
    text: Text
    alert: bool = False
    """Staff must hear of it: it is not their daily work, like a parcel to send."""
    name: Line | None = None
    """Of what the offer, or every order, brings."""
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemFailed(Event, type="item.failed", topic=EVENTS):
    """An item could not be delivered and needs attention. `text` says what to fix."""

    item: Id
    code: Short
    text: Text
    attempts: tuple[Attempt, ...] = ()
    name: Line | None = None
    """Of what the offer, or every order, brings."""
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemRetried(Event, type="item.retried", topic=EVENTS):
    """Staff retried a failed or waiting item."""

    item: Id
    configuration: Count | None = None
    """The version of its product's configuration, if that replaces the former one."""
    status: PartStatus = "pending"
    """With all of its actions: another one may wait, or have failed."""
    text: Text = ""
    """What it waits for, or why it has failed."""
    name: Line | None = None
    """Of what the offer, or every order, brings."""


class ItemRevoked(Event, type="item.revoked", topic=EVENTS):
    """Access to an item was revoked."""

    item: Id
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemRevocationFailed(Event, type="item.revocation_failed", topic=EVENTS):
    """Access to an item could not be revoked. It needs attention."""

    item: Id
    code: Short
    text: Text
    under_way: Count = 0
    """As in `item.delivered`."""
    status: PartStatus | None = None
    """Of a paid order's item, with all of its actions."""


class ItemSettled(Event, type="item.settled", topic=EVENTS):
    """Staff recorded the outcome of a delivery or revocation. The resulting `item.delivered`, `item.failed` or
    `item.revoked` follows."""

    item: Id
    outcome: SettledOutcome
    reason: Short


class FulfillmentRefused(Refusal, type="fulfillment.refused", topic=EVENTS):
    """A command to fulfillment was refused and changed nothing."""


# Status


class ParcelState(Value):
    parcel: Id
    quantity: Count
    carrier: Short
    tracking: Short
    sent_at: AwareDatetime
    delivered_at: AwareDatetime | None = None
    """When it reached the customer, if that is known."""


class ExecutionState(Value):
    """One action of an order. Without what the customer got by it: links and codes."""

    execution: Execution
    about: Id
    """The item; `offer`, or `order`."""
    name: Short
    """Of the product, or of what the offer or every order brings."""
    quantity: Count
    kind: Short | None = None
    """Of its action: download, code, course, shipment, manual, http, discord_role, rcon. Missing: none is set."""
    version: Count = 0
    """Of the configuration. 0: of before there were versions, or not configured."""
    status: Short
    """One of planned, in_progress, waiting_parcel, waiting_code, waiting_task, waiting_setup, waiting_outside (tried
    again by itself), delivered, failed, stopping, revoking, revoked, revocation_failed."""
    code: Short | None = None
    """Why it waits or failed."""
    text: Text = ""
    """The same for staff: what to fix."""
    attempts: tuple[Attempt, ...] = ()
    """The latest that failed."""
    in_doubt: bool = False
    """A failed attempt may have been carried out."""
    stock: Short = "none"
    """One of none (not counted), reserved, taken, released."""
    carrier: Short | None = None
    tracking: Short | None = None
    expires: AwareDatetime | None = None
    """When the customer's link ends."""
    parcels: tuple[ParcelState, ...] = ()
    """The latest five."""
    returned: Count = 0
    """Units that came back."""


class DeliveryStatusRecord(Event, type="delivery.status", topic=STATUS):
    """The complete current state of one order's deliveries, from its payment on. While all goes on as it should, it is
    told once, at the end. Later records of the same key replace earlier ones."""

    store: Short
    stage: Short
    """One of refused (sold out), paid, cancelled."""
    held: bool = False
    """Nothing is delivered until staff release it."""
    revision: Revision
    """Increases with every record; in leaps when fulfillment's database was restored to an earlier point."""
    updated_at: AwareDatetime
    executions: tuple[ExecutionState, ...] = ()
    to_start: bool | None = None
    """Nothing is delivered until staff start it. Missing: it need not be started."""
