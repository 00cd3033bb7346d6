"""Payments owns how money moves. Key: the order id."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.contracts.values import Amount, Card, Count, Currency, Given, Id, Short, Text, Url, Value
from shared.core import Command, Event, Refusal, Topic

COMMANDS = Topic("payments.commands.v1", owner="payments", description="Refunds and other wishes about money.")
EVENTS = Topic("payments.events.v1", owner="payments", description="Everything that happens to money.")


# Commands


class RefundLine(Given):
    """How much of one item; all that is left of it where the amount is missing."""

    item: Id
    amount: Amount | None = None


class RefundPayment(Command, type="payment.refund", topic=COMMANDS):
    """Give money back: by items, by an amount, or (neither given) all that is left. Refused when more than is left."""

    amount: Amount | None = None
    items: tuple[RefundLine, ...] = Field(default=(), max_length=200)
    reason: Short = "requested_by_customer"
    """requested_by_customer, duplicate, fraudulent, not_as_described or other."""
    note: Text = ""


class SettlePayment(Command, type="payment.settle", topic=COMMANDS):
    """Say what became of an attempt or a refund whose outcome nobody could find out. What the provider reports later
    counts for more. Refused for anything whose outcome is known."""

    attempt: Count | None = None
    """Either an attempt …"""
    refund: Id | None = None
    """… or a refund."""
    outcome: Literal["captured", "not_charged", "refunded", "not_refunded"]
    """`captured` or `not_charged` of an attempt, `refunded` or `not_refunded` of a refund."""
    reference: Short = ""
    """The provider's id (`pi_…`, `re_…`) of what was captured or refunded."""
    amount: Amount | None = None
    """What was captured or refunded, to be compared with what was asked for."""
    reason: Text = Field(min_length=1)
    """How it was found out."""


# Facts


class PaymentActionRequired(Event, type="payment.action_required", topic=EVENTS):
    """The customer must confirm at `url` (3-D Secure)."""

    attempt: Count
    url: Url


class PaymentCaptured(Event, type="payment.captured", topic=EVENTS):
    """The money is here."""

    attempt: Count
    amount: Amount
    currency: Currency
    provider: Short
    transaction: Short
    """The provider's id: `pi_…`."""
    card: Card | None = None
    captured_at: datetime


class PaymentDeclined(Event, type="payment.declined", topic=EVENTS):
    """An attempt failed; nothing was charged."""

    attempt: Count
    code: Short
    """For staff: the provider's decline code where there is one (`do_not_honor`)."""
    text: Text
    """For the customer."""
    card: Card | None = None
    reason: Short | None = None
    """For the customer, of a closed list: card_declined, insufficient_funds, expired_card, incorrect_details,
    limit_exceeded, not_supported, not_confirmed, try_again, payment_method_unusable, not_chargeable, not_charged."""
    detail: Text | None = None
    """For staff: what the provider said. Never shown to a customer."""


class PaymentUnresolved(Event, type="payment.unresolved", topic=EVENTS):
    """The outcome of a call to the provider is unknown. It is looked for; a person may settle it."""

    attempt: Count
    text: Text
    """For staff."""


class PaymentSettled(Event, type="payment.settled", topic=EVENTS):
    """A person said how an attempt or a refund ended whose outcome was unknown. What follows is told beside it."""

    attempt: Count
    refund: Short = ""
    """Empty for the attempt itself."""
    outcome: Short
    """captured, not_charged, refunded or not_refunded."""
    reference: Short = ""
    reason: Text
    """For staff."""


class PaymentSettlementContradicted(Event, type="payment.settlement_contradicted", topic=EVENTS):
    """The provider reports otherwise than a person had said; its word counts. Needs attention."""

    attempt: Count
    refund: Short = ""
    """Empty for the attempt itself."""
    text: Text
    """For staff."""


class PaymentCancelled(Event, type="payment.cancelled", topic=EVENTS):
    """An open attempt was called off; nothing was or will be charged."""

    attempt: Count


class RefundedLine(Value):
    item: Id
    amount: Amount
    whole: bool
    """Nothing of the item is left to refund."""


class PaymentRefunded(Event, type="payment.refunded", topic=EVENTS):
    """Money went back."""

    refund: Id
    amount: Amount
    currency: Currency
    captured: Amount
    refunded: Amount
    """All refunds so far."""
    items: tuple[RefundedLine, ...] = ()
    """Empty where only an amount was given and something is left."""
    reason: Short = ""
    transaction: Short = ""
    """The provider's id: `re_…`."""


class PaymentRefundFailed(Event, type="payment.refund_failed", topic=EVENTS):
    """The provider did not give the money back; a person must look."""

    refund: Id
    amount: Amount
    code: Short
    text: Text
    """For staff."""


class PaymentSurplusRefunded(Event, type="payment.surplus_refunded", topic=EVENTS):
    """A second charge for the same order was found and given back. The order's own payment is untouched."""

    refund: Id
    attempt: Count
    amount: Amount
    currency: Currency
    transaction: Short = ""
    """The provider's id: `re_…`."""


class PaymentsRefused(Refusal, type="payments.refused", topic=EVENTS):
    """A command to payments was refused and changed nothing."""


EMITS: tuple[type[Event], ...] = (
    PaymentActionRequired,
    PaymentCaptured,
    PaymentDeclined,
    PaymentUnresolved,
    PaymentSettled,
    PaymentSettlementContradicted,
    PaymentCancelled,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSurplusRefunded,
    PaymentsRefused,
)
