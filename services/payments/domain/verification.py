"""The verification of a card before the order is accepted: what is asked of the provider, and how it stands.

Its amount is authorised, and released at once; or the card is set up, and nothing is authorised. What is held is owed
to the customer until the provider has released it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import KEY_LIFETIME, ProviderOperation
from shared.contracts.values import Card
from shared.core import FailedOutcome, Outcome, Report, Struct, TimerMessage
from shared.core.fast_enums import StrEnum

VerificationProgress = Literal["verified", "requires_action", "processing", "failed", "cancelled"]


class VerificationStatus(StrEnum):
    VERIFYING = "verifying"
    ACTION_REQUIRED = "action_required"
    CANCELLING = "cancelling"
    VERIFIED = "verified"
    DECLINED = "declined"
    CANCELLED = "cancelled"


OPEN = frozenset({VerificationStatus.VERIFYING, VerificationStatus.ACTION_REQUIRED, VerificationStatus.CANCELLING})


@dataclass(frozen=True, slots=True)
class Verification:
    """Of one card. Amounts in minor units of the payment's currency."""

    number: int
    amount: int
    at: datetime
    provider: str
    status: VerificationStatus = VerificationStatus.VERIFYING
    reference: str = ""
    """The provider's id, empty until it is known."""
    held: int = 0
    """Authorised, and not released yet."""
    card: Card | None = None
    customer: str = ""
    """The provider's id of the customer for whom the card is kept."""
    payment_method: str = ""
    """Its id of the kept card."""
    code: str = ""
    text: str = ""
    """The provider's or the shell's message, for staff."""
    releases: int = 0
    """How often releasing it was refused."""
    forgetting: bool = False
    """The provider is asked to forget the card."""
    forgotten: bool = False
    forget_tries: int = 0
    """How often that was refused."""
    reason: str = ""
    """Why it was declined, one of `DeclineReason`: for the customer."""
    url: str = ""
    """Where the customer confirms the card with the bank."""

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


def verification_key(order: str, number: int) -> str:
    return f"{order}.verification.{number}"


class VerificationResult(Struct):
    """How a verification stands with the provider. Amounts in minor units."""

    reference: str
    """The provider's id; empty where it has no such verification."""
    status: VerificationProgress
    held: int = 0
    """What is authorised now."""
    url: str = ""
    """Where the customer confirms."""
    card: Card | None = None
    customer: str = ""
    payment_method: str = ""
    code: str = ""
    text: str = ""
    """The provider's words, for staff."""
    reason: DeclineReason = DeclineReason.CARD_DECLINED
    """For the customer, when it failed."""


class VerifyCard(ProviderOperation, key_lifetime=KEY_LIFETIME, longest_retry=300.0, deadline_is_strict=True):
    """Verify a card, once, and keep it for a charge while the customer is away. Amount in minor units; 0: set it up."""

    order: str
    store: str
    number: str
    verification: int
    amount: int
    currency: str
    email: str
    return_url: str
    since: datetime
    until: datetime
    payment_method: str = ""
    """`pm_…`; or a card token in `token`."""
    token: str = ""
    descriptor: str = ""

    @property
    def key(self) -> str:
        return verification_key(self.order, self.verification)

    def idempotency_key(self, id: UUID) -> str:
        return self.key

    def deadline(self, wanted: datetime) -> datetime:
        return self.until

    def about(self) -> str:
        return str(self.verification)

    class Done(Outcome):
        """The provider has it: verified, or the customer must confirm, or the provider is still processing it."""

        result: VerificationResult

    class Failed(FailedOutcome):
        """Declined, or not possible as requested. `code` and `text` are for staff."""

        reference: str = ""
        card: Card | None = None
        reason: DeclineReason = DeclineReason.CARD_DECLINED
        """For the customer."""


class ReleaseVerification(ProviderOperation, longest_retry=3_600.0):
    """Release what is authorised, or cancel a verification that waits for the customer. Tried until it is done."""

    order: str
    verification: int
    reference: str

    def about(self) -> str:
        return str(self.verification)

    class Done(Outcome):
        """How it stands then."""

        result: VerificationResult


class ForgetCard(ProviderOperation, longest_retry=3_600.0):
    """Have the provider forget a kept card that is not needed any more. Tried until it is done."""

    order: str
    verification: int
    payment_method: str

    def about(self) -> str:
        return str(self.verification)

    class Done(Outcome): ...


class FindVerification(ProviderOperation):
    """Check how a verification stands. Changes nothing at the provider."""

    order: str
    verification: int
    amount: int
    reference: str
    """Empty where it is not known."""
    since: datetime
    tries: int = 1

    @property
    def key(self) -> str:
        return verification_key(self.order, self.verification)

    def about(self) -> str:
        return str(self.verification)

    class Done(Outcome):
        result: VerificationResult


class VerificationCheckDue(TimerMessage):
    """A verification has not ended: check with the provider."""

    verification: int
    tries: int = 1

    def about(self) -> str:
        return str(self.verification)


class ReleaseDue(TimerMessage):
    """What was authorised could not be released: ask the provider again."""

    verification: int
    tries: int = 1

    def about(self) -> str:
        return str(self.verification)


class ForgetDue(TimerMessage):
    """A kept card could not be forgotten: ask the provider again."""

    verification: int
    tries: int = 1

    def about(self) -> str:
        return str(self.verification)


class VerificationReported(Report):
    """A provider's callback about a verification."""

    verification: int
    result: VerificationResult
