"""Messages of payments about a card that is verified before an order is accepted. Key: the order id."""

from __future__ import annotations

from shared.contracts.payments import EVENTS
from shared.contracts.values import Card, Count, Short, Text, Url
from shared.core import Event


class PaymentVerified(Event, type="payment.verified", topic=EVENTS):
    """The card is verified, and kept for one charge. What was authorised is released."""

    verification: Count
    """As checkout counts them."""
    card: Card | None = None


class PaymentVerificationActionRequired(Event, type="payment.verification_action_required", topic=EVENTS):
    """The customer must confirm the card at `url` (3-D Secure)."""

    verification: Count
    url: Url


class PaymentVerificationDeclined(Event, type="payment.verification_declined", topic=EVENTS):
    """The card was not verified. Nothing was charged."""

    verification: Count
    code: Short
    """For staff: the provider's decline code, if it has one."""
    text: Text
    """For the customer."""
    card: Card | None = None
    detail: Text | None = None
    """For staff: the provider's message."""
