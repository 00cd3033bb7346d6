"""What payments requests from a provider, how that can end, and what a provider reports by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from services.payments.domain.declines import DeclineReason
from shared.contracts.values import Card
from shared.core import FailedOutcome, Operation, Outcome, Report, Struct, TimerMessage

ChargeStatus = Literal["succeeded", "requires_action", "processing", "failed", "cancelled"]
RefundProgress = Literal["succeeded", "pending", "failed"]
KEY_LIFETIME = timedelta(hours=23)
"""Providers forget idempotency keys; Stripe after 24 hours: https://docs.stripe.com/api/idempotent_requests."""
DEFAULT_TIME_TO_PAY = timedelta(days=1)
RECORDS_CHECKED_AT_LEAST, RECORDS_CHECKED_AT_MOST = timedelta(seconds=20), timedelta(hours=1)
NOT_MADE = frozenset({"gave_up", "not_tried"})
"""Codes with which the shell itself ends an operation that was certainly not done."""


AMOUNT_REFUSED = frozenset({"amount_too_small", "amount_too_large", "amount_off_step"})
"""Codes of a charge whose amount the provider does not take, although checkout thought so: the currency in which it
settles raises the minimum, for example. No other card helps."""


def charge_key(order: str, attempt: int) -> str:
    """The key under which an attempt is charged, at most once."""
    return f"{order}.attempt.{attempt}"


class Fee(Struct):
    """What the provider keeps of a charge. `amount` in minor units of `currency`, in which the provider settles."""

    amount: int
    currency: str
    exchange_rate: str = ""
    """From the charge's currency to that one, as a decimal; empty if they are the same."""


class ChargeResult(Struct):
    """How a charge stands with the provider. Amounts in minor units."""

    reference: str
    """The provider's id; empty where it has no such charge."""
    status: ChargeStatus
    amount: int = 0
    """What was captured."""
    url: str = ""
    """Where the customer confirms."""
    card: Card | None = None
    code: str = ""
    text: str = ""
    """The provider's words, for staff."""
    reason: DeclineReason = DeclineReason.CARD_DECLINED
    """For the customer, when it failed."""
    requested: int = 0
    """What was to be charged. It, `currency`, `store` and `key` say whose charge it is; older builds leave them out."""
    currency: str = ""
    store: str = ""
    key: str = ""
    """Our idempotency key, as the charge's metadata has it; empty where it has none."""
    fee: Fee | None = None
    """None where the provider did not say it with the charge."""

    def is_for(self, amount: int, currency: str, store: str, key: str, *, may_lack_key: bool) -> bool:
        """Whether it was made for this: anyone who uses the account can copy our metadata. `key`: empty for any, as an
        older build writes none, and looks up a charge without one."""
        keyed = self.key == key or not key or (may_lack_key and not self.key)
        return keyed and (self.requested, self.currency, self.store) == (amount, currency, store)


class RefundResult(Struct):
    """How a refund stands with the provider."""

    reference: str
    """The provider's id; empty where it has no such refund."""
    status: RefundProgress = "succeeded"
    """`pending`: the provider reports later."""
    code: str = ""
    """Why, when it failed."""
    charge: str = ""
    """The provider's id of the charge; with `amount` and `currency` left out by an older build."""
    amount: int = 0
    currency: str = ""


class ProviderOperation(Operation, safe_to_repeat=True, give_up_after=None):
    """A call to a payment provider. Safe to repeat: what changes anything has a key that the provider knows, or does
    no harm the second time. Tried until it is done, unless a subclass says otherwise."""

    provider: str

    def destination(self) -> str:
        return self.provider


class ChargeCard(ProviderOperation, key_lifetime=KEY_LIFETIME, longest_retry=300.0, deadline_is_strict=True):
    """Charge a card, once. Amount in minor units.

    Fails when the order's time to pay is over. Its key is made of what is paid for, so that a repeated request for the
    same attempt, whatever the cause, meets the first charge.
    """

    order: str
    store: str
    number: str
    attempt: int
    amount: int
    currency: str
    return_url: str
    payment_method: str = ""
    """`pm_…`; or a card token in `token`."""
    token: str = ""
    descriptor: str = ""
    since: datetime | None = None
    """When the attempt was requested: nothing was charged for it earlier."""
    until: datetime | None = None
    """When the order's time to pay is over."""
    method: str = ""
    """`card`, …; empty for the provider's usual one."""
    customer: str = ""
    """The provider's id of the customer for whom the card was kept: it is charged while the customer is away."""

    @property
    def key(self) -> str:
        return charge_key(self.order, self.attempt)

    def idempotency_key(self, id: UUID) -> str:
        return self.key

    def deadline(self, wanted: datetime) -> datetime:
        return self.until or wanted + DEFAULT_TIME_TO_PAY

    def records_checked_until(self, wanted: datetime) -> datetime:
        """For as long again as there was time to pay, but no longer than an hour."""
        deadline = self.deadline(wanted)
        return deadline + min(max(deadline - (self.since or wanted), RECORDS_CHECKED_AT_LEAST), RECORDS_CHECKED_AT_MOST)

    def about(self) -> str:
        return str(self.attempt)

    class Done(Outcome):
        """The provider has it: paid, or the customer must confirm, or the provider is still processing it."""

        result: ChargeResult

    class Failed(FailedOutcome):
        """Declined, or not possible as requested. Nothing was charged. `code` and `text` are for staff."""

        reference: str = ""
        card: Card | None = None
        reason: DeclineReason = DeclineReason.CARD_DECLINED
        """For the customer."""


