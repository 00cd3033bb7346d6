"""Sums by day, kept along with rows: what each row adds to them, and to which.

    row ──► adds: [quarter of an hour, {about: value}, {figure: number}] … ──► (store, about, day, value, currency)

A row says it as JSON, in a column of its own, by quarters of an hour in UTC: all time zones in use differ by whole
ones. On which day of a store a quarter lies is decided where the sums are written, so a store's zone may change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

QUARTER_SECONDS = 900
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH) // timedelta(seconds=QUARTER_SECONDS)
MAX_VALUE = 100
"""Characters of a value that are kept: it is part of an index."""


class SumKey(NamedTuple):
    """Of one row of sums. `about`: by what is summed, such as `country`; `value`: which one of these."""

    store: str
    about: str
    day: date
    value: str
    currency: str


def quarter_of(at: datetime) -> int:
    """Counted from 1970. A time before that, or at the end of all time, has a day in every zone, too."""
    return min(max(0, int(at.timestamp()) // QUARTER_SECONDS), _LAST)


class Adds:
    """Collects what one row adds."""

    def __init__(self, store: str, currency: str = "") -> None:
        self._store, self._currency = store, currency
        self._figures: dict[tuple[int, tuple[tuple[str, str], ...]], dict[str, int]] = {}

    def add(self, at: datetime | None, about: Mapping[str, str], **figures: int) -> None:
        """Nothing without a time, or where all figures are 0."""
        given = {name: number for name, number in figures.items() if number}
        if at is None or not given:
            return
        values = tuple((name, value[:MAX_VALUE]) for name, value in about.items())
        there = self._figures.setdefault((quarter_of(at), values), given)
        if there is not given:
            for name, number in given.items():
                there[name] = there.get(name, 0) + number

    def as_json(self) -> dict[str, Any] | None:
        """As the row keeps it. None: nothing."""
        if not self._figures:
            return None
        entries = [[quarter, dict(about), figures] for (quarter, about), figures in self._figures.items()]
        return {"store": self._store, "currency": self._currency, "adds": entries}


def of_month(about: str) -> str:
    """As which months are summed, each on its first day."""
    return f"{about}/month"


def expanded(
    adds: Mapping[str, Any], zone: tzinfo, by_month: Collection[str] = ()
) -> Iterator[tuple[SumKey, Mapping[str, int]]]:
    """Each row of sums to which this adds, and what; the same one may come several times. `by_month`: what is summed by
    month, too."""
    for quarter, about, figures in adds["adds"]:
        day = (_EPOCH + timedelta(seconds=quarter * QUARTER_SECONDS)).astimezone(zone).date()
        for name, value in about.items():
            yield SumKey(adds["store"], name, day, value, adds["currency"]), figures
            if name in by_month:
                yield SumKey(adds["store"], of_month(name), day.replace(day=1), value, adds["currency"]), figures
