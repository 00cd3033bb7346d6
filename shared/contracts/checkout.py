"""Checkout owns the order: its facts, its status record, and the commands that it takes. Key: the order id."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from shared.contracts.values import (
    Address,
    Amount,
    Card,
    Count,
    Country,
    Currency,
    Customer,
    DeliveryStatus,
    Discount,
    Email,
    FulfilmentStatus,
    Id,
    Instructions,
    Locale,
    OrderItem,
    OrderStatus,
    PaymentStatus,
    Short,
    StoreCard,
    TaxLine,
    Text,
    Url,
    Value,
    Wait,
)
from shared.core import Command, Event, Refusal, Topic

COMMANDS = Topic("checkout.commands.v1", owner="checkout", description="What staff and customers ask of an order.")
ORDERS = Topic("orders.events.v1", owner="checkout", description="Everything that happens to an order.")
STATUS = Topic(
    "orders.status.v1",
    owner="checkout",
    compacted=True,
    description="The latest state of every order, whole, for any staff tool.",
)


# Commands


class ConfigureStore(Command, type="store.configure", topic=COMMANDS):
    """Set a store's settings, whole. Key: the store's id."""

    name: Short
    sender: Email
    staff_email: Email
    support_email: Email
    order_url: Url
    """Where a customer sees an order and pays again; `{order}` stands for the order id."""
    currencies: tuple[Currency, ...] = Field(min_length=1)
    grace: Wait = timedelta(days=7)
    """How long an unpaid order waits for another payment (ISO 8601 duration)."""
    abandon_after: Wait = timedelta(days=1)
    """How long a merely opened checkout lives."""
    require_sign_in: bool = False
    statement_descriptor: Short | None = None


class DefineSku(Command, type="sku.define", topic=COMMANDS):
    """Set what can be bought, whole. Key: `<store>/<sku>`."""

    product: Short
    prices: dict[Currency, Amount]
    """Unit price by currency."""
    shippable: bool = False
    active: bool = True
    thumbnail: Url | None = None


class CancelOrder(Command, type="order.cancel", topic=COMMANDS):
    """Cancel before completion. Money already taken is refunded automatically."""

    reason: Text = ""


class CompleteOrder(Command, type="order.complete", topic=COMMANDS):
    """Mark a paid order as completed by hand, whatever is left to deliver."""

    note: Text = ""


# Facts


class OrderCreated(Event, type="order.created", topic=ORDERS):
    """A checkout page was opened."""

    number: Short
    store: Id
    currency: Currency


class OrderPlaced(Event, type="order.placed", topic=ORDERS):
    """Submitted and found right: everything about the order, for those who will work on it. Its stock is wanted."""

    number: Short
    store: StoreCard
    customer: Customer
    items: tuple[OrderItem, ...]
    currency: Currency
    subtotal: Amount
    discount: Amount
    tax: Amount
    total: Amount
    """Before discounts."""
    purchased: Amount
    """What is charged."""
    discounts: tuple[Discount, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    billing: Address | None = None
    shipping: Address | None = None
    country: Country | None = None
    locale: Locale | None = None


class CheckoutRefused(Refusal, type="checkout.refused", topic=ORDERS):
    """A checkout message or a command to checkout was refused. The order stayed as it was."""


class OrderPaymentRequested(Event, type="order.payment_requested", topic=ORDERS):
    """The stock is reserved: charge the customer."""

    attempt: Count
    """1 for the first try, 2 for the customer's second, …"""
    number: Short
    store: Id
    amount: Amount
    currency: Currency
    items: tuple[OrderItem, ...]
    customer_email: Email
    return_url: Url
    payment_method: Short | None = None
    token: Short | None = None
    statement_descriptor: Short | None = None
    requested_at: datetime | None = None
    """When this attempt was asked for: nothing can have been charged for it earlier."""
    until: datetime | None = None
    """When the order's time to pay is over: nothing is charged after it."""


class OrderPaymentActionRequired(Event, type="order.payment_action_required", topic=ORDERS):
    """The customer must confirm the payment with the bank (3-D Secure) at `url`."""

    url: Url
    until: datetime


