"""A report as CSV: a row for each label, amounts in units of their currency, and the sum of all at the end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from services.staff.domain.export import FORMULA, NEUTRAL
from services.staff.domain.report import Series

BOM = "\ufeff"
"""Excel takes it for UTF-8 by this."""


def report_csv(head: str, labels: Sequence[str], labels_before: Sequence[str] | None, series: Sequence[Series]) -> str:
    """`labels_before`: where the period before has labels of its own."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = [_name(each) for each in series]
    before = [f"{head} before"] if labels_before is not None else []
    writer.writerow([head, *names, *before, *(f"{name} before" for name in names)])
    rows = max(len(labels), len(labels_before or ()))
    for number in range(rows):
        own = [text(labels[number]) if number < len(labels) else ""]
        other = [] if labels_before is None else [text(labels_before[number]) if number < len(labels_before) else ""]
        now = [_cell(each, each.values, number) for each in series]
        writer.writerow([*own, *now, *other, *(_cell(each, each.before, number) for each in series)])
    totals = [number_text(each, each.total) for each in series]
    totals_before = [number_text(each, each.total_before) for each in series]
    writer.writerow(["total", *totals, *(["total"] if before else []), *totals_before])
    return BOM + out.getvalue()


def _name(series: Series) -> str:
    return " ".join(_words(series))


def _words(series: Series) -> Iterator[str]:
    yield series.figure
    if series.currency:
        yield series.currency
    if series.unit == "basis_points":
        yield "%"
    if series.unit == "seconds":
        yield "seconds"


def _cell(series: Series, values: Sequence[int | None], number: int) -> str:
    return number_text(series, values[number]) if number < len(values) else ""


def number_text(series: Series, number: int | None) -> str:
    """Whole numbers as they are; amounts with the decimals of their currency, shares in per cent."""
    if number is None:
        return ""
    decimals = 2 if series.unit == "basis_points" else series.exponent or 0
    if not decimals:
        return str(number)
    whole, part = divmod(abs(number), 10**decimals)
    return f"{'-' if number < 0 else ''}{whole}.{part:0{decimals}}"


def text(value: str) -> str:
    """No formula, whatever the storefront has sent."""
    return NEUTRAL + value if value.startswith(tuple(FORMULA)) else value
