"""The status record of an order. Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.storefront import CartLine
from shared.contracts.values import (
    Address,
    Amount,
    BillingField,
    Count,
    Country,
    Currency,
    Customer,
    DeliveryStatus,
    Discount,
    Email,
    FulfilmentStatus,
    Id,
    Locale,
    OrderItem,
    OrderStatus,
    PaidElsewhere,
    PaymentStatus,
    Revision,
    Short,
    TaxLine,
    Text,
    Url,
    Value,
)
from shared.core import Event, Topic

STATUS = Topic(
    "orders.status.v1",
    owner="checkout",
    compacted=True,
    description="The latest complete state of every order, for staff tools.",
)


class StatusExtra(Value):
    """What the order's offer, or every order of the store, brings along with its items."""

    id: Id
    """`offer` or `order`."""
    name: Short
    delivery: DeliveryStatus


class StatusAsked(Value):
    """What the customer asks for, and staff have not answered."""

    wants: Short
    """`cancel` or `refund`."""
    text: Text = ""
    at: AwareDatetime


class StatusOpened(Value):
    """What the checkout page told when it was opened."""

    email: Email | None = None
    items: tuple[CartLine, ...] = ()


class OrderStatusRecord(Event, type="order.status", topic=STATUS):
    """The complete current state of one order. Later records of the same key replace earlier ones."""

    number: Short
    store: Id
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    revision: Revision
    """Increases with every change of the order; in leaps when checkout's database was restored to an earlier point."""
    currency: Currency
    created_at: AwareDatetime
    updated_at: AwareDatetime
    customer: Customer | None = None
    subtotal: Amount = 0
    discount: Amount = 0
    tax: Amount = 0
    total: Amount = 0
    purchased: Amount = 0
    prices_include_tax: bool = False
    """The total is the subtotal, which includes the tax; otherwise it is subtotal + tax."""
    refunded: Amount = 0
    items: tuple[StatusItem, ...] = ()
    extras: tuple[StatusExtra, ...] = ()
    """What its offer, or every order, brings, as far as fulfillment has told of it."""
    pay_url: Url | None = None
    """Where the customer can act: confirm by 3-D Secure, or pay again."""
    message: Text | None = None
    """Why the order is in this status, for people to read."""
    placed_at: AwareDatetime | None = None
    paid_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None
    """When the order was cancelled, expired or fully refunded."""
    country: Country | None = None
    source: Short | None = None
    tags: tuple[Short, ...] = ()
    display_status: OrderStatus | None = None
    """What to show in place of `status`, if that is something else: `refunded` after a partial refund, where the store
    wants it. What is left can still be refunded."""
    status_word: Short | None = None
    """What the store calls it, if that is something else: `Paid`."""
    held: Text | None = None
    """Why it is held for verification: nothing is delivered until staff release it. Missing once it is closed."""
    paid: Amount | None = None
    """What counts as paid, refunds included; 0 of an order that was given."""
    paid_elsewhere: PaidElsewhere | None = None
    """How staff say that it was paid, without a provider."""
    given: bool = False
    """Staff gave it for nothing."""
    restored: Amount = 0
    """What went back to the customer, and is no longer counted as refunded since staff restored the order."""
    discounts: tuple[Discount, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    billing: Address | None = None
    company: Short | None = None
    vat_number: Short | None = None
    billing_fields: tuple[BillingField, ...] = ()
    shipping: Address | None = None
    offer: Id | None = None
    locale: Locale | None = None
    link: Url | None = None
    """The checkout link by which the customer came."""
    analytics_consent: bool = False
    purchaser_role: Short | None = None
    terms: Short | None = None
    """Which terms were accepted: their version, or a hash of their text."""
    terms_accepted_at: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    """When the time to pay ends, while it waits for its payment, or has failed without it."""
    notes: Count = 0
    """How many notes staff have added."""
    messages: Count = 0
    """How many messages between customer and store were handed in."""
    asked: StatusAsked | None = None
    opened: StatusOpened | None = None
    """Until it is submitted, and of an abandoned checkout."""


class StatusItem(OrderItem):
    delivery: DeliveryStatus
    refunded: Amount = 0


OrderStatusRecord.model_rebuild()