class OrderPaymentDeclined(Event, type="order.payment_declined", topic=ORDERS):
    """The payment did not go through; the customer can pay again at `url` until `until`."""

    attempt: Count
    code: Short
    """Why, of the closed list of `payment.declined`."""
    text: Text
    """For the customer."""
    url: Url
    until: datetime


class OrderPaid(Event, type="order.paid", topic=ORDERS):
    """Paid in full: deliver."""

    amount: Amount
    currency: Currency
    card: Card | None = None
    """None for an order that costs nothing."""


class OrderItemsDelivered(Event, type="order.items_delivered", topic=ORDERS):
    """Items reached the customer, with what is needed to use them; sent when nothing more is under way at once."""

    items: tuple[DeliveredItem, ...]


class DeliveredItem(Value):
    item: Id
    product: Short
    quantity: Count
    instructions: Instructions


class OrderDeliveryFailed(Event, type="order.delivery_failed", topic=ORDERS):
    """An item could not be delivered; a person must look."""

    item: Id
    product: Short
    code: Short
    text: Text


class OrderDeliveryResumed(Event, type="order.delivery_resumed", topic=ORDERS):
    """What had failed is tried again."""

    item: Id


class OrderCompleted(Event, type="order.completed", topic=ORDERS):
    """Every item is delivered, or staff said so."""

    by_hand: bool = False


class OrderCancelled(Event, type="order.cancelled", topic=ORDERS):
    """Cancelled: deliver nothing more, take back what was granted, release the stock, give back the money."""

    reason: Text = ""
    code: Short = "cancelled"
    """`cancelled` or `sold_out`."""
    sold_out: tuple[Id, ...] = ()
    """The SKUs that were not there."""


class OrderExpired(Event, type="order.expired", topic=ORDERS):
    """Not paid in time."""

    was: OrderStatus


class OrderFailed(Event, type="order.failed", topic=ORDERS):
    """Payment or delivery failed for good; a person must look."""

    reason: Text


class OrderRefunded(Event, type="order.refunded", topic=ORDERS):
    """Money went back. `whole` when nothing is left to refund."""

    refund: Id
    amount: Amount
    currency: Currency
    refunded: Amount
    """All refunds so far."""
    whole: bool
    items: tuple[Id, ...] = ()
    """Items that are now refunded wholly: their access is to be revoked."""
    reason: Short = ""


class OrderRefundFailed(Event, type="order.refund_failed", topic=ORDERS):
    """The provider did not give money back, or took a refund back later; a person must look."""

    refund: Id
    amount: Amount
    currency: Currency
    refunded: Amount
    """All refunds that stand."""
    code: Short
    text: Text


class OrderStatusRecord(Event, type="order.status", topic=STATUS):
    """One order, whole, as it is now. Later records of the same key replace earlier ones."""

    number: Short
    store: Id
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    revision: Count
    """Grows with every change of the order."""
    currency: Currency
    created_at: datetime
    updated_at: datetime
    customer: Customer | None = None
    subtotal: Amount = 0
    discount: Amount = 0
    tax: Amount = 0
    total: Amount = 0
    purchased: Amount = 0
    refunded: Amount = 0
    items: tuple[StatusItem, ...] = ()
    pay_url: Url | None = None
    """Where the customer must act: 3-D Secure or paying again."""
    message: Text | None = None
    """Why the order is where it is, for a person."""
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    closed_at: datetime | None = None
    """When it was cancelled, expired or refunded."""
    country: Country | None = None
    source: Short | None = None
    tags: tuple[Short, ...] = ()


class StatusItem(OrderItem):
    delivery: DeliveryStatus
    refunded: Amount = 0


EMITS: tuple[type[Event], ...] = (
    OrderCreated,
    OrderPlaced,
    CheckoutRefused,
    OrderPaymentRequested,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaid,
    OrderItemsDelivered,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderCompleted,
    OrderCancelled,
    OrderExpired,
    OrderFailed,
    OrderRefunded,
    OrderRefundFailed,
    OrderStatusRecord,
)
OrderItemsDelivered.model_rebuild()
OrderStatusRecord.model_rebuild()
