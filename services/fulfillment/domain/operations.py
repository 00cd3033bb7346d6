"""The calls that fulfillment requests, and the timer by which it checks a pool again."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.contracts.values import Customer
from shared.core import FailedOutcome, Operation, Outcome, TimerMessage

POOL_EMPTY = "pool_empty"
OWN_DATABASE = "own database"
"""The destination of what is done in the service's own database: never given up, since it comes back."""


class SignDownload(Operation, safe_to_repeat=True, give_up_after=None):
    """Make a link to a file that works until `expires`. No other system is called."""

    order: str
    item: str
    expires: datetime

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        link: str


class PoolOperation(Operation, safe_to_repeat=True, give_up_after=None, longest_retry=60.0):
    pool: str
    """Key: `<store>/<pool>`."""

    def destination(self) -> str:
        return OWN_DATABASE


class TakeCode(PoolOperation):
    """Take `quantity` codes out of a pool for an item: all or none, and the same ones when repeated."""

    order: str
    item: str
    quantity: int

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        codes: tuple[str, ...]
        left: int | None = None
        """Codes that are free after this, where that is below the pool's low-water mark."""

    class Failed(FailedOutcome):
        """`pool_empty`: wait, and check again after `recheck_after`."""

        recheck_after: timedelta = timedelta(seconds=30)


class ReturnCodes(PoolOperation):
    """Return the codes of an item to the pool. Only for codes that the customer has never seen."""

    order: str
    item: str

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        pass


class StoreCodes(PoolOperation):
    """Add codes to a pool; those already there are left alone."""

    codes: tuple[str, ...]

    class Done(Outcome):
        added: int
        left: int | None = None
        """Free codes, counted up to the pool's low-water mark; None if it has none."""


class GiveCodes(PoolOperation):
    """Record codes that staff typed as those of an item, so that no other gets them. What a call of unknown outcome
    took for it returns to the pool. All or none."""

    order: str
    item: str
    codes: tuple[str, ...]
    keep: bool = False
    """What the item has already stays its own: the customer has seen it."""
    note: str | None = None
    """For the customer, with the codes."""
    quiet: bool = False
    """The customer is not told."""

    def about(self) -> str:
        return self.item

    class Done(Outcome):
        pass

    class Failed(FailedOutcome):
        """`already_given`: another item has one of them."""


class CountCodes(PoolOperation):
    """Count the free codes of a pool, up to `most`."""

    most: int

    def about(self) -> str:
        return self.pool

    class Done(Outcome):
        free: int


class CourseOperation(Operation, safe_to_repeat=True):
    """A call to a course platform, which knows a repetition by its Idempotency-Key."""

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


class GrantAccess(CourseOperation, longest_retry=1800.0, give_up_after=timedelta(hours=24)):
    class Done(Outcome):
        pass


class RevokeAccess(CourseOperation, longest_retry=3600.0, give_up_after=timedelta(days=3)):
    class Done(Outcome):
        pass


def course_destination(url: str) -> str:
    """Host and path: what a wrong address or a missing permission is about. Another product's URL on the same platform
    may be right, so it is not held up. No credentials."""
    place = url.partition("://")[2].partition("?")[0].partition("#")[0]
    host, slash, path = place.partition("/")
    return (host.rpartition("@")[2].lower() + slash + path)[:200]


class PoolStillLow(TimerMessage):
    """Time to tell staff again of a pool that is low or empty, if it still is."""


class RecheckPools(TimerMessage):
    """Time to check again the pools that an order waits for."""