class CancelCharge(ProviderOperation):
    """Cancel an open attempt. Done says how the attempt ended: cancelled, or paid before."""

    order: str
    attempt: int
    reference: str

    def about(self) -> str:
        return str(self.attempt)

    class Done(Outcome):
        result: ChargeResult


class RefundCharge(ProviderOperation, key_lifetime=KEY_LIFETIME, longest_retry=86_400.0):
    """Refund a charge in part or in full, once. Amount in minor units. Tried until it is made, at least daily."""

    order: str
    store: str
    refund: str
    charge: str
    """The provider's reference of the charge."""
    amount: int
    currency: str
    reason: str = ""
    unconfirmed: bool = False
    """Staff named the charge: it may be another order's, whose money stays."""
    tries: int = 1
    """How often the provider was asked, this time included: more than once by `RetryRefund`."""

    def about(self) -> str:
        return self.refund

    def idempotency_key(self, id: UUID) -> str:
        return f"refund.{self.refund}"

    class Done(Outcome):
        result: RefundResult


class RetryRefund(RefundCharge, key_lifetime=KEY_LIFETIME, longest_retry=86_400.0):
    """Refund a charge whose refund the provider refused before: looked up first, then made under a key of this try. A
    worker that knows no such call leaves it alone."""

    def idempotency_key(self, id: UUID) -> str:
        return f"refund.{self.refund}.try.{self.tries}"


class FindCharge(ProviderOperation):
    """Check how an attempt stands, where its answer never came or staff settled it. Changes nothing at the provider.
    Fails where `reference` is not to be found, or is another attempt's."""

    order: str
    attempt: int
    reference: str
    """Empty where it is not known."""
    since: datetime
    """When the attempt was requested."""
    tries: int = 1
    """How often it was checked, this time included."""
    amount: int = 0
    """With `currency`, `store` and `key`: what tells it from others' charges; an older build left them out."""
    currency: str = ""
    store: str = ""
    key: str = ""
    """Empty for one that an older build requested."""

    def about(self) -> str:
        return str(self.attempt)

    class Done(Outcome):
        result: ChargeResult


class FindFee(ProviderOperation, give_up_after=timedelta(days=3), longest_retry=21_600.0):
    """Ask what the provider keeps of a charge, where the report of its success did not say. Changes nothing there."""

    attempt: int
    reference: str
    """The provider's id of the charge."""

    def about(self) -> str:
        return self.reference

    class Done(Outcome):
        fee: Fee


class FindRefund(ProviderOperation):
    """Check how a refund stands whose answer never came, or that staff settled. Changes nothing at the provider. Fails
    where the provider has neither ours nor the one that `reference` names."""

    order: str
    refund: str
    charge: str
    """The provider's reference of the charge."""
    tries: int = 1
    """How often it was checked, this time included."""
    reference: str = ""
    """The provider's id of the refund, as staff named it. An older build asks for ours alone, and never fails for want
    of it."""

    def about(self) -> str:
        return self.refund

    class Done(Outcome):
        """The status is `failed` where the provider has no such refund."""

        result: RefundResult


class RefundCheckDue(TimerMessage):
    """A refund's outcome is unknown: check with the provider again."""

    refund: str
    tries: int = 1

    def about(self) -> str:
        return self.refund


class ChargeCheckDue(TimerMessage):
    """An attempt's outcome is unknown: check with the provider again."""

    attempt: int
    tries: int = 1

    def about(self) -> str:
        return str(self.attempt)


class RefundDue(TimerMessage):
    """A refund that the store owes was refused: ask the provider again."""

    refund: str

    def about(self) -> str:
        return self.refund


class ChargeReported(Report):
    """A provider's callback about an attempt."""

    attempt: int
    result: ChargeResult


class RefundReported(Report):
    """A provider's callback about a refund."""

    refund: str
    result: RefundResult


class SurplusDue(TimerMessage):
    """A charge that we made, whose attempt was not known: refund it unless it is the attempt's by now."""

    reference: str
    tries: int = 1

    def about(self) -> str:
        return self.reference
