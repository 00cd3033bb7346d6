"""`GET /api/v1/reports/…`: figures of a period and of the one before, from sums by day, as JSON or CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.report import REPORTS, Interval, Period, Report, Series, Table, by_value, over_time
from services.staff.order_list import Chosen, Store, own_stores
from services.staff.report_csv import report_csv
from services.staff.report_query import product_names, sums_of, zones_of
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response, kept_text
from shared.contracts.values import Currency
from shared.core import Problem
from shared.shell.http.access import OWN_STORES, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, StrictQuery
from shared.shell.http.requests import Number, strict_query_in
from shared.shell.ports.http_api import HttpApi

PERMISSION = "report.read"
CSV = "text/csv"
USUAL_DAYS = 30
MOST_DAYS, MOST_BY_DAY = 3660, 1100
FIRST_YEAR, LAST_YEAR = 1970, 9000
VALUES, MOST_VALUES = 50, 1000


def _shape(given: object) -> object:
    if isinstance(given, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", given):
        raise ValueError("must be a day such as 2026-11-28")
    return given


def _known_year(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"must be in a year from {FIRST_YEAR} to {LAST_YEAR}")
    return day


Day = Annotated[date, BeforeValidator(_shape), AfterValidator(_known_year)]


class ReportQuery(StrictQuery):
    store: tuple[Store, ...] = Chosen
    """Of these stores. Missing: of all of the caller's."""
    begin: Day | None = Field(default=None, alias="from")
    """The first day, in each store's time zone. Missing: so that it is 30 days."""
    end: Day | None = Field(default=None, alias="to")
    """The last day, which is included. Missing: today."""
    interval: Interval | None = None
    """Of a report over time: how long each of its parts is. Weeks begin on Monday. Missing: days up to 92 days, weeks
    up to two years, then months."""
    currency: tuple[Currency, ...] = Chosen
    """Only what is in these currencies. Missing: in all."""
    limit: Number = Field(default=VALUES, ge=1, le=MOST_VALUES)
    """Of a report by value: at most so many values."""
    format: Literal["json", "csv"] = "json"
    """In which form."""

    @property
    def broken_down_by(self) -> str | None:
        found: str | None = getattr(self, "by", None)
        return found


class SalesQuery(ReportQuery):
    by: Literal["product", "delivery_charge", "country", "source", "offer", "provider", "method"] | None = None
    """By value instead of over time. By `provider` or `method`: charges and refunds, when they were made."""


class RefundsQuery(ReportQuery):
    by: Literal["kind", "reason", "provider", "method"] | None = None
    """By value instead of over time. Of the kind `recorded` are refunds for which the provider moved no money."""


class CompletionQuery(ReportQuery):
    by: Literal["duration", "country", "source", "offer"] | None = None
    """By value instead of over time. `duration`: completed in less than a `minute`, `hour`, `day` or `week` after the
    payment, or `longer`."""


class DeliveriesQuery(ReportQuery):
    by: Literal["kind", "reason"] | None = None
    """By value instead of over time. A reason is the kind of the action and the code: `course/rejected`."""


class DisputesQuery(ReportQuery):
    by: Literal["country", "source", "offer"] | None = None
    """By value instead of over time."""


QUERIES: Mapping[str, tuple[type[ReportQuery], str]] = {
    "sales": (SalesQuery, "Sales, over time or by value"),
    "refunds": (RefundsQuery, "Refunds, recorded ones too"),
    "completion": (CompletionQuery, "How many of the paid orders are completed, and how fast"),
    "deliveries": (DeliveriesQuery, "Failed deliveries, by kind and reason"),
    "disputes": (DisputesQuery, "Disputed payments, as far as orders know of them"),
}


@dataclass(frozen=True, slots=True)
class ReportStore:
    """A store that the report is about."""

    store: str
    """The store's id."""
    time_zone: str
    """In which its days are counted."""


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """Some days."""

    first: date
    """The first day."""
    last: date
    """The last day, which is included."""


@dataclass(frozen=True, slots=True)
class ReportLabel:
    """What the values of all series at the same place are about."""

    value: str
    """The first day of an interval, or a value. Empty: of what has none, such as an order without a country."""
    text: str | None
    """What to show in place of it, if that is something else: a product's name."""


@dataclass(frozen=True, slots=True)
class ReportSeries:
    """A figure for each label."""

    figure: str
    """What it is: `sales`, `completion_rate`."""
    unit: Literal["count", "money", "seconds", "basis_points"]
    """`money`: in minor units of the currency. `basis_points`: 10,000 is all of it."""
    currency: str | None
    """Of an amount: ISO 4217."""
    exponent: int | None
    """Of an amount: how many decimals its currency has."""
    values: list[int | None]
    """For each label. Null: there is nothing to divide by."""
    before: list[int | None]
    """The same in the period before; over time for each of `labels_before`, otherwise for each label."""
    total: int | None
    """Of the whole period, values that are not shown included."""
    total_before: int | None
    """Of the whole period before."""


