"""Messages of fulfillment, which owns stock and delivery. Key: the order id, unless a message says otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.delivery_status import STATUS, DeliveryStatusRecord
from shared.contracts.discord import DiscordRole
from shared.contracts.http_action import HttpAction
from shared.contracts.rcon import RconCommands
from shared.contracts.templates import Template
from shared.contracts.values import (
    CallableUrl,
    Count,
    Execution,
    Given,
    Id,
    Instructions,
    Line,
    PartId,
    Short,
    Text,
    Url,
    Wait,
)
from shared.core import Attempt, Command, Event, Refusal, Topic

__all__ = ["STATUS", "DeliveryStatusRecord"]
"""What other modules have from here, too."""

COMMANDS = Topic("fulfillment.commands.v1", owner="fulfillment", description="Shipping, retries, stock and codes.")
EVENTS = Topic("fulfillment.events.v1", owner="fulfillment", description="Facts about stock and the delivery of items.")


# How a product is delivered


class Download(Given):
    """A file, behind a signed link that expires."""

    kind: Literal["download"] = "download"
    """The kind of action."""
    file: Url | Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]+$")]
    """A URL to redirect to, or a path within the store's folder: `<ORDERBUS_FULFILLMENT__FILES>/<store>/`."""
    expires_after: Wait = timedelta(days=7)
    """How long each link works, from when it is sent (ISO 8601 duration)."""
    limit: int = Field(0, ge=0, le=10_000)
    """How often the file may be downloaded by one link; 0: as often as the customer likes. Parts of one download that
    a client fetches within a day count once."""


class RedemptionCode(Given):
    """Codes from a pool for each unit."""

    kind: Literal["code"] = "code"
    """The kind of action."""
    pool: Id
    """The id of the store's pool from which the codes are taken."""
    per_unit: int = Field(1, ge=1, le=20)
    """How many codes a unit brings."""


class CourseAccess(Given):
    """Access to a course platform, granted and revoked over HTTP."""

    kind: Literal["course"] = "course"
    """The kind of action."""
    url: CallableUrl
    """Receives POST requests with `{"order", "item", "customer": "<email>", "name", "product", "quantity", "grant":
    true|false}` and an `Idempotency-Key`."""
    enter: Url | None = None
    """Where the customer opens the course."""


class Shipment(Given):
    """A parcel that staff ship."""

    kind: Literal["shipment"] = "shipment"
    """The kind of action."""


class ManualTask(Given):
    """Something that staff do, then mark as delivered."""

    kind: Literal["manual"] = "manual"
    """The kind of action."""
    text: Template = Field(min_length=1)
    """What to do."""


Action = Annotated[
    Download | RedemptionCode | CourseAccess | Shipment | ManualTask | HttpAction | DiscordRole | RconCommands,
    Field(discriminator="kind"),
]


Actions = Annotated[tuple[Action, ...], Field(max_length=9)]
SettledOutcome = Literal["delivered", "not_delivered", "revoked", "not_revoked"]

# Commands


class ConfigureProduct(Command, type="product.configure", topic=COMMANDS):
    """Set how a SKU is delivered and whether its stock is tracked. Key: `<store>/<sku>`."""

    action: Action
    """What delivers it, for each order."""
    track_stock: bool = False
    """Its units are counted, and an order is only accepted if enough of them are free. False: there are always
    enough."""
    further: Actions = ()
    """Further actions. An item is delivered when all of its actions are done. Configure them when no worker of an older
    build runs any more."""
    low_stock: Count | None = None
    """Staff are told when fewer units than this are free."""


class ConfigureOffer(Command, type="offer.configure", topic=COMMANDS):
    """Set what an offer brings, along with its products: to each order that names it. Key: `<store>/offer/<offer>`."""

    name: Line
    """Its name, as the customer reads it."""
    actions: Actions
    """What delivers it, for each order that names the offer."""


