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
    OrderNumber,
    OrderStatus,
    PaidElsewhere,
    PartId,
    PaymentAttempt,
    RefundId,
    Short,
    StoreCard,
    StoreId,
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
    """Why. Part of the order's timeline and of `order.cancelled`."""


class CompleteOrder(Command, type="order.complete", topic=COMMANDS):
    """Mark an order as completed manually, even if items are still undelivered. Its actions run. Of an order that is
    completed already, those that failed are run again."""

    note: FreeText = ""
    """For the order's timeline: why it is completed manually."""
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

    number: OrderNumber
    store: StoreId
    currency: Currency


class OrderPlaced(Event, type="order.placed", topic=ORDERS):
    """The order was submitted and is valid. Carries everything that other services need; fulfillment reserves stock.
    Delivery charges are among the items."""

    number: OrderNumber
    store: StoreCard
    """The store's settings that other services need, as they were when the order was placed."""
    customer: Customer
    """The buyer."""
    items: tuple[OrderItem, ...]
    """The order's lines, in the order of the checkout; delivery charges last."""
    currency: Currency
    subtotal: Amount
    """Sum of the lines' `line_total`: before discounts, and before tax unless prices include it."""
    discount: Amount
    """Sum of the discounts."""
    tax: Amount
    """Sum of the taxes."""
    total: Amount
    """Before discounts."""
    purchased: Amount
    """After discounts: the amount to charge."""
    prices_include_tax: bool = False
    """The total is the subtotal, which includes the tax; otherwise it is subtotal + tax."""
    discounts: tuple[Discount, ...] = ()
    """Each discount, by its code."""
    taxes: tuple[TaxLine, ...] = ()
    """Each tax, by rate and country."""
    billing: Address | None = None
    """The billing address, if the customer gave one."""
    shipping: Address | None = None
    """Where parcels are sent. Present if an item is shippable."""
    country: Country | None = None
    locale: Locale | None = None
    offer: Id | None = None
    """The offer that the checkout page named: what it brings is delivered along with the items."""
    held: Text | None = None
    """Why the store's rules hold it for verification: nothing is delivered until staff release it."""
    to_approve: bool | None = None
    """Staff accept or decline it before it is charged: `order.approval_requested` says when it is ready for that."""
    until: AwareDatetime | None = None
    """When the time to pay ends. Missing from older builds."""
    client_ip: Short | None = None
    """The customer's IP address, as the storefront named it, for staff."""


class CheckoutRefused(Refusal, type="checkout.refused", topic=ORDERS):
    """A checkout message or a command to checkout was refused. The order is unchanged."""


class OrderPaymentRequested(Event, type="order.payment_requested", topic=ORDERS):
    """Stock is reserved; payments charges the customer."""

    attempt: Count
    """Counts from 1: the customer's first payment attempt, the second, …"""
    number: OrderNumber
    store: StoreId
    amount: Amount
    """What to charge."""
    currency: Currency
    items: tuple[OrderItem, ...]
    """The order's lines."""
    customer_email: Email
    """Passed to the provider with the charge."""
    return_url: Url
    """Where the customer returns to after confirming the payment with the bank."""
    payment_method: Short | None = None
    """The provider's id of the payment method: `pm_…`."""
    token: Short | None = None
    """The provider's token, if there is no payment method: `tok_…`."""
    statement_descriptor: Short | None = None
    """What the customer reads on the card's statement. Missing: the provider's own text."""
    requested_at: AwareDatetime | None = None
    """When this attempt was requested. It cannot have been charged earlier."""
    until: AwareDatetime | None = None
    """Deadline for payment. Nothing is charged after it."""
    provider: Short | None = None
    """The payment provider. Missing: `stripe`."""
    method: Short | None = None
    """How the customer pays: `card`, … Missing: the provider's usual method."""
    kept_card: bool | None = None
    """Charge the card that was verified and kept (`order.verification_requested`), while the customer is away."""


class OrderStrayCharge(Event, type="order.stray_charge", topic=ORDERS):
    """The payment provider has a charge that names this order and that orderbus did not make. Staff decide."""

    amount: Amount
    """The amount of the charge."""
    currency: Currency
    transaction: Short
    """The provider's id: `pi_…`."""


class OrderPaymentActionRequired(Event, type="order.payment_action_required", topic=ORDERS):
    """The customer must confirm the payment with the bank (3-D Secure) at `url`."""

    url: Url
    """Where the customer confirms the payment."""
    until: AwareDatetime
    """Deadline for the confirmation. The order expires after it."""
    page: PayPage | None = None
    """What the pay page shows."""


class OrderPaymentDeclined(Event, type="order.payment_declined", topic=ORDERS):
    """The payment was declined. The customer can pay again at `url` until `until`."""

    attempt: PaymentAttempt
    code: Short
    """One of the reasons listed at `payment.declined`, field `reason`."""
    text: Text
    """A text for the customer."""
    url: Url
    """Where the customer can pay again."""
    until: AwareDatetime
    """When the time to pay ends. The order expires then."""
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
    """What is to be paid."""
    currency: Currency
    url: Url
    """Where the customer can pay."""
    until: AwareDatetime
    """When the time to pay ends. The order expires then."""
    declined: bool = False
    """Whether a payment was declined before."""
    page: PayPage | None = None
    """What the pay page shows."""


