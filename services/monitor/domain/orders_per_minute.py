"""How many orders were placed in each minute, by store: each order once, in the minute in which it was placed, in
whatever order its records are read, and however often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an order is counted."""

    minute: int
    """Minutes since 1970."""
    store: str
    revision: int
    """Of the record that said so."""


class OrdersPerMinute:
    """Two tables: the placement of every order that is kept, and the orders of every minute.

    It keeps the orders of the last minutes, at most `most` orders. Where there are more, whole minutes are dropped, the
    oldest first. `since` only grows; what was placed before it is not counted, whenever it is read.
    """

    def __init__(self, most: int) -> None:
        self.since = 0
        """The first minute that is kept."""
        self._most = most
        self._placements: dict[str, Placement] = {}
        self._minutes: dict[int, dict[str, set[str]]] = {}
        """Orders by minute and store."""

    def __len__(self) -> int:
        return len(self._placements)

    def count(self, order: str, revision: int, store: str, placed_at: datetime | None) -> None:
        """A status record of an order; `placed_at` is None as long as the order is not placed. Of two with the same
        revision the later one counts: checkout's database was restored."""
        known = self._placements.get(order)
        if known is not None and known.revision > revision:
            return
        self.forget(order)
        if placed_at is None or (minute := minute_of(placed_at)) < self.since:
            return
        self._placements[order] = Placement(minute, store, revision)
        self._minutes.setdefault(minute, {}).setdefault(store, set()).add(order)
        while len(self._placements) > self._most:
            self.expire(min(self._minutes) + 1)

    def forget(self, order: str) -> None:
        """An order is no longer on the topic."""
        known = self._placements.pop(order, None)
        if known is None:
            return
        stores = self._minutes[known.minute]
        stores[known.store].remove(order)
        if not stores[known.store]:
            del stores[known.store]
        if not stores:
            del self._minutes[known.minute]

    def expire(self, since: int) -> None:
        """Drop what was placed before a minute."""
        if since <= self.since:
            return
        self.since = since
        for minute in [minute for minute in self._minutes if minute < since]:
            for orders in self._minutes.pop(minute).values():
                for order in orders:
                    del self._placements[order]

    def of(self, minute: int) -> dict[str, int]:
        """Orders by store that were placed in a minute."""
        return {store: len(orders) for store, orders in self._minutes.get(minute, {}).items()}

    def between(self, first: int, last: int) -> Iterator[tuple[int, str, int]]:
        """Minute, store and orders, from the first minute to the last one, where there are any."""
        for minute in sorted(minute for minute in self._minutes if first <= minute <= last):
            for store, orders in sorted(self.of(minute).items()):
                yield minute, store, orders


def minute_of(at: datetime) -> int:
    return (at - _EPOCH) // MINUTE


def time_of(minute: int) -> datetime:
    """When it begins."""
    return _EPOCH + minute * MINUTE
