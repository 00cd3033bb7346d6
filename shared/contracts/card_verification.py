"""Messages of payments about a card that is verified before an order is accepted. Key: the order id."""

from __future__ import annotations

from shared.contracts.payments import EVENTS
from shared.contracts.values import (
    Card,
    Short,
    Text,
    Url,
    Verification,
)
from shared.core import Event


class PaymentVerified(Event, type="payment.verified", topic=EVENTS):
    """The card is verified, and kept for one charge. What was authorised is released."""

    verification: Verification
    """The number of the card's verification: 1 is that of the first card."""
    card: Card | None = None
    """The verified card, as far as the provider describes it."""


class PaymentVerificationActionRequired(Event, type="payment.verification_action_required", topic=EVENTS):
    """The customer must confirm the card at `url` (3-D Secure)."""

    verification: Verification
    url: Url
    """The bank's page, to which the customer is sent."""


class PaymentVerificationDeclined(Event, type="payment.verification_declined", topic=EVENTS):
    """The card was not verified. Nothing was charged."""

    verification: Verification
    code: Short
    """For staff: the provider's decline code, if it has one."""
    text: Text
    """A text for the customer."""
    card: Card | None = None
    """The card that was declined, as far as the provider describes it."""
    detail: Text | None = None
    """For staff: the provider's message."""
