"""What payments asks of a provider, how that can end, and what a provider tells by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Literal
from uuid import UUID

from services.payments.domain.declines import DeclineReason
from shared.contracts.values import Card
from shared.core import FailedOutcome, Operation, Outcome, Report, TimerMessage, UnresolvedOutcome

ChargeStatus = Literal["succeeded", "requires_action", "processing", "failed", "cancelled"]
RefundProgress = Literal["succeeded", "pending", "failed"]
KEY_LIVES = timedelta(hours=23)
"""Providers forget idempotency keys; Stripe after 24 hours: https://docs.stripe.com/api/idempotent_requests."""
UNTIL_WHERE_NOT_SAID = timedelta(days=1)
BOOKS_ASKED_AT_LEAST, BOOKS_ASKED_AT_MOST = timedelta(seconds=20), timedelta(hours=1)
GIVEN_UP = frozenset({"gave_up", "not_tried"})
"""Codes with which the shell itself ends an operation that was certainly not done."""


class ProviderOperation(Operation):
    """A call to a payment provider. Safe to repeat: what changes anything has a key that the provider knows, or does
    no harm the second time. Tried until it is done, unless a subclass says otherwise."""

    safe_to_repeat: ClassVar[bool] = True
    give_up_after: ClassVar[timedelta | None] = None
    provider: str

    def destination(self) -> str:
        return self.provider


class ChargeCard(ProviderOperation):
    """Charge a card, once. Amount in minor units.

    Given up when the order's time to pay is over. Its key is made of what is paid for, so that whoever wants the same
    attempt again, for whatever cause, meets the first charge.
    """

    key_lives: ClassVar[timedelta | None] = KEY_LIVES
    longest_retry: ClassVar[float] = 300.0
    deadline_is_strict: ClassVar[bool] = True
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
    """When the attempt was asked for: nothing was charged for it earlier."""
    until: datetime | None = None
    """When the order's time to pay is over."""

    def idempotency_key(self, id: UUID) -> str:
        return f"{self.order}.attempt.{self.attempt}"

    def deadline(self, wanted: datetime) -> datetime:
        return self.until or wanted + UNTIL_WHERE_NOT_SAID

    def books_asked_until(self, wanted: datetime) -> datetime:
        """For as long again as there was time to pay, but no longer than an hour."""
        deadline = self.deadline(wanted)
        return deadline + min(max(deadline - (self.since or wanted), BOOKS_ASKED_AT_LEAST), BOOKS_ASKED_AT_MOST)

    def about(self) -> str:
        return str(self.attempt)

    class Done(Outcome):
        """The provider has it: paid, or the customer must confirm at `url`, or it is still at work."""

        reference: str
        status: ChargeStatus
        amount: int = 0
        """What was captured."""
        url: str = ""
        card: Card | None = None

    class Failed(FailedOutcome):
        """Declined, or not possible as asked. Nothing was charged. `code` and `text` are the provider's, for staff."""

        reference: str = ""
        card: Card | None = None
        reason: DeclineReason = DeclineReason.CARD_DECLINED
        """For the customer."""

    class Unresolved(UnresolvedOutcome): ...


class CancelCharge(ProviderOperation):
    """Call an open attempt off. Done says how the attempt ended: called off, or paid before."""

    order: str
    attempt: int
    reference: str

    def about(self) -> str:
        return str(self.attempt)

    class Done(Outcome):
        status: Literal["cancelled", "succeeded"]
        amount: int = 0
        """What was captured, when it succeeded."""
        card: Card | None = None

    class Failed(FailedOutcome): ...

    class Unresolved(UnresolvedOutcome): ...


class RefundCharge(ProviderOperation):
    """Give money back, once. Amount in minor units. What the store owes is tried until it is paid, at least daily."""

    key_lives: ClassVar[timedelta | None] = KEY_LIVES
    longest_retry: ClassVar[float] = 86_400.0
    order: str
    store: str
    refund: str
    charge: str
    """The provider's reference of the charge."""
    amount: int
    currency: str
    reason: str = ""
    unconfirmed: bool = False
    """A person named the payment: it may be another order's, whose money stays."""

    def about(self) -> str:
        return self.refund

    def idempotency_key(self, id: UUID) -> str:
        return f"refund.{self.refund}"

    class Done(Outcome):
        """`pending`: the provider will tell later."""

        reference: str
        status: RefundProgress = "succeeded"
        code: str = ""
        """Why, when it failed."""

    class Failed(FailedOutcome): ...

    class Unresolved(UnresolvedOutcome): ...


class FindCharge(ProviderOperation):
    """Look up what became of an attempt, where its answer never came or a person told it. Changes nothing at the
    provider. Fails where `reference` is not to be found, or is another attempt's."""

    order: str
    attempt: int
    reference: str
    """The provider's id, empty where it is not known."""
    since: datetime
    """When the attempt was asked for."""
    tries: int = 1
    """How often it was looked for, this time included."""

    def about(self) -> str:
        return str(self.attempt)

    class Done(Outcome):
        """`reference` is empty when the provider has no such attempt."""

        reference: str
        status: ChargeStatus
        amount: int = 0
        url: str = ""
        card: Card | None = None
        code: str = ""
        text: str = ""
        reason: DeclineReason = DeclineReason.CARD_DECLINED

    class Failed(FailedOutcome): ...

    class Unresolved(UnresolvedOutcome): ...


class FindRefund(ProviderOperation):
    """Look up what became of a refund whose answer never came. Changes nothing at the provider."""

    order: str
    refund: str
    charge: str
    """The provider's reference of the charge."""
    tries: int = 1
    """How often it was looked for, this time included."""

    def about(self) -> str:
        return self.refund

    class Done(Outcome):
        """`reference` is empty, and the status `failed`, when the provider has no such refund."""

        reference: str
        status: RefundProgress
        code: str = ""

    class Failed(FailedOutcome): ...

    class Unresolved(UnresolvedOutcome): ...


class LookForRefund(TimerMessage):
    """A refund's outcome is unknown: ask the provider once more."""

    refund: str
    tries: int = 1


class LookAgain(TimerMessage):
    """An attempt's outcome is unknown: ask the provider once more."""

    attempt: int
    tries: int = 1


class ChargeReported(Report):
    """A provider's callback about an attempt."""

    attempt: int
    reference: str
    status: ChargeStatus
    amount: int = 0
    """What was captured."""
    url: str = ""
    card: Card | None = None
    code: str = ""
    text: str = ""
    """The provider's words, for staff."""
    reason: DeclineReason = DeclineReason.CARD_DECLINED
    """For the customer, when it failed."""


class RefundReported(Report):
    """A provider's callback about a refund of ours."""

    refund: str
    reference: str
    status: RefundProgress
    code: str = ""
