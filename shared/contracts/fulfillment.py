"""Fulfillment owns stock and what is delivered. Key: the order id, unless a message says otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.values import Count, Given, Id, Instructions, Short, Text, Url, Wait
from shared.core import Attempt, Command, Event, Refusal, Topic

COMMANDS = Topic("fulfillment.commands.v1", owner="fulfillment", description="Shipping, retries, stock and codes.")
EVENTS = Topic("fulfillment.events.v1", owner="fulfillment", description="Stock and the delivery of every item.")


# What is done for a product after the purchase


class Download(Given):
    """A file behind a signed link that expires."""

    kind: Literal["download"] = "download"
    file: Url | Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]+$")]
    """A URL to redirect to, or a path below the service's file folder."""
    expires_after: Wait = timedelta(days=7)


class RedemptionCode(Given):
    """One code out of a pool, per unit."""

    kind: Literal["code"] = "code"
    pool: Id


class CourseAccess(Given):
    """Access granted, and revoked, by HTTP."""

    kind: Literal["course"] = "course"
    url: Url
    """POST `{"order", "item", "customer": "<email>", "name", "product", "quantity", "grant": true|false}`, with an
    `Idempotency-Key`."""
    enter: Url | None = None
    """Where the customer enters."""


class Shipment(Given):
    """A parcel that staff send."""

    kind: Literal["shipment"] = "shipment"


Action = Annotated[Download | RedemptionCode | CourseAccess | Shipment, Field(discriminator="kind")]


SettledOutcome = Literal["delivered", "not_delivered", "revoked", "not_revoked"]

# Commands


class ConfigureProduct(Command, type="product.configure", topic=COMMANDS):
    """What buying a SKU brings, and whether its stock is counted. Key: `<store>/<sku>`."""

    action: Action
    track_stock: bool = False


class ReceiveStock(Command, type="stock.receive", topic=COMMANDS):
    """Units arrived. Key: `<store>/<sku>`."""

    quantity: Count


class AddCodes(Command, type="codes.add", topic=COMMANDS):
    """Codes for a pool; those already there are left alone. Key: `<store>/<pool>`."""

    codes: tuple[Short, ...] = Field(min_length=1, max_length=10_000)


class ShipOrder(Command, type="order.ship", topic=COMMANDS):
    """A parcel left. Without items: all that wait for shipment."""

    carrier: Short
    tracking: Short
    items: tuple[Id, ...] = ()


class DeliveryCodesArrived(Command, type="delivery.codes_arrived", topic=COMMANDS):
    """Codes were added to a pool that the order waits for: look again. Fulfillment tells itself; never refused."""

    pool: Id


class RetryDelivery(Command, type="delivery.retry", topic=COMMANDS):
    """Try again what failed or waits for a code. Without items: all such."""

    items: tuple[Id, ...] = ()


class SettleDelivery(Command, type="delivery.settle", topic=COMMANDS):
    """A person says what became of an item's delivery, or of taking it back, where nobody could find out; or that it
    was done by hand."""

    item: Id
    outcome: SettledOutcome
    reason: Short = Field(min_length=1)
    """How that was found out: for the order's timeline."""


# Facts


class StockReserved(Event, type="stock.reserved", topic=EVENTS):
    """All units of the order are set aside."""


class StockRefused(Event, type="stock.refused", topic=EVENTS):
    """Not everything is there; nothing was set aside."""

    skus: tuple[Id, ...]


class StockReleased(Event, type="stock.released", topic=EVENTS):
    """What was set aside or taken is back."""

    skus: dict[Id, Count]


class ItemDelivered(Event, type="item.delivered", topic=EVENTS):
    """One item reached the customer."""

    item: Id
    instructions: Instructions
    under_way: Count
    """How many items of the order are still being delivered after this (not those that wait or failed). Of all messages
    of an order that carry it, the last one says 0: then nothing more is under way, and the customer can be told."""
    attempts: tuple[Attempt, ...] = ()
    """Tries that did not succeed before."""


class ItemWaiting(Event, type="item.waiting", topic=EVENTS):
    """One item waits: for a parcel (`shipment`) or a code (`pool_empty`)."""

    item: Id
    code: Short
    text: Text
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemFailed(Event, type="item.failed", topic=EVENTS):
    """One item could not be delivered; a person must look. `text` says what to fix."""

    item: Id
    code: Short
    text: Text
    attempts: tuple[Attempt, ...] = ()
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemRetried(Event, type="item.retried", topic=EVENTS):
    """Staff had a failed or waiting item tried again."""

    item: Id


class ItemRevoked(Event, type="item.revoked", topic=EVENTS):
    """Access was taken back."""

    item: Id
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemRevocationFailed(Event, type="item.revocation_failed", topic=EVENTS):
    """Access could not be taken back; a person must look."""

    item: Id
    code: Short
    text: Text
    under_way: Count = 0
    """As in `item.delivered`."""


class ItemSettled(Event, type="item.settled", topic=EVENTS):
    """A person said what became of an item's delivery or revocation. What follows from it (`item.delivered`,
    `item.failed`, `item.revoked`) comes after it."""

    item: Id
    outcome: SettledOutcome
    reason: Short


class FulfillmentRefused(Refusal, type="fulfillment.refused", topic=EVENTS):
    """A command to fulfillment was refused and changed nothing."""


EMITS: tuple[type[Event], ...] = (
    StockReserved,
    StockRefused,
    StockReleased,
    ItemDelivered,
    ItemWaiting,
    ItemFailed,
    ItemRetried,
    ItemRevoked,
    ItemRevocationFailed,
    ItemSettled,
    FulfillmentRefused,
)
