"""What answers of checkout hold, for its OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

DESCRIBED = ConfigDict(use_attribute_docstrings=True)
"""For those that a model has."""


class AbandonedItem(TypedDict, total=False):
    """What was in an abandoned checkout."""

    sku: str
    """The SKU."""
    quantity: int
    """How many units."""


class AbandonedCheckout(TypedDict, total=False):
    """A checkout that was opened and never submitted."""

    key: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str
    """The store's id."""
    status: str
    """The order's status."""
    currency: str
    """ISO 4217."""
    opened_at: datetime
    """When it was opened."""
    closed_at: datetime | None
    """When it was closed as abandoned."""
    email: str | None
    """The customer's, if it was told."""
    country: str | None
    """ISO 3166-1 alpha-2."""
    locale: str | None
    """The customer's language and region."""
    source: str | None
    """Where the customer came from."""
    link: str | None
    """The page that the customer came from."""
    tags: list[str]
    """Of the source."""
    items: list[AbandonedItem]
    """What was in it."""
    newer: bool
    """True: only a newer build can read it, and what follows is all that is known."""
    payment_status: str
    """Of one that only a newer build can read."""
    fulfilment_status: str
    """Of one that only a newer build can read."""
    purchased: int
    """Of one that only a newer build can read: in minor units."""
    created_at: datetime
    """Of one that only a newer build can read."""


class NewerOrder(TypedDict):
    """What is known of an order that only a newer build can read."""

    newer: bool
    """True."""
    key: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str
    """The store's id."""
    status: str
    """The order's status."""
    payment_status: str
    """The status of its payment."""
    fulfilment_status: str
    """The status of its delivery."""
    currency: str
    """ISO 4217."""
    purchased: int
    """What is or was to be paid, in minor units."""
    created_at: datetime
    """When it was created."""


@with_config(DESCRIBED)
class WrittenAnswer(TypedDict):
    """Something that was written about an order or its customer."""

    id: str
    """Its id."""
    at: datetime
    """When it was handed in."""
    actor: str
    """Who handed it in."""
    kind: str
    """`note`, `customer_note`, `message`, `asked` or `answer`."""
    text: str
    """The text."""
    sender: str
    """Of a message: whose it is."""
    author: str
    """The author's name; may be empty."""
    written_at: str | None
    """Of a message that was written elsewhere: when."""
    attachments: list[str]
    """URLs."""


class SettingChangeAnswer(TypedDict):
    """A setting before and after a change."""

    setting: str
    """Its name: `payment.grace`."""
    before: object
    """Its value before; null: there was none."""
    after: object
    """Its value after."""


class StoreChangeAnswer(TypedDict):
    """A change of a store's settings."""

    id: str
    """Its id."""
    at: datetime
    """When."""
    actor: str
    """Who did it."""
    reason: str
    """Why; may be empty."""
    changes: list[SettingChangeAnswer]
    """What was changed."""


class ListedStore(TypedDict, total=False):
    """A store in a list."""

    id: str
    """The store's id."""
    name: str
    """As customers read it."""
    sender: str
    """The From address of emails."""
    currencies: list[str]
    """ISO 4217."""
    newer: bool
    """True: only a newer build can read it."""


class StoreAnswer(TypedDict, total=False):
    """A store's settings, those that are set. `/settings` has all, in groups."""

    id: str
    """The store's id."""
    name: str
    """As customers read it."""
    sender: str
    """The From address of emails."""
    staff_email: str
    """Receives alerts to staff."""
    support_email: str
    """Where customers write to."""
    order_url: str
    """The page of an order."""
    currencies: list[str]
    """ISO 4217."""
    grace: str
    """How long an unpaid order stays open, as ISO 8601 duration."""
    abandon_after: str
    """How long a checkout stays open without being submitted, as ISO 8601 duration."""
    revision: int
    """Of its record on `stores.status.v1`; 0: not told yet."""
    updated_at: str
    """When it was told last."""


class SkuAnswer(TypedDict, total=False):
    """Something that a store sells."""

    store: str
    """The store's id."""
    sku: str
    """The SKU's id within the store."""
    product: str
    """The product's name, as customers read it."""
    prices: dict[str, int]
    """Unit price in minor units, by currency."""
    shippable: bool
    """It is sent in a parcel."""
    active: bool
    """It is sold at present."""
    thumbnail: str | None
    """The URL of a small picture."""
    of: str | None
    """The product that defines it, if it is one of several."""
    newer: bool
    """True: only a newer build can read it."""


class ProductAnswer(TypedDict, total=False):
    """A product that is sold as several SKUs."""

    store: str
    """The store's id."""
    product: str
    """The product's id within the store."""
    name: str
    """As customers read it."""
    skus: list[str]
    """All SKUs that it ever had."""
    shippable: bool
    """It is sent in a parcel."""
    thumbnail: str | None
    """The URL of a small picture."""
