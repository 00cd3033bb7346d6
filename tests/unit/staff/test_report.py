"""How sums by day become reports: periods, intervals, series, ranks, CSV."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.staff.domain.report import REPORTS, Interval, Period, SumRow, by_value, over_time
from services.staff.report_csv import BOM, number_text, report_csv, text
from services.staff.storage import AMOUNTS, COUNTS

SALES, COMPLETION = REPORTS["sales"], REPORTS["completion"]
MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))


@pytest.mark.parametrize(
    ("period", "before"),
    [
        (MARCH, Period(date(2026, 2, 1), date(2026, 2, 28))),
        (Period(date(2026, 1, 1), date(2026, 3, 31)), Period(date(2025, 10, 1), date(2025, 12, 31))),
        (Period(date(2024, 1, 1), date(2024, 12, 31)), Period(date(2023, 1, 1), date(2023, 12, 31))),
        (Period(date(2026, 3, 2), date(2026, 3, 8)), Period(date(2026, 2, 23), date(2026, 3, 1))),
        (Period(date(2026, 3, 1), date(2026, 3, 1)), Period(date(2026, 2, 28), date(2026, 2, 28))),
    ],
)
def test_the_period_before(period: Period, before: Period) -> None:
    assert period.before() == before


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(0, 200))
def test_whole_months_and_other_days_are_all_of_a_period_once(first: date, days: int) -> None:
    period = Period(first, first + timedelta(days=days))
    months, others = period.parts()
    parts = sorted([*([months] if months else []), *others])
    assert (parts[0].first, parts[-1].last) == period
    assert all(later.first - earlier.last == timedelta(days=1) for earlier, later in pairwise(parts))
    assert all(part.days > 0 for part in parts)
    if months:
        assert months.first.day == 1 and (months.last + timedelta(days=1)).day == 1
    assert all(other.days < 61 if not months else other.days < 31 for other in others)


def test_labels_are_the_first_days_of_intervals_within_the_period() -> None:
    period = Period(date(2026, 2, 26), date(2026, 3, 10))
    assert period.labels("week") == [date(2026, 2, 26), date(2026, 3, 2), date(2026, 3, 9)]
    assert period.labels("month") == [date(2026, 2, 26), date(2026, 3, 1)]
    assert len(period.labels("day")) == period.days == 13


@given(
    st.dates(date(2000, 1, 1), date(2050, 1, 1)),
    st.integers(0, 800),
    st.sampled_from(["day", "week", "month"]),
    st.lists(st.integers(0, 800), max_size=30),
)
def test_intervals_share_a_period_among_them(first: date, days: int, interval: Interval, paid: list[int]) -> None:
    period = Period(first, first + timedelta(days=days))
    rows = [SumRow(False, first + timedelta(days=min(day, days)), "EUR", {"paid": 1, "sales": day}) for day in paid]
    labels, before = period.labels(interval), period.before().labels(interval)

    series = {each.figure: each for each in over_time(SALES.over_time, rows, labels, before)}

    assert labels[0] == first and labels[-1] <= period.last
    assert sum(value or 0 for value in series["paid"].values) == series["paid"].total == len(paid)
    for place, label in enumerate(labels):
        following = labels[place + 1] if place + 1 < len(labels) else period.last + timedelta(days=1)
        there = [day for day in paid if label <= first + timedelta(days=min(day, days)) < following]
        assert series["paid"].values[place] == len(there)


def test_amounts_are_of_one_currency_and_counts_of_all() -> None:
    day, before = date(2026, 3, 1), date(2026, 2, 1)
    rows = [
        SumRow(False, day, "EUR", {"paid": 2, "sales": 500, "refunded": 100}),
        SumRow(False, day, "JPY", {"paid": 1, "sales": 900}),
        SumRow(True, before, "EUR", {"paid": 5, "sales": 50}),
        SumRow(False, day, "USD", {"opened": 9}),
    ]
    found = over_time(SALES.over_time, rows, [day], [before])

    shown = {(each.figure, each.currency): each for each in found}
    assert (shown["paid", None].values, shown["paid", None].before) == ([3], [5])
    assert {currency for figure, currency in shown if figure == "sales"} == {"EUR", "JPY"}, "none of USD was paid"
    euros, yen = shown["net", "EUR"], shown["net", "JPY"]
    assert (euros.exponent, euros.values, euros.total_before) == (2, [400], 50)
    assert (yen.exponent, yen.values, yen.before) == (0, [900], [0])


def test_shares_and_means_are_of_the_sums_and_missing_where_there_is_nothing_to_divide_by() -> None:
    days = [date(2026, 3, 1), date(2026, 3, 2)]
    rows = [SumRow(False, days[0], "EUR", {"paid": 3, "completed": 2, "seconds": 61})]
    rate, time = over_time(COMPLETION.over_time, rows, days, days)[2:]
    assert (rate.figure, rate.unit, rate.values, rate.total) == ("completion_rate", "basis_points", [6667, None], 6667)
    assert (time.figure, time.values, time.total_before) == ("completion_time", [31, None], None)


def test_values_with_most_come_first_by_amount_of_one_currency_or_by_number_of_several() -> None:
    table = SALES.by["country"]
    rows = [
        SumRow(False, "FI", "EUR", {"paid": 1, "sales": 900}),
        SumRow(False, "SE", "EUR", {"paid": 5, "sales": 100}),
        SumRow(True, "NO", "EUR", {"paid": 9, "sales": 9}),
        SumRow(False, "IS", "EUR", {}),
    ]
    assert by_value(table, rows, 9)[:2] == (["FI", "SE", "NO"], False)
    rows.append(SumRow(False, "US", "USD", {"paid": 2, "sales": 1}))
    values, more, series = by_value(table, rows, 2)
    assert (values, more) == (["SE", "US"], True)
    assert next(each for each in series if each.figure == "paid").total == 8, "of all values"


def test_every_figure_is_of_columns_that_are_kept() -> None:
    for report in REPORTS.values():
        for table in (report.over_time, *report.by.values()):
            assert {*table.columns, table.rank} <= {*COUNTS, *AMOUNTS}, report.name
            assert all(figure.plus[0] in AMOUNTS for figure in table.figures if figure.unit == "money")


def test_csv_has_a_row_for_each_label_amounts_with_decimals_and_no_formula() -> None:
    rows = [
        SumRow(False, "=cmd", "EUR", {"units": 2, "sales": 1905, "refunded": 2000}),
        SumRow(True, "=cmd", "KWD", {"units": 1, "sales": 1905}),
    ]
    values, _, series = by_value(SALES.by["product"], rows, 9)

    written = report_csv("product", values, None, series)

    assert written.startswith(BOM)
    head, first, last = csv.reader(io.StringIO(written.removeprefix(BOM)))
    found = dict(zip(head, first, strict=True))
    assert found["product"] == "'=cmd"
    assert (found["units"], found["sales EUR"], found["net EUR"]) == ("2", "19.05", "-0.95")
    assert (found["sales KWD"], found["sales KWD before"]) == ("0.000", "1.905")
    assert last[0] == "total"


def test_csv_over_time_shows_the_days_of_both_periods() -> None:
    labels, before = MARCH.labels("day"), MARCH.before().labels("day")
    series = over_time(COMPLETION.over_time, [SumRow(True, before[3], "EUR", {"paid": 8})], labels, before)
    lines = list(
        csv.DictReader(
            io.StringIO(report_csv("day", list(map(str, labels)), list(map(str, before)), series).removeprefix(BOM))
        )
    )
    assert len(lines) == 32
    assert (lines[3]["day"], lines[3]["day before"], lines[3]["paid before"]) == ("2026-03-04", "2026-02-04", "8")
    assert (lines[30]["day before"], lines[30]["paid before"], lines[31]["paid before"]) == ("", "", "8")


@pytest.mark.parametrize("value", ["=1", "+1", "-1", "@a", "\t1", "\r1"])
def test_a_text_is_no_formula(value: str) -> None:
    assert text(value) == f"'{value}"
    assert text("a=1") == "a=1"


def test_a_share_is_in_per_cent() -> None:
    (rate,) = [
        each for each in over_time(COMPLETION.over_time, [], [MARCH.first], [MARCH.first]) if "rate" in each.figure
    ]
    assert (number_text(rate, 9331), number_text(rate, 5), number_text(rate, None)) == ("93.31", "0.05", "")
