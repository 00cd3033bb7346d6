"""Reports: which there are, and how sums by day become series. What a chart needs is what a table needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

from shared.core.money import exponent

Interval = Literal["day", "week", "month"]
Unit = Literal["count", "money", "seconds", "basis_points"]
BASIS_POINTS = 10_000
DAYS_BY_DAY, DAYS_BY_WEEK = 92, 731
"""Of longer periods, a chart shows weeks, then months."""


class Period(NamedTuple):
    """Days, with the first and the last."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> Period:
        """As many whole months before whole months; otherwise as many days."""
        last = self.first - timedelta(days=1)
        if self.first.day == 1 and (self.last + timedelta(days=1)).day == 1:
            months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
            year, month = divmod(self.first.year * 12 + self.first.month - 1 - months, 12)
            return Period(date(year, month + 1, 1), last)
        return Period(last - timedelta(days=self.days - 1), last)

    def usual_interval(self) -> Interval:
        return "day" if self.days <= DAYS_BY_DAY else "week" if self.days <= DAYS_BY_WEEK else "month"

    def labels(self, interval: Interval) -> list[date]:
        """The first day of each interval, as far as it lies in the period."""
        found = [self.first]
        while (following := _following(found[-1], interval)) <= self.last:
            found.append(following)
        return found


def _following(day: date, interval: Interval) -> date:
    """The first day of the next interval. Weeks begin on Monday."""
    if interval == "day":
        return day + timedelta(days=1)
    if interval == "week":
        return day + timedelta(days=7 - day.weekday())
    return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)


@dataclass(frozen=True, slots=True)
class Figure:
    """`plus` and `minus`: columns of the sums. With `per`, it is so much per that: a share, or a mean."""

    name: str
    unit: Unit
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    per: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.plus, *self.minus, *((self.per,) if self.per else ()))

    def of(self, sums: Mapping[str, int]) -> int | None:
        """None: there is nothing to divide by."""
        number = sum(sums.get(name, 0) for name in self.plus) - sum(sums.get(name, 0) for name in self.minus)
        if not self.per:
            return number
        whole = sums.get(self.per, 0)
        if not whole:
            return None
        number *= BASIS_POINTS if self.unit == "basis_points" else 1
        return (2 * number + whole) // (2 * whole)  # to the nearest


def _count(name: str, column: str = "") -> Figure:
    return Figure(name, "count", (column or name,))