class ConfigureExtras(Command, type="extras.configure", topic=COMMANDS):
    """Set what every order of a store brings, along with its products. Key: `<store>/order/every`."""

    name: Line
    """Its name, as the customer reads it."""
    actions: Actions
    """What delivers it, for each order of the store."""


class ReceiveStock(Command, type="stock.receive", topic=COMMANDS):
    """Add units to the stock. Key: `<store>/<sku>`."""

    quantity: Count
    """How many units are added."""


class ShipOrder(Command, type="order.ship", topic=COMMANDS):
    """Record that a parcel was shipped. Without `items`, `executions` and `quantities`: all items that are waiting for
    shipment. An item is delivered when all of its units are sent."""

    carrier: Line
    """The carrier's name, as customers read it."""
    tracking: Line
    """The tracking number."""
    items: tuple[Id, ...] = ()
    """Items whose shipment is in the parcel."""
    executions: tuple[Execution, ...] = ()
    """Single actions of items: `1/2` is the second of item 1."""
    quantities: dict[Execution, Count] = Field(default_factory=dict, max_length=1000)
    """Units in the parcel, by execution. Of others that are named: all that are left."""
    link: Url | None = None
    """Where the customer follows the parcel. Without it: the public page of the carrier, where it is known."""
    parcel: Id | None = None
    """The parcel's id within the order. Without it: its number."""


class DeliveryCodesArrived(Command, type="delivery.codes_arrived", topic=COMMANDS):
    """A pool that the order is waiting for has new codes. Sent by fulfillment to itself; never refused."""

    pool: Id
    """The pool's id."""


class RetryDelivery(Command, type="delivery.retry", topic=COMMANDS):
    """Retry items that failed or are waiting. Without `items` and `executions`: all of them."""

    items: tuple[Id, ...] = ()
    """Items to retry, with all of their actions."""
    executions: tuple[Execution, ...] = ()
    """Single actions of items: `1/2` is the second of item 1."""
    latest: bool = False
    """Deliver them as their products are configured now, which replaces for good what was configured when they were
    bought. Items whose products were not configured then are always delivered so."""


class SettleDelivery(Command, type="delivery.settle", topic=COMMANDS):
    """Record the outcome of an item's delivery or revocation manually, if it is unknown or staff did it themselves."""

    item: PartId
    execution: Execution | None = None
    """Which of the item's executions is meant, where several could be: `1/2`."""
    outcome: SettledOutcome
    """What is known: `delivered` or `not_delivered`; of a revocation, `revoked` or `not_revoked`."""
    reason: Line = Field(min_length=1)
    """How the outcome was established. Appears in the order's timeline."""


# Facts


class StockReserved(Event, type="stock.reserved", topic=EVENTS):
    """All units of the order are reserved."""


class StockRefused(Event, type="stock.refused", topic=EVENTS):
    """Some SKUs are out of stock; nothing was reserved."""

    skus: tuple[Id, ...]
    """The SKUs of which not enough units are free."""


class StockReleased(Event, type="stock.released", topic=EVENTS):
    """Reserved or taken units were returned to the stock."""

    skus: dict[Id, Count]
    """How many units, by SKU."""


class ItemDelivered(Event, type="item.delivered", topic=EVENTS):
    """An item was delivered: all of its actions are done."""

    item: Id
    """The item's id within the order; `offer` for what its offer brings, `order` for what every order does."""
    instructions: Instructions
    """How the customer gets or uses it."""
    under_way: Count
    """How many items of the order are still being delivered, not counting those that wait or failed. At 0 no delivery
    is in progress: the customer can be notified of everything that has arrived."""
    execution: Execution | None = None
    """Which of its actions is done: `1/2` is the second of item 1. Missing: the first."""
    name: Line | None = None
    """The name of what the offer, or every order, brings. Missing: it is an item of the order."""
    attempts: tuple[Attempt, ...] = ()
    """Earlier attempts that failed."""
    quiet: bool = False
    """Staff delivered it by hand, and the customer is not told."""