@dataclass(frozen=True, slots=True)
class ReportReply:
    """A report. All that was read of the status records is in it."""

    report: str
    """Its name."""
    by: str | None
    """What it is broken down by. Null: over time."""
    stores: list[ReportStore]
    """The stores that have orders, and the zone of each."""
    period: ReportPeriod
    """The days that it is about."""
    period_before: ReportPeriod
    """As many days before; of whole months as many months."""
    interval: Interval | None
    """Over time: how long each part is."""
    labels: list[ReportLabel]
    """Of the series' values, in their order. By value: those with most first."""
    labels_before: list[ReportLabel] | None
    """Over time: those of the period before."""
    more: bool
    """There are more values than are shown."""
    series: list[ReportSeries]
    """Each figure; amounts in each currency."""


def add_reports(application: web.Application, api: HttpApi) -> None:
    for name, (query, summary) in QUERIES.items():
        declaration = Declaration(
            summary,
            (DeclaredResponse(ReportReply), DeclaredResponse(None, media=CSV), NOT_MODIFIED),
            query=query,
            headers=(IF_NONE_MATCH,),
        )
        handler = _report(api.engine, REPORTS[name], query)
        add_route(application, "GET", f"/api/v1/reports/{name}", handler, PERMISSION, OWN_STORES, declaration)


def problems_of(given: ReportQuery) -> Iterable[Problem]:
    if given.interval and given.broken_down_by:
        yield Problem(field="interval", code="invalid_value", text="cannot be combined with by")
    if not (given.begin and given.end):
        return
    days = Period(given.begin, given.end).days
    if days < 1:
        yield Problem(field="to", code="invalid_value", text="must not be earlier than from")
    elif days > MOST_DAYS:
        yield Problem(field="to", code="invalid_value", text=f"must be at most {MOST_DAYS} days later than from")
    elif given.interval == "day" and days > MOST_BY_DAY:
        yield Problem(field="interval", code="invalid_value", text=f"of more than {MOST_BY_DAY} days: week or month")


def period_of(given: ReportQuery, today: date) -> Period:
    usual = timedelta(days=USUAL_DAYS - 1)
    if given.begin is None:
        last = given.end or today
        return Period(max(last - usual, date(FIRST_YEAR, 1, 1)), last)
    last = given.end or max(today, given.begin)
    return Period(given.begin, min(last, given.begin + timedelta(days=MOST_DAYS - 1)))


def _report(engine: AsyncEngine, report: Report, query: type[ReportQuery]) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, query, problems_of)
        async with engine.connect() as connection:
            stores, _ = await own_stores(connection, request)
            zones, today = await zones_of(connection, stores)
            period = period_of(given, today)
            table = report.table(given.broken_down_by)
            by_day = given.broken_down_by is None
            rows = await sums_of(connection, stores, table, period, given.currency, by_day=by_day)
            shown = _over_time(given, table, period, rows) if by_day else _by_value(given, table, rows)
            names: Mapping[str, str] = {}
            if table.about == "product":
                names = await product_names(connection, stores, shown.values)
        reply = _reply(report, given, period, zones, shown, names)
        if given.format == "csv":
            return kept_text(request, _as_csv(reply, shown.series), CSV, _file_name(reply))
        return kept_response(request, reply)

    return handle


@dataclass(frozen=True, slots=True)
class _Shown:
    values: list[str]
    before: list[str] | None
    interval: Interval | None
    more: bool
    series: list[Series]


def _over_time(given: ReportQuery, table: Table, period: Period, rows: Sequence[Any]) -> _Shown:
    interval = given.interval or period.usual_interval()
    labels, before = period.labels(interval), period.before().labels(interval)
    series = over_time(table, rows, labels, before)
    return _Shown([*map(str, labels)], [*map(str, before)], interval, False, series)


def _by_value(given: ReportQuery, table: Table, rows: Sequence[Any]) -> _Shown:
    values, more, series = by_value(table, rows, given.limit)
    return _Shown(values, None, None, more, series)


def _reply(
    report: Report,
    given: ReportQuery,
    period: Period,
    zones: Mapping[str, str],
    shown: _Shown,
    names: Mapping[str, str],
) -> ReportReply:
    before = None if shown.before is None else [ReportLabel(value, None) for value in shown.before]
    return ReportReply(
        report=report.name,
        by=given.broken_down_by,
        stores=[ReportStore(store, zone) for store, zone in zones.items()],
        period=ReportPeriod(*period),
        period_before=ReportPeriod(*period.before()),
        interval=shown.interval,
        labels=[ReportLabel(value, names.get(value)) for value in shown.values],
        labels_before=before,
        more=shown.more,
        series=[
            ReportSeries(
                *(each.figure, each.unit, each.currency, each.exponent),
                *(each.values, each.before, each.total, each.total_before),
            )
            for each in shown.series
        ],
    )


def _as_csv(reply: ReportReply, series: Sequence[Series]) -> str:
    labels = [label.value if label.text is None else f"{label.value} ({label.text})" for label in reply.labels]
    before = None if reply.labels_before is None else [label.value for label in reply.labels_before]
    return report_csv(reply.by or reply.interval or "", labels, before, series)


def _file_name(reply: ReportReply) -> str:
    zones = "-".join(sorted({store.time_zone.replace("/", "_") for store in reply.stores})[:3]) or "UTC"
    by = f"-by-{reply.by}" if reply.by else ""
    return f"{reply.report}{by}-{reply.period.first}-{reply.period.last}-{zones}.csv"
