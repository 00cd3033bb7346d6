"""Values that several messages share. Amounts are minor units of the message's currency (ISO 4217)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from shared.contracts.addresses import callable_url
from shared.contracts.text import email_address, lines, one_line
from shared.core.fast_enums import StrEnum
from shared.core.money import MAX_AMOUNT, exponent


def _is_currency(code: str) -> str:
    exponent(code)
    return code


def _written_out(given: object) -> object:
    """Raises ValueError for a number of seconds."""
    if not (isinstance(given, datetime) or (isinstance(given, str) and re.match(r"\d{4}-", given))):
        raise ValueError("must be a time like 2026-03-03T14:05:00Z")
    return given


def _storable(moment: datetime) -> datetime:
    """Raises ValueError: 0001-01-01 in the east is in no year that can be stored."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None
    return moment


Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="Minor units of the message's currency.")]
Currency = Annotated[str, AfterValidator(_is_currency), Field(description="ISO 4217 code.", examples=["USD"])]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2 code.")]
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]
Email = Annotated[
    str,
    StringConstraints(pattern=r"^[^\s@<>,;]{1,64}@[^\s@<>,;]{1,189}$", max_length=254),
    AfterValidator(email_address),
]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$")]
Short = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=2000)]
Line = Annotated[Short, AfterValidator(one_line)]
"""What storefront, customers and staff write on one line: a name, a code."""
FreeText = Annotated[Text, AfterValidator(lines)]
"""What they write on one or more lines. No other control characters than line breaks and tabs."""
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_storable)]
"""A time with its offset (RFC 3339)."""
Rate = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,4})?$")]
"""Per cent as a decimal string."""
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2000)]
CallableUrl = Annotated[Url, AfterValidator(callable_url)]
"""A URL that we are asked to call: it has a valid host and port, and no link-local address or the like."""
Count = Annotated[int, Field(ge=0, le=10**9)]
Revision = Annotated[int, Field(ge=0, le=2**53 - 1)]
Wait = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=3660))]
"""A duration (ISO 8601): more than zero, at most about ten years."""
CoolDown = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=3660))]
"""The same, or zero."""


class Value(BaseModel):
    """A part of a message. Readers ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)


class Given(BaseModel):
    """A part of what a storefront or staff send. Unknown fields are an error that names them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class OrderStatus(StrEnum):
    """The status of an order. services/checkout/README.md shows the transitions."""

    CREATED = "created"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    PENDING_PAYMENT = "pending_payment"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    RETURNED = "returned"


UNPAID = frozenset({OrderStatus.CREATED, OrderStatus.RECEIVED, OrderStatus.ACCEPTED, OrderStatus.PENDING_PAYMENT})
"""The order may still be paid."""
UNFINISHED = frozenset({OrderStatus.PROCESSING, OrderStatus.FAILED})
"""The order is paid, and not completed."""
VOID = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.DECLINED})
"""The order came to nothing: what was captured is refunded, what was reserved is released."""


class PaymentStatus(StrEnum):
    PENDING = "pending"
    AUTHORIZED = "authorized"
    PAID = "paid"
    FAILED = "failed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CHARGED_BACK = "charged_back"


class FulfilmentStatus(StrEnum):
    UNFULFILLED = "unfulfilled"
    IN_PROGRESS = "in_progress"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    FULFILLED = "fulfilled"
    FAILED = "failed"
    REVOKED = "revoked"
    RETURNED = "returned"


class DeliveryStatus(StrEnum):
    """The delivery status of one item. `waiting`: for a parcel, a redemption code or staff. `not_needed`: it is a
    delivery charge."""

    PENDING = "pending"
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    REVOKED = "revoked"
    NOT_NEEDED = "not_needed"


ItemKind = Literal["product", "order_bump", "pre_upsell"]
LineKind = Literal["product", "order_bump", "pre_upsell", "delivery"]


class Customer(Given):
    """The buyer."""

    name: Line
    email: Email
    id: Id | None = None
    """The storefront's id for the customer, if signed in."""
    phone: Line | None = None
    signed_in: bool = False
    account_link: Url | None = None


class Address(Given):
    """A postal address."""

    name: Line
    line1: Line
    city: Line
    country: Country
    line2: Line | None = None
    postal_code: Line | None = None
    region: Line | None = None
    phone: Line | None = None