class OrderPaymentClosing(Event, type="order.payment_closing", topic=ORDERS):
    """The time to pay is over, and a payment attempt may still be open. Payments charges nothing more, cancels what it
    can, and answers with `payment.captured`, `payment.cancelled` or `payment.declined`. Asked again until it does."""

    attempt: Count
    """The number of the latest payment attempt."""
    by_hand: bool | None = None
    """Staff complete the order by hand; otherwise the time to pay is over."""


class OrderPaid(Event, type="order.paid", topic=ORDERS):
    """The order is paid in full; fulfillment delivers its items."""

    amount: Amount
    """What was charged; 0 if the order was free."""
    currency: Currency
    card: Card | None = None
    """The card that was charged. Missing if no card was."""


class OrderItemsDelivered(Event, type="order.items_delivered", topic=ORDERS):
    """Items were delivered, with the instructions for using them. Sent once no delivery of the order is in progress."""

    items: tuple[DeliveredItem, ...]
    """What was delivered since the last such event."""


class DeliveredItem(Value):
    """An item that was delivered, and how the customer uses it."""

    item: PartId
    product: Short
    """The product's name, or the name of what the offer or every order brings."""
    quantity: Count
    """How many units."""
    instructions: Instructions
    """How the customer gets or uses it."""


class OrderDeliveryFailed(Event, type="order.delivery_failed", topic=ORDERS):
    """An item could not be delivered and needs attention."""

    item: PartId
    product: Short
    """The product's name."""
    code: Short
    """Why, machine-readable: see docs/delivery.md."""
    text: Text
    """For staff: what to fix."""


class OrderDeliveryWaiting(Event, type="order.delivery_waiting", topic=ORDERS):
    """An item waits until staff have fixed something, such as configured its product. Not for daily work."""

    item: PartId
    product: Short
    """The product's name."""
    code: Short
    """What it waits for, machine-readable: `not_configured`, `pool_empty`, …"""
    text: Text
    """For staff: what to fix."""


class OrderSupplyLow(Event, type="order.supply_low", topic=ORDERS):
    """Little is left of what the order took from. Nothing of it is held up, but staff must see to it."""

    what: Line
    """What is low, for staff: `pool Game keys`."""
    text: Text
    """For staff: what is left, and what to do."""


class OrderDeliveryResumed(Event, type="order.delivery_resumed", topic=ORDERS):
    """The delivery of a failed item is being retried."""

    item: PartId
    status: OrderStatus | None = None
    """The order's status after it. Missing where an older build told it."""


class OrderCompleted(Event, type="order.completed", topic=ORDERS):
    """All items are delivered, or staff completed the order manually."""

    by_hand: bool = False
    """Staff completed it, by `order.complete`."""
    by: Short | None = None
    """Who, in that case. Missing from older builds."""
    note: Text | None = None
    """What they noted."""


class OrderCancelled(Event, type="order.cancelled", topic=ORDERS):
    """The order was cancelled: deliveries stop, access is revoked, stock is released and payments are refunded."""

    reason: Text = ""
    """Why, in the words of who cancelled it."""
    code: Short = "cancelled"
    """`cancelled`, `abandoned` (by the customer, who then wrote the reason), `sold_out` or `not_verified`
    (the card)."""
    sold_out: tuple[Id, ...] = ()
    """The SKUs that were out of stock."""


class OrderExpired(Event, type="order.expired", topic=ORDERS):
    """The order was not paid in time."""

    was: OrderStatus
    """The status in which it expired."""


class OrderFailed(Event, type="order.failed", topic=ORDERS):
    """Payment or delivery failed permanently. The order needs attention."""

    reason: Text
    """For staff: what failed."""
    unpaid: bool = False
    """It cannot be paid any more. Staff can allow it (`order.reopen`) until its time to pay is over."""


class OrderRefunded(Event, type="order.refunded", topic=ORDERS):
    """A refund was made."""

    refund: RefundId
    amount: Amount
    """The amount of this refund."""
    currency: Currency
    refunded: Amount
    """Sum of all refunds so far."""
    whole: bool
    """True if nothing is left to refund."""
    items: tuple[Id, ...] = ()
    """Items that are now fully refunded. Access to them is revoked and their units are put back in stock, unless the
    fields below say otherwise. What was not delivered yet is not delivered any more."""
    reason: Short = ""
    """As in `payment.refunded`: `requested_by_customer`, …"""
    recorded: bool = False
    """True if the provider moved no money: the customer gets it in another way."""
    remove_access: tuple[Id, ...] | None = None
    """The items whose access is removed. Missing: that of all `items`."""
    remove_offer_access: bool = False
    """What came with the order's offer, and with every order of the store, is removed."""
    restock: tuple[Id, ...] | None = None
    """The items whose units are put back in stock. Missing: those of all `items`."""
    status: OrderStatus | None = None
    """The order's status after it. Missing where an older build told it."""


class OrderRefundFailed(Event, type="order.refund_failed", topic=ORDERS):
    """The provider did not make a refund, or reversed it later. It needs attention."""

    refund: RefundId
    amount: Amount
    """The amount of the refund that failed."""
    currency: Currency
    refunded: Amount
    """Sum of all refunds that are in effect."""
    code: Short
    """Why, machine-readable: the provider's code, if it has one."""
    text: Text
    """For staff: why, and what to do."""
    returned: bool = False
    """True if it was made, and the bank sent the money back: the store has it again."""
    status: OrderStatus | None = None
    """The order's status after it. Missing where an older build told it."""


OrderItemsDelivered.model_rebuild()
