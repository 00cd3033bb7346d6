"""What answers of fulfillment hold, for its OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import TypedDict

from shared.shell.http.listed import WaitingCall


class ActionAnswer(TypedDict, total=False):
    """What delivers something, with the fields that its kind has in `product.configure`."""

    kind: str
    """`download`, `code`, `course`, `shipment`, `manual`, `http`, `discord_role` or `rcon`."""


class ParcelAnswer(TypedDict, total=False):
    """A parcel with units of an item."""

    id: str
    """Its id within the order."""
    quantity: int
    """How many units are in it."""
    carrier: str
    """The carrier."""
    tracking: str
    """The tracking number."""
    sent_at: datetime
    """When it was sent."""
    delivered_at: datetime
    """When it reached the customer; missing: not yet."""
    link: str
    """Where the customer follows it."""
    former: bool
    """Its item was revoked since, and granted again."""


class DeliveryItem(TypedDict, total=False):
    """An action for an item of the order, for its offer, or for the order itself; with further fields by kind."""

    id: str
    """`1`, or `1/2` for the second action of item 1."""
    sku: str
    """The SKU, `offer/<offer>` or `order/every`."""
    product: str
    """The product's name."""
    quantity: int
    """How many units."""
    shippable: bool
    """It is sent in a parcel."""
    action: ActionAnswer
    """How it is delivered; missing: nothing was configured."""
    version: int
    """The version of its product's configuration."""
    status: str
    """`planned`, `in_progress`, `waiting_parcel`, `delivered`, `failed` and others."""
    code: str
    """Why it waits or failed, for machines."""
    text: str
    """The same for staff: what to fix."""
    parcels: list[ParcelAnswer]
    """Its parcels."""
    returned: int
    """How many units came back."""
    waiting: WaitingCall | None
    """The call for it that waits."""


class DeliveriesAnswer(TypedDict):
    """An order's deliveries."""

    order: str
    """The order's id."""
    stage: str
    """How far the order is, for fulfillment."""
    store: str
    """The store's id."""
    held: bool
    """Nothing is delivered until it is released."""
    to_start: bool
    """Nothing is delivered until staff start it."""
    items: list[DeliveryItem]
    """By action."""


class ConfiguredProduct(TypedDict, total=False):
    """How a SKU, what comes with an offer, or what comes with every order is delivered."""

    action: ActionAnswer
    """The first action; missing: nothing is delivered."""
    further: list[ActionAnswer]
    """The others."""
    track_stock: bool
    """Its units are counted."""
    version: int
    """Of the configuration; 0: of before there were versions."""
    name: str
    """Of an offer, or of what every order brings."""


class ConfigurationAnswer(TypedDict, total=False):
    """One version of a configuration."""

    version: int
    """Its number."""
    at: datetime
    """When it was made."""
    actor: str
    """By whom."""
    action: ActionAnswer
    """The first action."""
    further: list[ActionAnswer]
    """The others."""


class ProductHistoryAnswer(TypedDict):
    """How a SKU was configured."""

    configurations: list[ConfigurationAnswer]
    """The latest versions, the present one last."""


class StockAnswer(TypedDict, total=False):
    """Units of a SKU."""

    sku: str
    """In lists: the SKU's id within the store."""
    on_hand: int
    """Units that are there, those of unpaid orders included."""
    reserved: int
    """Units of unpaid orders."""
    free: int
    """Units that can be sold."""
    received: int
    """All units received, or found, so far."""
    written_off: int
    """Units that were lost, or not put back."""
    low_stock: int
    """Fewer free units than this are low; missing: never."""
    low_since: datetime
    """Since when they are; missing: they are not."""
    newer: bool
    """True: only a newer build can read it."""


class StockMovement(TypedDict):
    """A change of a SKU's stock."""

    id: str
    """Its id."""
    at: datetime
    """When."""
    why: str
    """`received`, `reserved`, `set` and others."""
    units: int
    """How many more; negative: fewer."""
    on_hand: int
    """Afterwards."""
    free: int
    """Afterwards."""
    reason: str
    """As staff said it; may be empty."""
    actor: str
    """Who did it."""
    order_key: str
    """The order's id; may be empty."""
