"""Messages about orders that staff approve before the charge (made-to-order stores). Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.checkout import COMMANDS, ORDERS
from shared.contracts.pay_page import PayPage
from shared.contracts.values import (
    Amount,
    Currency,
    Email,
    FreeText,
    OrderItem,
    OrderNumber,
    Short,
    StoreId,
    Text,
    Url,
    Verification,
)
from shared.core import Command, Event

# Commands


class AcceptOrder(Command, type="order.accept", topic=COMMANDS):
    """Accept an order that waits for approval. Its full amount is charged."""

    reason: FreeText = ""
    """Why, for the order's timeline."""


class DeclineOrder(Command, type="order.decline", topic=COMMANDS):
    """Decline an order that waits for approval. Nothing is charged."""

    reason: FreeText = ""
    """For the order's timeline; the customer never reads it."""
    note: FreeText = ""
    """A text for the customer."""


# Facts


class OrderVerificationRequested(Event, type="order.verification_requested", topic=ORDERS):
    """Stock is reserved; payments verifies the customer's card, and keeps it for one charge."""

    verification: Verification
    """Counts from 1: of the first card, the second, …"""
    number: OrderNumber
    store: StoreId
    amount: Amount
    """Authorised, and released at once. 0: the card is set up, and nothing is authorised."""
    currency: Currency
    items: tuple[OrderItem, ...]
    """The order's lines."""
    customer_email: Email
    """Passed to the provider with the verification."""
    return_url: Url
    """Where the customer returns to after confirming the card with the bank."""
    requested_at: AwareDatetime
    """When this verification was requested."""
    until: AwareDatetime
    """A card that is not verified by then ends the order."""
    payment_method: Short | None = None
    """The provider's id of the payment method: `pm_…`."""
    token: Short | None = None
    """The provider's token, if there is no payment method: `tok_…`."""
    statement_descriptor: Short | None = None
    """What the customer reads on the card's statement. Missing: the provider's own text."""
    provider: Short | None = None
    """The payment provider. Missing: `stripe`."""


class OrderCardNeeded(Event, type="order.card_needed", topic=ORDERS):
    """The card could not be verified yet: the customer confirms it with the bank, or gives another one, at `url`."""

    verification: Verification
    url: Url
    """Where the customer confirms the card or gives another one."""
    until: AwareDatetime
    """A card that is not verified by then ends the order."""
    confirm: bool = False
    """The bank asks the customer to confirm."""
    text: Text = ""
    """For the customer: why the card was declined."""
    page: PayPage | None = None
    """What the pay page shows, where the customer gives another card."""


class OrderApprovalRequested(Event, type="order.approval_requested", topic=ORDERS):
    """The order waits for the store's approval: its stock is reserved, and its card verified where the store wants it.
    Nothing is charged before it is accepted."""

    amount: Amount
    """What is charged if the order is accepted."""
    currency: Currency


class OrderAccepted(Event, type="order.accepted", topic=ORDERS):
    """The store accepted the order; its amount is charged."""

    amount: Amount
    """What is charged."""
    currency: Currency
    reason: Text | None = None
    """Why, as staff wrote it. The customer never reads it."""
    by_rule: bool | None = None
    """The store's rule accepted it, not staff."""


class OrderDeclined(Event, type="order.declined", topic=ORDERS):
    """The store declined the order: nothing is charged, and stock is released."""

    note: Text = ""
    """A text for the customer."""
    reason: Text | None = None
    """Why, as staff wrote it. The customer never reads it."""
