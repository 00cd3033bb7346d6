"""Messages of payments, which owns charges and refunds. Key: the order id."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from shared.contracts.payment_status import STATUS, PaymentStatusRecord
from shared.contracts.values import (
    Amount,
    Card,
    Count,
    Currency,
    FreeText,
    Given,
    Id,
    ItemId,
    Line,
    PaymentAttempt,
    Provider,
    RefundId,
    Short,
    Text,
    Url,
    Value,
)
from shared.core import Command, Event, Refusal, Topic

__all__ = ["STATUS", "PaymentStatusRecord"]
"""What other modules have from here, too."""

COMMANDS = Topic("payments.commands.v1", owner="payments", description="Requests for refunds, and manual settlement.")
EVENTS = Topic("payments.events.v1", owner="payments", description="Facts about charges and refunds.")
CALLBACKS = Topic(
    "payments.callbacks.v1",
    owner="payments",
    description="What providers reported in callbacks. Payments itself reads it, in case its database is restored.",
)


# Commands


RefundReason = Literal["requested_by_customer", "duplicate", "fraudulent", "not_as_described", "other"]


class RefundLine(Given):
    """The amount to refund for one item. Without `amount`: everything that is left of it."""

    item: ItemId
    amount: Amount | None = None
    """How much. Missing: all that is left of the item."""


class RefundPayment(Command, type="payment.refund", topic=COMMANDS):
    """Refund a payment by items, an amount or, with neither, everything that is left. More than is left is refused."""

    amount: Amount | None = None
    """How much, if no items are named."""
    items: tuple[RefundLine, ...] = Field(default=(), max_length=200)
    """Which items, and how much of each."""
    reason: Line = "requested_by_customer"
    """One of requested_by_customer, duplicate, fraudulent, not_as_described, other."""
    note: FreeText = ""
    """Why, for the order's timeline."""
    attempt: Count | None = None
    """The payment attempt whose charge is refunded. Missing: the one that paid the order."""
    refund_payment: bool = True
    """False: the refund is only recorded. The customer gets the money in another way, as `note` says."""
    reference: Line = ""
    """The reference of the transfer by which the customer gets the money, where the refund is only recorded."""
    remove_access: tuple[Id, ...] | None = Field(default=None, max_length=200)
    """Of the items that this refund makes wholly refunded: those whose access is removed. Without it: all of them. None
    (`[]`): the customer keeps what was delivered. What was not delivered yet is not delivered any more."""
    remove_offer_access: bool = False
    """Remove what came with the order's offer, and with every order of the store. It is removed, too, if the whole
    order is refunded, unless the refund that was requested last has `remove_access`."""
    restock: tuple[Id, ...] | None = Field(default=None, max_length=200)
    """Of the items that this refund makes wholly refunded: those whose units are put back in stock, where it is
    counted. Without it: all of them."""


class RecordPayment(Command, type="payment.record", topic=COMMANDS):
    """Record that the customer paid by hand, where the order waits for it or has waited for it. Refused if no attempt
    by hand was requested, or if it is recorded already."""

    method: Literal["bank_transfer", "cash", "other"]
    """How the customer paid."""
    amount: Amount | None = None
    """What was paid, if it is to be compared. Refused if it is not the order's amount."""
    reference: Line = ""
    """The reference of the transfer or the receipt."""
    note: FreeText = ""
    """Why. Appears in the order's timeline."""


class SettlePayment(Command, type="payment.settle", topic=COMMANDS):
    """Record the outcome of an unresolved attempt or refund, or of a refund that staff make by hand. A later report by
    the provider overrides it. Refused if the outcome is known."""

    attempt: Count | None = None
    """The attempt to settle; give this or `refund`."""
    refund: Id | None = None
    """The id of the refund to settle; give this or `attempt`."""
    outcome: Literal["captured", "not_charged", "refunded", "not_refunded"]
    """`captured` or `not_charged` for an attempt, `refunded` or `not_refunded` for a refund."""
    reference: Line = ""
    """The provider's id (`pi_…`, `re_…`) of the charge or refund. Required if the provider moved money."""
    amount: Amount | None = None
    """The amount that moved, if known. Refused if it is not the requested amount."""
    reason: FreeText = Field(min_length=1)
    """How the outcome was established. Appears in the order's timeline."""


# Facts


class PaymentReported(Event, type="payment.reported", topic=CALLBACKS):
    """A provider reported something in a callback, and payments accepted it."""

    report: Short
    """The kind of report: a name that payments uses."""
    body: dict[str, Any]
    """Whatever payments needs to know of it."""


class PaymentActionRequired(Event, type="payment.action_required", topic=EVENTS):
    """The customer must confirm the payment at `url` (3-D Secure)."""

    attempt: PaymentAttempt
    url: Url
    """The bank's page, to which the customer is sent."""


class PaymentCaptured(Event, type="payment.captured", topic=EVENTS):
    """A payment was captured."""

    attempt: PaymentAttempt
    amount: Amount
    """What was captured."""
    currency: Currency
    provider: Provider
    transaction: Short
    """The provider's id: `pi_…`."""
    card: Card | None = None
    """The card that was charged, as far as the provider describes it."""
    captured_at: AwareDatetime
    """When payments learned of the capture."""
    method: Short | None = None
    """How the customer paid: `card`, …"""


