"""What payments asks of a provider, how that can end, and what a provider tells by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.values import Card
from shared.shell.core import FailedOutcome, Operation, Outcome, Report, TimerMessage, UnresolvedOutcome

ChargeStatus = Literal["succeeded", "requires_action", "processing", "failed", "cancelled"]
RefundProgress = Literal["succeeded", "pending", "failed"]


@dataclass(frozen=True, slots=True)
class ChargeCard(Operation):
    """Charge a card, once. Amount in minor units."""

    max_attempts: ClassVar[int] = 12
    provider: str
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

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        """The provider has it: paid, or the customer must confirm at `url`, or it is still at work."""

        intent: str
        status: ChargeStatus
        amount: int = 0
        """What was captured."""
        url: str = ""
        card: Card | None = None

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        """Declined, or not possible as asked. Nothing was charged."""

        intent: str = ""
        card: Card | None = None

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome): ...


@dataclass(frozen=True, slots=True)
class CancelIntent(Operation):
    """Call an open attempt off. Done says how the attempt ended: called off, or paid before."""

    max_attempts: ClassVar[int] = 20
    provider: str
    order: str
    attempt: int
    intent: str

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        status: Literal["cancelled", "succeeded"]
        amount: int = 0
        """What was captured, when it succeeded."""
        card: Card | None = None

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome): ...

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome): ...


@dataclass(frozen=True, slots=True)
class RefundCharge(Operation):
    """Give money back, once. Amount in minor units."""

    max_attempts: ClassVar[int] = 20
    provider: str
    order: str
    store: str
    refund: str
    intent: str
    amount: int
    currency: str
    reason: str = ""

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        """`pending`: the provider will tell later."""

        transaction: str
        status: RefundProgress = "succeeded"
        code: str = ""
        """Why, when it failed."""

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome): ...

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome): ...


@dataclass(frozen=True, slots=True)
class FindIntent(Operation):
    """Look up what became of an attempt whose answer never came. Changes nothing at the provider."""

    max_attempts: ClassVar[int] = 4
    provider: str
    order: str
    attempt: int
    intent: str
    """The provider's id, empty where it is not known."""
    since: datetime
    """When the attempt began."""

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        """`intent` is empty when the provider has no such attempt."""

        intent: str
        status: ChargeStatus
        amount: int = 0
        url: str = ""
        card: Card | None = None
        code: str = ""
        text: str = ""

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome): ...

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome): ...


@dataclass(frozen=True, slots=True)
class FindRefund(Operation):
    """Look up what became of a refund whose answer never came. Changes nothing at the provider."""

    max_attempts: ClassVar[int] = 4
    provider: str
    order: str
    refund: str
    intent: str

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        """`transaction` is empty, and the status `failed`, when the provider has no such refund."""

        transaction: str
        status: RefundProgress
        code: str = ""

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome): ...

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome): ...


@dataclass(frozen=True, slots=True)
class LookForRefund(TimerMessage):
    """A refund's outcome is unknown: ask the provider once more."""

    refund: str
    tries: int = 1


@dataclass(frozen=True, slots=True)
class LookAgain(TimerMessage):
    """An attempt's outcome is unknown: ask the provider once more."""

    attempt: int
    tries: int = 1


@dataclass(frozen=True, slots=True)
class IntentReported(Report):
    """A provider's callback about an attempt."""

    attempt: int
    intent: str
    status: ChargeStatus
    amount: int = 0
    """What was captured."""
    url: str = ""
    card: Card | None = None
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class RefundReported(Report):
    """A provider's callback about a refund of ours."""

    refund: str
    transaction: str
    status: RefundProgress
    code: str = ""
