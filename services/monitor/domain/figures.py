"""What orders and payments come to, minute by minute and store by store: each order, attempt and refund once, in its
minute, by the latest record of its order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from services.monitor.domain.minutes import LatestRecords

ORDERS, PAID, FAILED = "orders", "paid", "failed"
"""Orders placed in the minute; those of them that are paid; those of them that are in the status `failed`."""
ATTEMPTS, DECLINED, REFUNDS = "attempts", "declined", "refunds"
"""Attempts to charge requested in the minute; those of them that were declined; refunds requested in it and done."""
REVENUE, REFUNDED = "revenue", "refunded"
"""By currency, in minor units: what counts as paid of orders paid in the minute, refunds included; its refunds."""
Place = tuple[int, str]
"""Minute and store."""


class Entry(NamedTuple):
    """Something that counts in a minute."""

    minute: int
    figure: str
    amount: int = 1
    currency: str = ""


class Content(Protocol):
    """What a record says that counts."""

    @property
    def store(self) -> str: ...

    def entries(self) -> Iterator[Entry]: ...


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """Of a placed order."""

    store: str
    placed: int
    """The minute in which it was placed."""
    paid: int | None = None
    """The minute in which it was paid."""
    failed: bool = False
    currency: str = ""
    revenue: int = 0
    """What counts as paid, refunds included, in minor units."""

    def entries(self) -> Iterator[Entry]:
        yield Entry(self.placed, ORDERS)
        if self.failed:
            yield Entry(self.placed, FAILED)
        if self.paid is not None:
            yield Entry(self.placed, PAID)
            yield Entry(self.paid, REVENUE, self.revenue, self.currency)


@dataclass(frozen=True, slots=True)
class PaymentFigures:
    """Of an order's payment."""

    store: str
    currency: str
    attempts: tuple[tuple[int, bool], ...] = ()
    """The minute in which each was requested, and whether it was declined."""
    refunds: tuple[tuple[int, int], ...] = ()
    """Those that are done: the minute in which each was requested, and its amount in minor units."""

    def entries(self) -> Iterator[Entry]:
        for minute, declined in self.attempts:
            yield Entry(minute, ATTEMPTS)
            if declined:
                yield Entry(minute, DECLINED)
        for minute, amount in self.refunds:
            yield Entry(minute, REFUNDS)
            yield Entry(minute, REFUNDED, amount, self.currency)


Figure = tuple[str, str]
"""Its name and, of money, the currency."""
Counts = dict[Figure, int]
C = TypeVar("C", bound=Content)


class Tally(Generic[C]):
    """The sums of what the latest records say. No record says anything of a minute after its own: of a minute that is
    kept, all that is said is kept."""

    def __init__(self, most: int, changed: set[Place]) -> None:
        self.records: LatestRecords[C] = LatestRecords(most, self._add, self._remove)
        self.cells: dict[int, dict[str, Counts]] = {}
        self._changed = changed

    def _add(self, key: str, content: C) -> None:
        self._sum(content, 1)

    def _remove(self, key: str, content: C) -> None:
        self._sum(content, -1)

    def _sum(self, content: C, sign: int) -> None:
        store = content.store
        for minute, figure, amount, currency in content.entries():
            if amount and minute >= self.records.since:
                self._count(minute, store, (figure, currency), sign * amount)

    def _count(self, minute: int, store: str, figure: Figure, amount: int) -> None:
        stores = self.cells.setdefault(minute, {})
        counts = stores.setdefault(store, {})
        counts[figure] = counts.get(figure, 0) + amount
        if not counts[figure]:
            del counts[figure]
        if not counts:
            del stores[store]
        if not stores:
            del self.cells[minute]
        self._changed.add((minute, store))

    def expire(self, since: int) -> None:
        self.records.expire(since)
        self.clear()

    def clear(self) -> None:
        """Drop the minutes that are no longer kept."""
        for minute in [minute for minute in self.cells if minute < self.records.since]:
            del self.cells[minute]


class Figures:
    """It keeps what changed in the last minutes, at most `most` orders and `most` payments."""

    def __init__(self, most: int) -> None:
        self._changed: set[Place] = set()
        self.orders: Tally[OrderFigures] = Tally(most, self._changed)
        self.payments: Tally[PaymentFigures] = Tally(most, self._changed)

    @property
    def since(self) -> int:
        """The first minute whose figures are known."""
        return max(self.orders.records.since, self.payments.records.since)

    def __len__(self) -> int:
        return len(self.orders.records)

    def expire(self, since: int) -> None:
        """Drop the minutes before one."""
        self.orders.expire(since)
        self.payments.expire(since)

    def of(self, minute: int) -> dict[str, Counts]:
        """By store, where there is anything."""
        if minute < self.since:
            return {}
        found = {store: dict(counts) for store, counts in self.orders.cells.get(minute, {}).items()}
        for store, counts in self.payments.cells.get(minute, {}).items():
            found.setdefault(store, {}).update(counts)
        return found

    def between(self, first: int, last: int) -> Iterator[tuple[int, str, Counts]]:
        """Minute, store and figures, from the first minute to the last one, where there are any."""
        for minute in sorted({*self.orders.cells, *self.payments.cells}):
            if first <= minute <= last:
                for store, counts in sorted(self.of(minute).items()):
                    yield minute, store, counts

    def changes(self) -> set[Place]:
        """Where figures may have changed since this was asked last."""
        changed = set(self._changed)
        self._changed.clear()
        return changed
