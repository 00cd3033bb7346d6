"""Messages about orders that staff approve before the charge (made-to-order stores). Key: the order id."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.contracts.checkout import COMMANDS, ORDERS
from shared.contracts.values import (
    Amount,
    Count,
    Currency,
    Email,
    FreeText,
    Id,
    OrderItem,
    Short,
    Text,
    Url,
)
from shared.core import Command, Event

# Commands


class AcceptOrder(Command, type="order.accept", topic=COMMANDS):
    """Accept an order that waits for approval. Its full amount is charged."""

    reason: FreeText = ""
    """For the order's timeline."""


class DeclineOrder(Command, type="order.decline", topic=COMMANDS):
    """Decline an order that waits for approval. Nothing is charged."""

    reason: FreeText = ""
    """For the order's timeline; the customer never reads it."""
    note: FreeText = ""
    """For the customer."""


# Facts


class OrderVerificationRequested(Event, type="order.verification_requested", topic=ORDERS):
    """Stock is reserved; payments verifies the customer's card, and keeps it for one charge."""

    verification: Count
    """Counts from 1: of the first card, the second, …"""
    number: Short
    store: Id
    amount: Amount
    """Authorised, and released at once. 0: the card is set up, and nothing is authorised."""
    currency: Currency
    items: tuple[OrderItem, ...]
    customer_email: Email
    return_url: Url
    requested_at: AwareDatetime
    until: AwareDatetime
    """A card that is not verified by then ends the order."""
    payment_method: Short | None = None
    token: Short | None = None
    statement_descriptor: Short | None = None
    provider: Short | None = None
    """Without one: `stripe`."""


class OrderCardNeeded(Event, type="order.card_needed", topic=ORDERS):
    """The card could not be verified yet: the customer confirms it with the bank, or gives another one, at `url`."""

    verification: Count
    url: Url
    until: AwareDatetime
    confirm: bool = False
    """The bank asks the customer to confirm."""
    text: Text = ""
    """For the customer: why the card was declined."""


class OrderApprovalRequested(Event, type="order.approval_requested", topic=ORDERS):
    """The order waits for the store's approval: its stock is reserved, and its card verified where the store wants it.
    Nothing is charged before it is accepted."""

    amount: Amount
    currency: Currency


class OrderAccepted(Event, type="order.accepted", topic=ORDERS):
    """The store accepted the order; its amount is charged."""

    amount: Amount
    currency: Currency


class OrderDeclined(Event, type="order.declined", topic=ORDERS):
    """The store declined the order: nothing is charged, and stock is released."""

    note: Text = ""
    """For the customer."""