class Discount(Given):
    """A discount. The items' own `discount` says which of them it is for; otherwise it is on the whole order."""

    code: Line
    amount: Amount
    percent: Rate | None = None
    """By which `amount` was computed, as a decimal string; missing: a fixed amount. `amount` must be that per cent of
    the total, or of what the lines with a `discount` of their own cost: half a minor unit is rounded up."""


class BillingField(Given):
    """A field of the billing form that the checkout page has invented."""

    label: Line
    value: FreeText


class TaxLine(Given):
    """One tax, with its rate and country."""

    rate: Rate
    """Per cent as a decimal string."""
    country: Country
    amount: Amount
    name: Line = "VAT"


class PaidElsewhere(Given):
    """How an order was paid, without any of the payment providers."""

    method: Literal["bank_transfer", "cash", "other"]
    amount: Amount | None = None
    """What was paid, if it is to be compared. Refused if it is not the order's amount."""
    reference: Line = ""
    """Of the transfer or the receipt."""


class Card(Value):
    """The displayable details of a card."""

    brand: Short
    last4: Annotated[str, StringConstraints(pattern=r"^\d{4}$")]
    exp_month: int
    exp_year: int


class OrderItem(Value):
    """One line of an order, as placed: a product, or a delivery charge, which has an amount and a tax, but no stock and
    nothing to deliver."""

    item: Id
    """The line's id within the order: `1`, `2`, …"""
    sku: Id
    """Of a delivery charge: its method."""
    product: Short
    """Of a delivery charge: its name."""
    quantity: Count
    unit_price: Amount
    line_total: Amount
    """quantity × unit price, before discounts, and before tax unless prices include it."""
    purchased: Amount
    """This line's exact share of the order's purchased amount; at most this can be refunded for it."""
    discount: Amount | None = None
    """This line's part of the order's discounts. Missing in orders placed by earlier versions, as is `tax`."""
    tax: Amount | None = None
    """This line's part of the order's tax. line_total + tax (unless prices include it) - discount is `purchased`, up to
    the step in which the provider charges the currency."""
    tax_rate: Rate | None = None
    """Per cent as a decimal string, where the line has one rate and it is known."""
    tax_country: Country | None = None
    kind: LineKind = "product"
    shippable: bool = False
    thumbnail: Url | None = None
    custom_fields: dict[Short, Text] = Field(default_factory=dict)

    @property
    def is_delivery_charge(self) -> bool:
        return self.kind == "delivery"


class Instructions(Value):
    """How the customer gets or uses an item."""

    kind: Literal["download", "code", "course", "shipment", "manual"]
    link: Url | None = None
    """Where to download the file or open the course. Download links are signed and expire."""
    expires: AwareDatetime | None = None
    code: Short | None = None
    """The redemption code. Several codes are separated by commas, or only counted (`40 codes`) if that is too long."""
    codes: tuple[Short, ...] = ()
    """All redemption codes, if there are several."""
    carrier: Short | None = None
    tracking: Short | None = None
    note: Text | None = None
    quantity: Count | None = None
    """Units in the parcel, if it is not the only one."""
    parcel: Id | None = None
    """The parcel's id within the order."""


class StoreCard(Value):
    """What other services need to know about the store."""

    id: Id
    name: Short
    sender: Email
    """The From address of emails to customers."""
    staff_email: Email
    """Receives alerts to staff."""
    support_email: Email
    order_url: Url
    """The page where a customer sees an order and can pay again. `{order}` is replaced by the order id."""
    time_zone: Short | None = None
    """Of times that customers and staff read: `Europe/Berlin`. Missing: UTC."""
    status_words: dict[Short, Short] | None = None
    """What the store calls a status: `Paid` for `processing`. Missing: as it is."""
    start_by_hand: bool | None = None
    """The delivery of a paid order waits until staff start it."""
    languages: tuple[Short, ...] | None = None
    """BCP 47 tags of the languages that customers are written to in (`de-AT`), the first of which is for all other
    customers, and for staff. Missing: all that there are, and English for all others."""


def order_page(order_url: str, order: str) -> str:
    """The page of an order, from a store's `order_url`."""
    return order_url.replace("{order}", order)