class PaymentDeclined(Event, type="payment.declined", topic=EVENTS):
    """A payment attempt was declined. Nothing was charged."""

    attempt: PaymentAttempt
    code: Short
    """For staff: the provider's decline code, if it has one (`do_not_honor`)."""
    text: Text
    """A text for the customer."""
    card: Card | None = None
    """The card that was declined, as far as the provider describes it."""
    reason: Short | None = None
    """For the customer, one of card_declined, insufficient_funds, expired_card, incorrect_details, limit_exceeded,
    not_supported, not_confirmed, try_again, payment_method_unusable, not_chargeable, not_charged."""
    detail: Text | None = None
    """For staff: the provider's message. Never shown to customers."""
    provider: Short | None = None
    """The payment provider: `stripe`, or `manual`."""
    method: Short | None = None
    """How the customer paid: `card`, …"""


class PaymentUnresolved(Event, type="payment.unresolved", topic=EVENTS):
    """The outcome of a call to the provider is unknown. Payments keeps checking; staff can settle it."""

    attempt: PaymentAttempt
    text: Text
    """A text for staff."""


class PaymentStrayCharge(Event, type="payment.stray_charge", topic=EVENTS):
    """The provider has a charge that names this order and that orderbus did not make. It pays nothing, and is not
    refunded automatically. Published once for each."""

    attempt: Count
    """As the charge names it."""
    amount: Amount
    """The amount of the charge."""
    currency: Currency
    transaction: Short
    """The provider's id: `pi_…`."""


class PaymentRefundNeeded(Event, type="payment.refund_needed", topic=EVENTS):
    """A refund that the provider's API cannot make: staff make it, then settle it as `refunded`."""

    refund: RefundId
    attempt: PaymentAttempt
    amount: Amount
    """How much to refund."""
    currency: Currency
    text: Text
    """For staff: where and how."""


class PaymentSettled(Event, type="payment.settled", topic=EVENTS):
    """Staff recorded the outcome of an unresolved attempt or refund. The resulting facts are published with it."""

    attempt: PaymentAttempt
    refund: Short = ""
    """The refund's id; empty if the attempt itself is meant."""
    outcome: Short
    """One of captured, not_charged, refunded, not_refunded."""
    reference: Short = ""
    """The provider's id of the charge or refund, as staff gave it."""
    reason: Text
    """A text for staff."""


class PaymentSettlementContradicted(Event, type="payment.settlement_contradicted", topic=EVENTS):
    """The provider's report differs from a manual settlement and overrides it. Needs attention."""

    attempt: PaymentAttempt
    refund: Short = ""
    """The refund's id; empty if the attempt itself is meant."""
    text: Text
    """A text for staff."""


class PaymentCancelled(Event, type="payment.cancelled", topic=EVENTS):
    """An open payment attempt was cancelled. Nothing was or will be charged."""

    attempt: PaymentAttempt
    code: Short | None = None
    """For staff: why the provider does not take the amount (`amount_too_small`, `amount_too_large`, `amount_off_step`),
    if that is why."""
    text: Text | None = None
    """For the customer, in that case."""
    detail: Text | None = None
    """For staff, in that case: the provider's message, with its limit. Never shown to customers."""


class RefundedLine(Value):
    """What a refund returns of one item."""

    item: ItemId
    amount: Amount
    """This refund's amount for the item."""
    whole: bool
    """True if nothing of the item is left to refund."""


class PaymentRefunded(Event, type="payment.refunded", topic=EVENTS):
    """A refund was made."""

    refund: RefundId
    amount: Amount
    """The amount of this refund."""
    currency: Currency
    captured: Amount
    """What was captured for the order, refunds not subtracted."""
    refunded: Amount
    """Sum of all refunds so far."""
    items: tuple[RefundedLine, ...] = ()
    """Empty for a partial refund that names no items."""
    reason: Short = ""
    """As it was requested; `order_cancelled`, `order_expired` or `duplicate` for what payments refunds by itself;
    `made_at_provider` for one made in the provider's dashboard."""
    transaction: Short = ""
    """The provider's id: `re_…`."""
    recorded: bool = False
    """True if the provider moved no money: the customer gets it in another way."""
    remove_access: tuple[Id, ...] | None = None
    """The items whose access is removed: of those that are wholly refunded by this. Missing from older builds: all."""
    remove_offer_access: bool = False
    """What came with the order's offer, and with every order of the store, is removed."""
    restock: tuple[Id, ...] | None = None
    """The items whose units are put back in stock. Missing from older builds: all that are wholly refunded by this."""


class PaymentRefundFailed(Event, type="payment.refund_failed", topic=EVENTS):
    """The provider did not make the refund, or the bank sent it back. What the store owes is tried again; of that, only
    the first failure is published."""

    refund: RefundId
    amount: Amount
    """The amount of the refund that failed."""
    code: Short
    """Why, machine-readable: the provider's code, if it has one."""
    text: Text
    """A text for staff."""
    returned: bool = False
    """True if it was made, and the bank sent the money back."""


class PaymentSurplusRefunded(Event, type="payment.surplus_refunded", topic=EVENTS):
    """A duplicate charge for the order was found and refunded. The order's own payment is unaffected."""

    refund: RefundId
    attempt: PaymentAttempt
    amount: Amount
    """The amount of the refund."""
    currency: Currency
    transaction: Short = ""
    """The provider's id: `re_…`."""
    recorded: bool = False
    """True if the provider moved no money: the customer gets it in another way."""


class PaymentsRefused(Refusal, type="payments.refused", topic=EVENTS):
    """A command to payments was refused and changed nothing."""
