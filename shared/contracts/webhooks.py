"""What a store's webhook endpoints receive, by POST. Signed as Standard Webhooks says."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AwareDatetime

from shared.contracts.notifications import WebhookEvent
from shared.contracts.values import Count, Currency, Email, OrderNumber, OrderStatus, Short, Value

SENT: Mapping[WebhookEvent, str] = {
    "order.created": "An order was placed. It is not paid yet.",
    "order.received": "An order is paid in full.",
    "order.completed": "All items of an order are delivered, or staff completed it.",
    "order.refunded": "A refund was made.",
    "order.refund_failed": "The provider did not make a refund, or the bank sent it back.",
    "order.updated": (
        "The status of an order has changed, or a part of the order was refunded. Sent along with the event that says "
        "what has happened, where there is one."
    ),
}
"""When each event is sent."""


class WebhookItem(Value):
    """A product of the order. Delivery charges are not among the items."""

    product_name: Short
    """The product's name."""
    quantity: Count
    """How many units."""
    price: str
    """The price of one unit, as a decimal string in major units: `19.00`."""


class WebhookOrder(Value):
    """The order as it was placed, with its status and its money since."""

    order_number: OrderNumber
    customer_email: Email
    """The buyer's address."""
    status: OrderStatus | None = None
    """The order's status after what has happened. Missing where a build that did not keep it was told of it. That staff
    allow a failed payment once more, and that an accepted order waits for its customer, is not told."""
    total: str
    """What is charged for the whole order, as a decimal string in major units: `53.80`."""
    paid: str | None = None
    """What was paid of it until then, as a decimal string in major units: `0.00` of an order that was given. Missing
    where a build that did not keep it was told of the payment."""
    refund_amount: str | None = None
    """The amount of the refund that was made or that failed, as a decimal string in major units. Missing where it is
    about no refund."""
    currency: Currency
    items: tuple[WebhookItem, ...]
    """Its products."""


class WebhookBody(Value):
    """The body of every webhook. It is the same in every attempt and replay."""

    event: WebhookEvent
    """Which event it is."""
    timestamp: AwareDatetime
    """When it happened (RFC 3339, UTC), always with six digits of a second: compared as texts, the later one is the
    greater. Events may arrive in any order. Those of an order that have the same time are of one happening, and say the
    same of it."""
    data: WebhookOrder
    """The order."""
