"""Messages of the storefront's checkout page. Key: the order id, which the storefront chooses (such as a UUIDv7)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.contracts.text import one_line
from shared.contracts.values import (
    Address,
    Amount,
    Country,
    Currency,
    Customer,
    Discount,
    Email,
    FreeText,
    Given,
    Id,
    ItemKind,
    Line,
    Locale,
    Moment,
    TaxLine,
    Text,
    Url,
)
from shared.core import Command, Topic

CHECKOUTS = Topic("storefront.checkouts.v1", owner="storefront", description="Customers' actions on the checkout page.")


class Source(Given):
    """Where the customer came from."""

    link: Url | None = None
    """The checkout link."""
    source: Line | None = None
    tags: tuple[Line, ...] = ()
    analytics_consent: bool = False
    client_ip: Line | None = None


class CheckoutOpened(Command, type="checkout.opened", topic=CHECKOUTS):
    """A customer opened the checkout page. This creates the order."""

    store: Id
    currency: Currency
    country: Country | None = None
    locale: Locale | None = None
    email: Email | None = None
    origin: Source = Source()


class SubmittedItem(Given):
    """One line as shown to the customer. Prices are checked against the SKU."""

    sku: Id
    quantity: int = Field(ge=-(2**31), lt=2**31)
    unit_price: Amount
    kind: ItemKind = "product"
    custom_fields: dict[Line, FreeText] = Field(default_factory=dict, max_length=50)


class PaymentChoice(Given):
    """The customer's payment method, as a token or id issued by the provider. Never a card number."""

    payment_method: Line | None = None
    """Stripe's `pm_…`."""
    token: Line | None = None
    """Stripe's `tok_…`."""


class CheckoutSubmitted(Command, type="checkout.submitted", topic=CHECKOUTS):
    """The customer submitted the checkout."""

    store: Id
    customer: Customer
    items: tuple[SubmittedItem, ...] = Field(max_length=200)
    currency: Currency
    subtotal: Amount
    """Sum of quantity × unit price."""
    tax: Amount
    """Sum of the tax lines."""
    total: Amount
    """subtotal + tax: before discounts."""
    purchased: Amount
    """total - discounts: the amount to charge."""
    payment: PaymentChoice = PaymentChoice()
    discounts: tuple[Discount, ...] = Field(default=(), max_length=20)
    taxes: tuple[TaxLine, ...] = Field(default=(), max_length=50)
    billing: Address | None = None
    shipping: Address | None = None
    """Required if an item is shippable."""
    country: Country | None = None
    locale: Locale | None = None
    offer: Id | None = None
    origin: Source = Source()
    terms_accepted_at: Moment | None = None


class CheckoutPaymentRetried(Command, type="checkout.payment_retried", topic=CHECKOUTS):
    """The customer pays again after a declined card or an unfinished 3-D Secure step."""

    payment: PaymentChoice


class CheckoutAbandoned(Command, type="checkout.abandoned", topic=CHECKOUTS):
    """The customer abandoned the order before paying."""

    reason: Annotated[Text, AfterValidator(one_line)] = ""
