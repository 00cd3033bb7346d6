"""Values that several messages share. Amounts are minor units of the message's currency (ISO 4217)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from shared.contracts.addresses import callable_url
from shared.contracts.text import email_address, lines, one_line
from shared.core.descriptions import Means, Unit, describe
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


Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT), Unit("In minor units: 1999 is 19.99 USD.")]
Currency = Annotated[
    str, AfterValidator(_is_currency), Field(examples=["USD"]), Means("The currency: its ISO 4217 code.")
]
Country = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{2}$"), Means("The customer's country: its ISO 3166-1 alpha-2 code.")
]
Locale = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"),
    Means("The customer's language and region: `en-GB`."),
]
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
"""The rate in per cent, as a decimal string: `20`, `5.5`."""
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2000)]
CallableUrl = Annotated[Url, AfterValidator(callable_url)]
"""A URL that we are asked to call: it has a valid host and port, and no link-local address or the like."""
StoreId = Annotated[Id, Means("The store's id.")]
OrderNumber = Annotated[Short, Means("The order's number, as the customer reads it.")]
ItemId = Annotated[Id, Means("The item's id within the order: `1`, `2`, …")]
PartId = Annotated[
    Id, Means("The item's id within the order; `offer` for what its offer brings, `order` for what every order does.")
]
Execution = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}(/[1-9][0-9]?)?$")]
"""An item's first execution is named like the item, the second of item 1 is `1/2`."""
Provider = Annotated[Short, Means("The payment provider: `stripe`, or `manual` for what staff record.")]
RefundId = Annotated[Id, Means("The refund's id.")]
Count = Annotated[int, Field(ge=0, le=10**9)]
PaymentAttempt = Annotated[Count, Means("The number of the payment attempt: 1 is the customer's first.")]
Verification = Annotated[Count, Means("The number of the card's verification: 1 is that of the first card.")]
Revision = Annotated[int, Field(ge=0, le=2**53 - 1)]
Wait = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=3660))]
"""A duration (ISO 8601): more than zero, at most about ten years."""
CoolDown = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=3660))]
"""The same, or zero."""


class Value(BaseModel):
    """A part of a message. Readers ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", defer_build=True, json_schema_extra=describe)


class Given(BaseModel):
    """A part of what a storefront or staff send. Unknown fields are an error that names them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True, json_schema_extra=describe)


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
    """The status of an order's payment."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    PAID = "paid"
    FAILED = "failed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CHARGED_BACK = "charged_back"


class FulfilmentStatus(StrEnum):
    """The status of an order's delivery, all items together."""

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
    """First and last name, as the customer writes it."""
    email: Email
    """Where emails to the customer are sent."""
    id: Id | None = None
    """The storefront's id for the customer, if signed in."""
    phone: Line | None = None
    """The phone number, if given."""
    signed_in: bool = False
    """The customer is signed in to the storefront."""
    account_link: Url | None = None
    """The customer's page in the storefront's administration, for staff."""


class Address(Given):
    """A postal address."""

    name: Line
    """Who receives what is sent there."""
    line1: Line
    """Street and number."""
    city: Line
    """The city or town."""
    country: Country
    """ISO 3166-1 alpha-2 code."""
    line2: Line | None = None
    """Flat, floor, building, …"""
    postal_code: Line | None = None
    """The postal code, where the country has them."""
    region: Line | None = None
    """State, province or county."""
    phone: Line | None = None
    """For the carrier."""


class Discount(Given):
    """A discount. The items' own `discount` says which of them it is for; otherwise it is on the whole order."""

    code: Line
    """The code that the customer entered, or the name of the discount."""
    amount: Amount
    """How much it takes off."""
    percent: Rate | None = None
    """By which `amount` was computed, as a decimal string; missing: a fixed amount. `amount` must be that per cent of
    the total, or of what the lines with a `discount` of their own cost: half a minor unit is rounded up."""


