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

    def parts(self) -> tuple[Period | None, list[Period]]:
        """Its whole months, by their first days, and the days that are in none of them."""
        begin = self.first if self.first.day == 1 else _following(self.first, "month")
        end = (self.last + timedelta(days=1)).replace(day=1)
        if begin >= end:
            return None, [self]
        edges = [Period(self.first, begin - timedelta(days=1)), Period(end, self.last)]
        return Period(begin, end - timedelta(days=1)), [edge for edge in edges if edge.days > 0]

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
    """Sums by period, currency and label."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._sums: dict[tuple[bool, str], dict[date | str, dict[str, int]]] = defaultdict(dict)

    def add(self, row: SumRow, label: date | str) -> None:
        _add(self._sums[row.before, row.currency].setdefault(label, {}), row.sums)

    def ranked(self) -> list[str]:
        """Those with most first; at the end those that were in the period before only."""
        currencies, amount = self._currencies(), self._amount()
        column = amount if len(currencies) == 1 and amount else self._table.rank
        ranks: dict[str, list[int]] = {}
        for (before, _), labels in self._sums.items():
            for label, sums in labels.items():
                if any(sums.values()):
                    ranks.setdefault(str(label), [0, 0])[before] += sums.get(column, 0)
        return sorted(ranks, key=lambda label: (-ranks[label][0], -ranks[label][1], label))

    def series(self, labels: Sequence[date | str], before: Sequence[date | str]) -> Iterator[Series]:
        currencies = self._currencies()
        found = {
            currency: (self._of(currency, labels, before=False), self._of(currency, before, before=True))
            for currency in (None, *currencies)
        }
        for figure in self._table.figures:
            for currency in currencies if figure.unit == "money" else (None,):
                (now, whole), (earlier, whole_before) = found[currency]
                yield Series(
                    *(figure.name, figure.unit, currency, exponent(currency) if currency else None),
                    values=[figure.of(sums) for sums in now],
                    before=[figure.of(sums) for sums in earlier],
                    total=figure.of(whole),
                    total_before=figure.of(whole_before),
                )

    def _amount(self) -> str:
        return next((figure.plus[0] for figure in self._table.figures if figure.unit == "money"), "")

    def _currencies(self) -> list[str]:
        """Those of which there is an amount."""
        columns = [name for figure in self._table.figures if figure.unit == "money" for name in figure.columns]
        return sorted(
            {
                currency
                for (_, currency), labels in self._sums.items()
                if any(sums.get(name) for sums in labels.values() for name in columns)
            }
        )

    def _of(self, currency: str | None, labels: Sequence[date | str], *, before: bool) -> tuple[list[Sums], Sums]:
        """For each label, and of all that there are. Of all currencies, if none is named."""
        own = [
            sums
            for (earlier, other), sums in self._sums.items()
            if earlier == before and (currency is None or other == currency)
        ]
        whole: dict[str, int] = {}
        for by_label in own:
            for sums in by_label.values():
                _add(whole, sums)
        found: list[Sums] = []
        for label in labels:
            there: dict[str, int] = {}
            for by_label in own:
                _add(there, by_label.get(label, {}))
            found.append(there)
        return found, whole


def _add(there: dict[str, int], sums: Sums) -> None:
    for name, number in sums.items():
        there[name] = there.get(name, 0) + number
