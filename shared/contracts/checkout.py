"""Messages of checkout, which owns the order: its commands, facts and status record. Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.order_status import STATUS, OrderStatusRecord, StatusExtra, StatusItem
from shared.contracts.pay_page import PayPage
from shared.contracts.values import (
    Address,
    Amount,
    Card,
    Count,
    Country,
    Currency,
    Customer,
    Discount,
    Email,
    FreeText,
    Id,
    Instructions,
    Line,
    Locale,
    OrderItem,
    OrderStatus,
    PaidElsewhere,
    Short,
    StoreCard,
    TaxLine,
    Text,
    Url,
    Value,
)
from shared.core import Command, Event, Refusal, Topic

__all__ = ["STATUS", "OrderStatusRecord", "StatusExtra", "StatusItem"]
"""What other modules have from here, too."""

COMMANDS = Topic(
    "checkout.commands.v1", owner="checkout", description="Requests by staff and customers about an order."
)
ORDERS = Topic("orders.events.v1", owner="checkout", description="All facts about orders.")


# Commands


class CancelOrder(Command, type="order.cancel", topic=COMMANDS):
    """Cancel an order that is not completed yet. A captured payment is refunded automatically."""

    reason: FreeText = ""


class CompleteOrder(Command, type="order.complete", topic=COMMANDS):
    """Mark an order as completed manually, even if items are still undelivered. Its actions run. Of an order that is
    completed already, those that failed are run again."""

    note: FreeText = ""
    paid: PaidElsewhere | None = None
    """Of an order that is not paid: how it was paid elsewhere. Payments enters it in the ledger, as provider
    `manual`. What is open at a provider is cancelled first."""
    given: bool = False
    """Of an order that is not paid: it is given for nothing."""
    restore_refunded: bool = False
    """Of an order with refunds: its totals, products and payment status are again as before them. No money moves, and
    the ledger stays as it is. Access that was removed stays removed."""
    latest_configuration: bool = False
    """Of an order with a failed action: run it again as its product is configured now, which replaces for good what
    was configured when it was bought."""


# Facts


class OrderCreated(Event, type="order.created", topic=ORDERS):
    """A checkout page was opened."""

    number: Short
    store: Id
    currency: Currency


class OrderPlaced(Event, type="order.placed", topic=ORDERS):
    """The order was submitted and is valid. Carries everything that other services need; fulfillment reserves stock.
    Delivery charges are among the items."""

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
    """After discounts: the amount to charge."""
    prices_include_tax: bool = False
    """The total is the subtotal, which includes the tax; otherwise it is subtotal + tax."""
    discounts: tuple[Discount, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    billing: Address | None = None
    shipping: Address | None = None
    country: Country | None = None
    locale: Locale | None = None
    offer: Id | None = None
    held: Text | None = None
    """Why the store's rules hold it for verification: nothing is delivered until staff release it."""
    to_approve: bool | None = None
    """Staff accept or decline it before it is charged: `order.approval_requested` says when it is ready for that."""


class CheckoutRefused(Refusal, type="checkout.refused", topic=ORDERS):
    """A checkout message or a command to checkout was refused. The order is unchanged."""


class OrderPaymentRequested(Event, type="order.payment_requested", topic=ORDERS):
    """Stock is reserved; payments charges the customer."""

    attempt: Count
    """Counts from 1: the customer's first payment attempt, the second, …"""
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
    requested_at: AwareDatetime | None = None
    """When this attempt was requested. It cannot have been charged earlier."""
    until: AwareDatetime | None = None
    """Deadline for payment. Nothing is charged after it."""
    provider: Short | None = None
    """Without one: `stripe`."""
    method: Short | None = None
    """`card`, …; without one: the provider's usual one."""
    kept_card: bool | None = None
    """Charge the card that was verified and kept (`order.verification_requested`), while the customer is away."""


class OrderStrayCharge(Event, type="order.stray_charge", topic=ORDERS):
    """The payment provider has a charge that names this order and that orderbus did not make. Staff decide."""

    amount: Amount
    currency: Currency
    transaction: Short
    """The provider's id: `pi_…`."""


class OrderPaymentActionRequired(Event, type="order.payment_action_required", topic=ORDERS):
    """The customer must confirm the payment with the bank (3-D Secure) at `url`."""

    url: Url
    until: AwareDatetime
    page: PayPage | None = None
    """What the pay page shows."""


class OrderPaymentDeclined(Event, type="order.payment_declined", topic=ORDERS):
    """The payment was declined. The customer can pay again at `url` until `until`."""

    attempt: Count
    code: Short
    """One of the reasons listed at `payment.declined`, field `reason`."""
    text: Text
    """For the customer."""
    url: Url
    until: AwareDatetime
    tries_left: Count | None = None
    """How often the customer can still try to pay. 0: it cannot be paid again, and the order has
    failed (`order.failed`)."""
    retry_after: AwareDatetime | None = None
    """When the customer can pay again, unless at once."""
    page: PayPage | None = None
    """What the pay page shows."""