class BillingField(Given):
    """A field of the billing form that the checkout page has invented."""

    label: Line
    """The field's label, as the customer read it."""
    value: FreeText
    """What the customer entered."""


class TaxLine(Given):
    """One tax, with its rate and country."""

    rate: Rate
    """The rate in per cent, as a decimal string: `20`, `5.5`."""
    country: Country
    """Where it is due: ISO 3166-1 alpha-2 code."""
    amount: Amount
    """The tax."""
    name: Line = "VAT"
    """Its name, as the customer reads it."""


class PaidElsewhere(Given):
    """How an order was paid, without any of the payment providers."""

    method: Literal["bank_transfer", "cash", "other"]
    """How it was paid."""
    amount: Amount | None = None
    """What was paid, if it is to be compared. Refused if it is not the order's amount."""
    reference: Line = ""
    """The reference of the transfer or the receipt."""


class Card(Value):
    """The displayable details of a card."""

    brand: Short
    """The card's network: `visa`, `mastercard`, …"""
    last4: Annotated[str, StringConstraints(pattern=r"^\d{4}$")]
    """The last four digits of its number."""
    exp_month: int
    """The month in which it expires, 1 to 12."""
    exp_year: int
    """The year in which it expires, with four digits."""


class OrderItem(Value):
    """One line of an order, as placed: a product, or a delivery charge, which has an amount and a tax, but no stock and
    nothing to deliver."""

    item: Id
    """The line's id within the order: `1`, `2`, …"""
    sku: Id
    """The SKU; of a delivery charge, its method."""
    product: Short
    """The product's name; of a delivery charge, its name."""
    quantity: Count
    """How many units."""
    unit_price: Amount
    """The price of one unit, before tax unless prices include it."""
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
    """The rate of the tax in per cent, as a decimal string, where the line has one rate and it is known."""
    tax_country: Country | None = None
    """Where its tax is due: ISO 3166-1 alpha-2 code."""
    kind: LineKind = "product"
    """`product` (chosen), `order_bump` (added on the checkout page) or `pre_upsell` (taken from an offer before it), or
    `delivery` (a delivery charge)."""
    shippable: bool = False
    """It is sent in a parcel."""
    thumbnail: Url | None = None
    """A small picture of the product."""
    custom_fields: dict[Short, Text] = Field(default_factory=dict)
    """What the customer wrote into the product's own fields, by their names."""

    @property
    def is_delivery_charge(self) -> bool:
        return self.kind == "delivery"


class Instructions(Value):
    """How the customer gets or uses an item."""

    kind: Literal["download", "code", "course", "shipment", "manual"]
    """How it was delivered."""
    link: Url | None = None
    """Where to download the file or open the course. Download links are signed and expire."""
    expires: AwareDatetime | None = None
    """When the link ends. Missing: it does not."""
    code: Short | None = None
    """The redemption code. Several codes are separated by commas, or only counted (`40 codes`) if that is too long."""
    codes: tuple[Short, ...] = ()
    """All redemption codes, if there are several."""
    carrier: Short | None = None
    """The carrier's name."""
    tracking: Short | None = None
    """The tracking number."""
    note: Text | None = None
    """A text for the customer."""
    quantity: Count | None = None
    """Units in the parcel, if it is not the only one."""
    parcel: Id | None = None
    """The parcel's id within the order."""


class StoreCard(Value):
    """What other services need to know about the store."""

    id: Id
    """The store's id."""
    name: Short
    """The store's name, as customers read it."""
    sender: Email
    """The From address of emails to customers."""
    staff_email: Email
    """Receives alerts to staff."""
    support_email: Email
    """Where customers write to."""
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
    keep_orders: Wait | None = None
    """How long the personal data of an order is to be kept, from its end (ISO 8601 duration). Missing: for good."""


def order_page(order_url: str, order: str) -> str:
    """The page of an order, from a store's `order_url`."""
    return order_url.replace("{order}", order)
