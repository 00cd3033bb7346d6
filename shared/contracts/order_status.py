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
    OrderNumber,
    OrderStatus,
    PaidElsewhere,
    PaymentStatus,
    Revision,
    Short,
    StoreId,
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
    """`offer` for what its offer brings, `order` for what every order does."""
    name: Short
    """Its name, as the customer reads it."""
    delivery: DeliveryStatus
    """The status of its delivery."""


class StatusAsked(Value):
    """What the customer asks for, and staff have not answered."""

    wants: Short
    """What the customer asks for: `cancel` or `refund`."""
    text: Text = ""
    """Why, in the customer's words."""
    at: AwareDatetime
    """When the customer asked."""


class StatusOpened(Value):
    """What the checkout page told when it was opened."""

    email: Email | None = None
    """The customer's address, if it was known."""
    items: tuple[CartLine, ...] = ()
    """What was in the cart."""


class OrderStatusRecord(Event, type="order.status", topic=STATUS):
    """The complete current state of one order. Later records of the same key replace earlier ones."""

    number: OrderNumber
    store: StoreId
    status: OrderStatus
    """The order's status."""
    payment_status: PaymentStatus
    """The status of its payment."""
    fulfilment_status: FulfilmentStatus
    """The status of its delivery, all items together."""
    revision: Revision
    """Increases with every change of the order; in leaps when checkout's database was restored to an earlier point."""
    currency: Currency
    created_at: AwareDatetime
    """When the checkout page was opened or, without that, when the order was submitted."""
    updated_at: AwareDatetime
    """When this state was reached."""
    customer: Customer | None = None
    """The buyer. Missing until the order is placed."""
    subtotal: Amount = 0
    """Sum of the lines' `line_total`: before discounts, and before tax unless prices include it."""
    discount: Amount = 0
    """Sum of the discounts."""
    tax: Amount = 0
    """Sum of the taxes."""
    total: Amount = 0
    """Before discounts, and with tax."""
    purchased: Amount = 0
    """After discounts: the amount to pay."""
    prices_include_tax: bool = False
    """The total is the subtotal, which includes the tax; otherwise it is subtotal + tax."""
    refunded: Amount = 0
    """Sum of all refunds that are in effect."""
    items: tuple[StatusItem, ...] = ()
    """The order's lines. Empty until the order is placed."""
    extras: tuple[StatusExtra, ...] = ()
    """What its offer, or every order, brings, as far as fulfillment has told of it."""
    pay_url: Url | None = None
    """Where the customer can act: confirm by 3-D Secure, or pay again."""
    message: Text | None = None
    """Why the order is in this status, for staff. Never show it to customers: it may hold what staff or a provider
    said."""
    placed_at: AwareDatetime | None = None
    """When the order was placed."""
    paid_at: AwareDatetime | None = None
    """When the order was paid."""
    completed_at: AwareDatetime | None = None
    """When the order was completed."""
    closed_at: AwareDatetime | None = None
    """When the order was cancelled, expired or fully refunded."""
    country: Country | None = None
    source: Short | None = None
    """Where the customer came from, in the storefront's words."""
    tags: tuple[Short, ...] = ()
    """The storefront's words for the checkout."""
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
    """Each discount, by its code."""
    taxes: tuple[TaxLine, ...] = ()
    """Each tax, by rate and country."""
    billing: Address | None = None
    """The billing address, if the customer gave one."""
    company: Short | None = None
    """The customer's company."""
    vat_number: Short | None = None
    """The company's VAT number, as the customer wrote it."""
    billing_fields: tuple[BillingField, ...] = ()
    """What else the billing form asked, in its order."""
    shipping: Address | None = None
    """Where parcels are sent."""
    offer: Id | None = None
    """The offer that the checkout page named."""
    locale: Locale | None = None
    link: Url | None = None
    """The checkout link by which the customer came."""
    analytics_consent: bool = False
    """The customer consents to analytics."""
    purchaser_role: Short | None = None
    """The customer's role in the store's words: `instructor`, `student`, …"""
    terms: Short | None = None
    """Which terms were accepted: their version, or a hash of their text."""
    terms_accepted_at: AwareDatetime | None = None
    """When the customer accepted the terms."""
    deadline: AwareDatetime | None = None
    """When the time to pay ends, while it waits for its payment, or has failed without it."""
    notes: Count = 0
    """How many notes staff have added."""
    messages: Count = 0
    """How many messages between customer and store were handed in."""
    asked: StatusAsked | None = None
    """What the customer asks for, until staff answer."""
    opened: StatusOpened | None = None
    """Until it is submitted, and of an abandoned checkout."""
    retry_after: AwareDatetime | None = None
    """When the customer can pay again after a decline, unless at once."""
    client_ip: Short | None = None
    """The customer's IP address, as the storefront told it. Missing until the order is placed."""
    erased_at: AwareDatetime | None = None
    """When the customer's personal data was erased: the fields above that held it are missing since."""


class StatusItem(OrderItem):
    """A line of the order, with its delivery and its refunds."""

    delivery: DeliveryStatus
    """The status of its delivery, with all of its actions."""
    refunded: Amount = 0
    """What was refunded for it."""


OrderStatusRecord.model_rebuild()