class OrderPaymentReminder(Event, type="order.payment_reminder", topic=ORDERS):
    """The order is still not paid. The customer can pay at `url` until `until`."""

    reminder: Count
    """Counts from 1, and again from 1 after the first declined payment."""
    amount: Amount
    currency: Currency
    url: Url
    until: AwareDatetime
    declined: bool = False
    """A payment was declined."""
    page: PayPage | None = None
    """What the pay page shows."""


class OrderPaymentClosing(Event, type="order.payment_closing", topic=ORDERS):
    """The time to pay is over, and a payment attempt may still be open. Payments charges nothing more, cancels what it
    can, and answers with `payment.captured`, `payment.cancelled` or `payment.declined`. Asked again until it does."""

    attempt: Count
    """The latest one."""


class OrderPaid(Event, type="order.paid", topic=ORDERS):
    """The order is paid in full; fulfillment delivers its items."""

    amount: Amount
    currency: Currency
    card: Card | None = None
    """Missing if the order was free."""


class OrderItemsDelivered(Event, type="order.items_delivered", topic=ORDERS):
    """Items were delivered, with the instructions for using them. Sent once no delivery of the order is in progress."""

    items: tuple[DeliveredItem, ...]


class DeliveredItem(Value):
    item: Id
    product: Short
    quantity: Count
    instructions: Instructions


class OrderDeliveryFailed(Event, type="order.delivery_failed", topic=ORDERS):
    """An item could not be delivered and needs attention."""

    item: Id
    product: Short
    code: Short
    text: Text


class OrderDeliveryWaiting(Event, type="order.delivery_waiting", topic=ORDERS):
    """An item waits until staff have fixed something, such as configured its product. Not for daily work."""

    item: Id
    product: Short
    code: Short
    text: Text


class OrderSupplyLow(Event, type="order.supply_low", topic=ORDERS):
    """Little is left of what the order took from. Nothing of it is held up, but staff must see to it: by and by others
    will be."""

    what: Line
    """`pool Game keys`."""
    text: Text


class OrderDeliveryResumed(Event, type="order.delivery_resumed", topic=ORDERS):
    """The delivery of a failed item is being retried."""

    item: Id


class OrderCompleted(Event, type="order.completed", topic=ORDERS):
    """All items are delivered, or staff completed the order manually."""

    by_hand: bool = False


class OrderCancelled(Event, type="order.cancelled", topic=ORDERS):
    """The order was cancelled: deliveries stop, access is revoked, stock is released and payments are refunded."""

    reason: Text = ""
    code: Short = "cancelled"
    """`cancelled`, `abandoned` (by the customer, who then wrote the reason), `sold_out` or `not_verified`
    (the card)."""
    sold_out: tuple[Id, ...] = ()
    """The SKUs that were out of stock."""


class OrderExpired(Event, type="order.expired", topic=ORDERS):
    """The order was not paid in time."""

    was: OrderStatus


class OrderFailed(Event, type="order.failed", topic=ORDERS):
    """Payment or delivery failed permanently. The order needs attention."""

    reason: Text
    unpaid: bool = False
    """It cannot be paid any more. Staff can allow it (`order.reopen`) until its time to pay is over."""


class OrderRefunded(Event, type="order.refunded", topic=ORDERS):
    """A refund was made."""

    refund: Id
    amount: Amount
    currency: Currency
    refunded: Amount
    """Sum of all refunds so far."""
    whole: bool
    """True if nothing is left to refund."""
    items: tuple[Id, ...] = ()
    """Items that are now fully refunded. Access to them is revoked and their units are put back in stock, unless the
    fields below say otherwise. What was not delivered yet is not delivered any more."""
    reason: Short = ""
    recorded: bool = False
    """True if the provider moved no money: the customer gets it in another way."""
    remove_access: tuple[Id, ...] | None = None
    """The items whose access is removed. Missing: that of all `items`."""
    remove_offer_access: bool = False
    """What came with the order's offer, and with every order of the store, is removed."""
    restock: tuple[Id, ...] | None = None
    """The items whose units are put back in stock. Missing: those of all `items`."""


class OrderRefundFailed(Event, type="order.refund_failed", topic=ORDERS):
    """The provider did not make a refund, or reversed it later. It needs attention."""

    refund: Id
    amount: Amount
    currency: Currency
    refunded: Amount
    """Sum of all refunds that are in effect."""
    code: Short
    text: Text
    returned: bool = False
    """True if it was made, and the bank sent the money back: the store has it again."""


OrderItemsDelivered.model_rebuild()
