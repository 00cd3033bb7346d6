"""What fulfillment asks of the outside, and the timer with which it looks again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from shared.contracts.values import Customer
from shared.shell.core import FailedOutcome, Operation, Outcome, TimerMessage, UnresolvedOutcome

POOL_EMPTY = "pool_empty"
OWN_DATABASE = 1000
"""Attempts where the outside is the service's own database: it comes back."""


@dataclass(frozen=True, slots=True)
class SignDownload(Operation):
    """Make the link to a file that works until `expires`. Safe to repeat."""

    order: str
    item: str
    expires: datetime

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        link: str

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        pass


@dataclass(frozen=True, slots=True)
class TakeCode(Operation):
    """Take `quantity` codes out of a pool for an item: all or none, and the same ones when asked again."""

    max_attempts: ClassVar[int] = OWN_DATABASE

    pool: str
    """Key: `<store>/<pool>`."""
    order: str
    item: str
    quantity: int

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        codes: tuple[str, ...]

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        """`pool_empty`: wait, and look again after `look_again`."""

        look_again: timedelta = timedelta(seconds=30)

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        pass


@dataclass(frozen=True, slots=True)
class PutBackCodes(Operation):
    """Give the codes of an item back to the pool. Only for codes that the customer was never told."""

    max_attempts: ClassVar[int] = OWN_DATABASE

    pool: str
    order: str
    item: str

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        pass


@dataclass(frozen=True, slots=True)
class StoreCodes(Operation):
    """Put codes into a pool; those already there are left alone."""

    max_attempts: ClassVar[int] = OWN_DATABASE

    pool: str
    codes: tuple[str, ...]

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        added: int

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        pass


@dataclass(frozen=True, slots=True)
class GrantAccess(Operation):
    """Have a course platform let the customer in."""

    url: str
    order: str
    item: str
    product: str
    quantity: int
    customer: Customer | None

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        pass


@dataclass(frozen=True, slots=True)
class RevokeAccess(Operation):
    """Have a course platform shut the customer out again."""

    url: str
    order: str
    item: str
    product: str
    quantity: int
    customer: Customer | None

    @dataclass(frozen=True, slots=True)
    class Done(Outcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Failed(FailedOutcome):
        pass

    @dataclass(frozen=True, slots=True)
    class Unresolved(UnresolvedOutcome):
        pass


@dataclass(frozen=True, slots=True)
class LookForCodes(TimerMessage):
    """Time to look again for the codes that an order waits for."""