PartStatus = Literal["pending", "waiting", "failed", "delivered"]
"""Of an item, or of what the offer or every order brings, with all of its actions."""


class ItemProgressed(Event, type="item.progressed", topic=EVENTS):
    """One of several actions of an item is done, and others are not; or what was under way was ended by a refund."""

    item: PartId
    instructions: Instructions | None = None
    """How the customer gets or uses what the action brought."""
    status: PartStatus
    """The item's status with all of its actions."""
    text: Text = ""
    """For staff: what it waits for, or why it has failed."""
    under_way: Count
    """How many items of the order are still being delivered: as in `item.delivered`."""
    execution: Execution | None = None
    """Which of its actions is done: `1/2` is the second of item 1. Missing: the first."""
    name: Line | None = None
    """The name of what the offer, or every order, brings. Missing: it is an item of the order."""
    attempts: tuple[Attempt, ...] = ()
    """Earlier attempts that failed."""
    quiet: bool = False
    """Staff delivered it by hand, and the customer is not told."""


class ItemWaiting(Event, type="item.waiting", topic=EVENTS):
    """An item is waiting for a parcel (code `shipment`), a redemption code (`pool_empty`), for staff to do a task
    (`task`) or to configure its product (`not_configured`), or for another system or a player, which is tried again by
    itself (`server_offline`, `player_offline`, …)."""

    item: PartId
    code: Short
    """What it waits for, machine-readable."""
    text: Text
    """For staff: what it waits for, and what to do."""
    alert: bool = False
    """Staff must hear of it: it is not their daily work, like a parcel to send."""
    name: Line | None = None
    """The name of what the offer, or every order, brings. Missing: it is an item of the order."""
    under_way: Count = 0
    """How many items of the order are still being delivered: as in `item.delivered`."""


class ItemFailed(Event, type="item.failed", topic=EVENTS):
    """An item could not be delivered and needs attention. `text` says what to fix."""

    item: PartId
    code: Short
    """Why, machine-readable: see docs/delivery.md."""
    text: Text
    """For staff: what to fix."""
    attempts: tuple[Attempt, ...] = ()
    """The attempts that failed."""
    name: Line | None = None
    """The name of what the offer, or every order, brings. Missing: it is an item of the order."""
    under_way: Count = 0
    """How many items of the order are still being delivered: as in `item.delivered`."""


class ItemRetried(Event, type="item.retried", topic=EVENTS):
    """Staff retried a failed or waiting item."""

    item: PartId
    configuration: Count | None = None
    """The version of its product's configuration, if that replaces the former one."""
    status: PartStatus = "pending"
    """The item's status with all of its actions: another one may wait, or have failed."""
    text: Text = ""
    """For staff: what it waits for, or why it has failed."""
    name: Line | None = None
    """The name of what the offer, or every order, brings. Missing: it is an item of the order."""


class ItemRevoked(Event, type="item.revoked", topic=EVENTS):
    """Access to an item was revoked."""

    item: PartId
    under_way: Count = 0
    """How many items of the order are still being delivered: as in `item.delivered`."""


class ItemRevocationFailed(Event, type="item.revocation_failed", topic=EVENTS):
    """Access to an item could not be revoked. It needs attention."""

    item: PartId
    code: Short
    """Why, machine-readable: see docs/delivery.md."""
    text: Text
    """For staff: what to fix."""
    under_way: Count = 0
    """How many items of the order are still being delivered: as in `item.delivered`."""
    status: PartStatus | None = None
    """The status of a paid order's item with all of its actions."""


class ItemSettled(Event, type="item.settled", topic=EVENTS):
    """Staff recorded the outcome of a delivery or revocation. The resulting `item.delivered`, `item.failed` or
    `item.revoked` follows."""

    item: PartId
    outcome: SettledOutcome
    """As staff recorded it."""
    reason: Short
    """How the outcome was established, as staff wrote it."""


class FulfillmentRefused(Refusal, type="fulfillment.refused", topic=EVENTS):
    """A command to fulfillment was refused and changed nothing."""
