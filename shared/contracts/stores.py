"""Messages of checkout about stores and what they sell. Key: the store's id, or `<store>/<sku>`."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from shared.contracts.checkout import COMMANDS
from shared.contracts.providers import DEFAULT
from shared.contracts.values import Amount, CoolDown, Count, Currency, Email, Given, Id, Line, Url, Wait
from shared.core import Command

PAYMENT_TRIES, PAYMENT_COOL_DOWN = 8, timedelta(minutes=1)
"""Of a store that does not say otherwise."""


class ConfigureStore(Command, type="store.configure", topic=COMMANDS):
    """Replace all settings of a store. Key: the store's id."""

    name: Line
    """The store's name, as customers read it."""
    sender: Email
    """The From address of emails to customers."""
    staff_email: Email
    """Receives alerts to staff."""
    support_email: Email
    """Where customers write to."""
    order_url: Url
    """The page where a customer sees an order and can pay again. `{order}` is replaced by the order id."""
    currencies: tuple[Currency, ...] = Field(min_length=1)
    """What can be paid in; the usual currency first."""
    grace: Wait = timedelta(days=7)
    """How long an unpaid order stays open for payment (ISO 8601 duration): from its submission, and once more from its
    first declined payment."""
    abandon_after: Wait = timedelta(days=1)
    """How long a checkout stays open without being submitted."""
    require_sign_in: bool = False
    """Only signed-in customers can order."""
    statement_descriptor: Line | None = None
    """What customers read on the statement of their card. Missing: the provider's own text."""
    payment_providers: tuple[Line, ...] = (DEFAULT,)
    """How customers can pay, the usual one first: `stripe`, `manual`."""
    payment_tries: Count = PAYMENT_TRIES
    """How often the customer can try to pay an order, the first time included: 1 to 50."""
    payment_cool_down: CoolDown = PAYMENT_COOL_DOWN
    """How long the customer waits after the third declined payment before paying again (ISO 8601 duration). Doubled by
    each further one, up to an hour."""
    show_partial_refund_as_refunded: bool = False
    """Show a paid or completed order as refunded (`display_status`) after a partial refund. For orders placed from now
    on."""
    keep_abandoned: Wait | None = None
    """Whole days: how long what a checkout told that is never submitted is kept, from its opening (ISO 8601 duration).
    Missing: stays as it is."""
    keep_orders: Wait | None = None
    """Whole days: how long the personal data of an order is kept, from its end; then it is erased in all
    services. Missing: stays as it is."""


class DefineSku(Command, type="sku.define", topic=COMMANDS):
    """Define a product that can be bought as one SKU; replaces an earlier definition. Key: `<store>/<sku>`."""

    product: Line
    """The product's name, as customers read it."""
    prices: dict[Currency, Amount]
    """Unit price by currency."""
    shippable: bool = False
    """It is sent in a parcel: an order of it needs a shipping address."""
    active: bool = True
    """It can be ordered. False: orders of it are refused."""
    thumbnail: Url | None = None
    """A small picture of the product."""


class ProductSku(Given):
    """One of the articles that a product is sold as: a size, a colour, an edition."""

    prices: dict[Currency, Amount]
    """Unit price by currency."""
    active: bool = True
    """It can be ordered. False: orders of it are refused."""


class DefineProduct(Command, type="product.define", topic=COMMANDS):
    """Define a product with all its SKUs; replaces an earlier definition. A SKU that it has no more is sold no more.
    Key: `<store>/<product>`."""

    name: Line
    """The product's name, as customers read it."""
    skus: dict[Id, ProductSku]
    """Its SKUs, by id."""
    shippable: bool = False
    """All of its SKUs are sent in a parcel: an order of one needs a shipping address."""
    thumbnail: Url | None = None
    """A small picture of the product."""
