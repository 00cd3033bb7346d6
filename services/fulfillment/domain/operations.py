"""What fulfillment asks of the outside, and the timer with which it looks again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from shared.contracts.values import Customer
from shared.core import FailedOutcome, Operation, Outcome, TimerMessage, UnresolvedOutcome

POOL_EMPTY = "pool_empty"
OWN_DATABASE = "own database"
"""The destination of what is done in the service's own database: never given up, since it comes back."""


class SignDownload(Operation):
    """Make the link to a file that works until `expires`. Nothing leaves the process."""

    give_up_after: ClassVar[timedelta | None] = None
    safe_to_repeat: ClassVar[bool] = True

    order: str
    item: str
    expires: datetime

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        link: str

    class Failed(FailedOutcome):
        pass

    class Unresolved(UnresolvedOutcome):
        pass


class TakeCode(Operation):
    """Take `quantity` codes out of a pool for an item: all or none, and the same ones when asked again."""

    longest_retry: ClassVar[float] = 60.0
    give_up_after: ClassVar[timedelta | None] = None
    safe_to_repeat: ClassVar[bool] = True

    pool: str
    """Key: `<store>/<pool>`."""
    order: str
    item: str
    quantity: int

    def destination(self) -> str:
        return OWN_DATABASE

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        codes: tuple[str, ...]

    class Failed(FailedOutcome):
        """`pool_empty`: wait, and look again after `look_again`."""

        look_again: timedelta = timedelta(seconds=30)

    class Unresolved(UnresolvedOutcome):
        pass


class PutBackCodes(Operation):
    """Give the codes of an item back to the pool. Only for codes that the customer was never told."""

    longest_retry: ClassVar[float] = 60.0
    give_up_after: ClassVar[timedelta | None] = None
    safe_to_repeat: ClassVar[bool] = True

    pool: str
    order: str
    item: str

    def destination(self) -> str:
        return OWN_DATABASE

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        pass

    class Failed(FailedOutcome):
        pass

    class Unresolved(UnresolvedOutcome):
        pass


class StoreCodes(Operation):
    """Put codes into a pool; those already there are left alone."""

    longest_retry: ClassVar[float] = 60.0
    give_up_after: ClassVar[timedelta | None] = None
    safe_to_repeat: ClassVar[bool] = True

    pool: str
    codes: tuple[str, ...]

    def destination(self) -> str:
        return OWN_DATABASE

    class Done(Outcome):
        added: int

    class Failed(FailedOutcome):
        pass

    class Unresolved(UnresolvedOutcome):
        pass


class GrantAccess(Operation):
    """Have a course platform let the customer in. It knows a repetition by its Idempotency-Key."""

    longest_retry: ClassVar[float] = 1800.0
    give_up_after: ClassVar[timedelta | None] = timedelta(hours=24)
    safe_to_repeat: ClassVar[bool] = True

    url: str
    order: str
    item: str
    product: str
    quantity: int
    customer: Customer | None

    def destination(self) -> str:
        return course_destination(self.url)

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        pass

    class Failed(FailedOutcome):
        pass

    class Unresolved(UnresolvedOutcome):
        pass


class RevokeAccess(Operation):
    """Have a course platform shut the customer out again. It knows a repetition by its Idempotency-Key."""

    longest_retry: ClassVar[float] = 3600.0
    give_up_after: ClassVar[timedelta | None] = timedelta(days=3)
    safe_to_repeat: ClassVar[bool] = True

    url: str
    order: str
    item: str
    product: str
    quantity: int
    customer: Customer | None

    def destination(self) -> str:
        return course_destination(self.url)

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        pass

    class Failed(FailedOutcome):
        pass

    class Unresolved(UnresolvedOutcome):
        pass


def course_destination(url: str) -> str:
    """Host and path: what a wrong address or a missing permission is about. Another product's URL on the same platform
    may be right, so it is not held up. No credentials."""
    place = url.partition("://")[2].partition("?")[0].partition("#")[0]
    host, slash, path = place.partition("/")
    return (host.rpartition("@")[2].lower() + slash + path)[:200]


class LookForCodes(TimerMessage):
    """Time to look again for the codes that an order waits for."""