def _money(name: str, column: str = "") -> Figure:
    return Figure(name, "money", (column or name,))


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of the sums by `about`. Values are sorted by the first amount or, of several currencies, by `rank`."""

    about: str
    figures: tuple[Figure, ...]
    rank: str

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for figure in self.figures for name in figure.columns))


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    over_time: Table
    by: Mapping[str, Table]
    """By the name of what it is broken down by."""

    def table(self, by: str | None) -> Table:
        return self.by[by] if by else self.over_time


_NET = Figure("net", "money", ("sales",), ("refunded",))
_ORDERS = (
    *(_count("opened"), _count("placed"), _count("paid"), _count("completed")),
    *(_money("sales"), _money("refunded"), _NET),
)
_PRODUCTS = (_count("units"), _money("sales"), _money("refunded"), _NET)
_CHARGES = (
    *(_count("attempts"), _count("charged", "paid"), _count("declined"), _count("refunds")),
    *(_money("captured", "sales"), _money("refunded")),
)
_REFUNDS = (_count("refunds"), _money("refunded"))
_COMPLETION = (
    *(_count("paid"), _count("completed")),
    Figure("completion_rate", "basis_points", ("completed",), per="paid"),
    Figure("completion_time", "seconds", ("seconds",), per="completed"),
)
_FAILURES = (_count("failures"),)
_DISPUTES = (
    *(_count("paid"), _count("disputed"), _count("charged_back")),
    Figure("dispute_rate", "basis_points", ("disputed", "charged_back"), per="paid"),
)


def _tables(figures: tuple[Figure, ...], rank: str, *abouts: str) -> dict[str, Table]:
    return {about: Table(about, figures, rank) for about in abouts}


REPORTS: Mapping[str, Report] = {
    report.name: report
    for report in (
        Report(
            "sales",
            Table("orders", _ORDERS, "paid"),
            {
                **_tables(_ORDERS, "paid", "country", "source", "offer"),
                **_tables(_PRODUCTS, "units", "product", "delivery_charge"),
                **_tables(_CHARGES, "attempts", "provider", "method"),
            },
        ),
        Report(
            "refunds",
            Table("refund", _REFUNDS, "refunds"),
            {
                "kind": Table("refund", _REFUNDS, "refunds"),
                **_tables(_REFUNDS, "refunds", "reason", "provider", "method"),
            },
        ),
        Report(
            "completion",
            Table("orders", _COMPLETION, "paid"),
            {
                **_tables(_COMPLETION, "paid", "country", "source", "offer"),
                **_tables((_count("completed"),), "completed", "duration"),
            },
        ),
        Report(
            "deliveries",
            Table("failed_kind", _FAILURES, "failures"),
            {
                "kind": Table("failed_kind", _FAILURES, "failures"),
                "reason": Table("failed_reason", _FAILURES, "failures"),
            },
        ),
        Report(
            "disputes", Table("orders", _DISPUTES, "paid"), _tables(_DISPUTES, "disputed", "country", "source", "offer")
        ),
    )
}


class SumRow(NamedTuple):
    """What was summed for a label: a day, or a value. `before`: in the period before."""

    before: bool
    label: date | str
    currency: str
    sums: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Series:
    """A figure for each label, and as much for the period before."""

    figure: str
    unit: Unit
    currency: str | None
    exponent: int | None
    values: list[int | None]
    before: list[int | None]
    total: int | None
    total_before: int | None


Sums = Mapping[str, int]


def over_time(
    table: Table, rows: Iterable[SumRow], labels: Sequence[date], labels_before: Sequence[date]
) -> list[Series]:
    """Intervals of the period before are set against these in their order."""
    found = _Collected(table)
    for row in rows:
        assert isinstance(row.label, date)
        found.add(row, _interval_of(row.label, labels_before if row.before else labels))
    return list(found.series(labels, labels_before))


def _interval_of(day: date, labels: Sequence[date]) -> date:
    """The last one that has begun."""
    first, last = 0, len(labels)
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (middle, last) if labels[middle] <= day else (first, middle)
    return labels[first]


def by_value(table: Table, rows: Iterable[SumRow], limit: int) -> tuple[list[str], bool, list[Series]]:
    """The values, whether there are more, and their series. Totals are of all values."""
    found = _Collected(table)
    for row in rows:
        found.add(row, row.label)
    values = found.ranked()
    return values[:limit], len(values) > limit, list(found.series(values[:limit], values[:limit]))


class _Collected:
    """Sums by period, label and currency."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._sums: dict[tuple[bool, date | str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, row: SumRow, label: date | str) -> None:
        there = self._sums[row.before, label, row.currency]
        for name, number in row.sums.items():
            there[name] += number

    def ranked(self) -> list[str]:
        """Those with most first; at the end those that were in the period before only."""
        currencies, amount = self._currencies(), self._amount()
        column = amount if len(currencies) == 1 and amount else self._table.rank
        ranks: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (before, label, _), sums in self._sums.items():
            ranks[str(label)][before] += sums.get(column, 0)
        there = {str(label) for (_, label, _), sums in self._sums.items() if any(sums.values())}
        return sorted(there, key=lambda label: (-ranks[label][0], -ranks[label][1], label))

    def series(self, labels: Sequence[date | str], before: Sequence[date | str]) -> Iterator[Series]:
        for figure in self._table.figures:
            for currency in self._currencies() if figure.unit == "money" else (None,):
                now, earlier = self._by_label(currency, before=False), self._by_label(currency, before=True)
                yield Series(
                    *(figure.name, figure.unit, currency, exponent(currency) if currency else None),
                    values=[figure.of(now.get(label, {})) for label in labels],
                    before=[figure.of(earlier.get(label, {})) for label in before],
                    total=figure.of(_total(now.values())),
                    total_before=figure.of(_total(earlier.values())),
                )

    def _amount(self) -> str:
        return next((figure.plus[0] for figure in self._table.figures if figure.unit == "money"), "")

    def _currencies(self) -> list[str]:
        """Those of which there is an amount."""
        columns = [name for figure in self._table.figures if figure.unit == "money" for name in figure.columns]
        found = {currency for (*_, currency), sums in self._sums.items() if any(sums.get(name) for name in columns)}
        return sorted(found)

    def _by_label(self, currency: str | None, *, before: bool) -> dict[date | str, Sums]:
        """Of all currencies, if none is named."""
        found: dict[date | str, list[Sums]] = defaultdict(list)
        for (earlier, label, own), sums in self._sums.items():
            if earlier == before and currency in (None, own):
                found[label].append(sums)
        return {label: _total(each) for label, each in found.items()}


def _total(some: Iterable[Sums]) -> Sums:
    found: dict[str, int] = defaultdict(int)
    for sums in some:
        for name, number in sums.items():
            found[name] += number
    return found
