"""The monitor by HTTP: orders per minute, and what the other routes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiohttp import web
from pydantic import Field

from services.monitor.domain.figures import ORDERS, Figures
from services.monitor.domain.minutes import minute_of, time_of
from shared.shell.http.access import IN_QUERY, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import bad_request, json_response
from shared.shell.http.requests import Number, Words, query_in

PERMISSION = "monitor.read"


class MinutesQuery(Query):
    store: Words = ""
    """Only this store's orders."""
    minutes: Number = Field(default=60, ge=1)
    """So many, the current one included; at most those that are kept (`ORDERBUS_MONITOR__HOURS`)."""


@dataclass(frozen=True, slots=True)
class OrdersInMinute:
    """How many orders a store had in one minute."""

    minute: datetime
    """When it began."""
    store: str
    """The store's id."""
    orders: int
    """How many orders were placed in it."""


@dataclass(frozen=True, slots=True)
class OrdersInMinutes:
    """How many orders were placed, minute by minute."""

    first: datetime
    """The first minute that is counted here."""
    last: datetime
    """The last minute that is counted here."""
    complete: bool
    """Whether the topics have been read up to where they ended when the monitor started."""
    lag: int | None
    """Records that are not read yet; null where that is unknown."""
    minutes: Sequence[OrdersInMinute]
    """Those with orders."""


DECLARATION = Declaration("Orders per minute and store", (DeclaredResponse(OrdersInMinutes),), query=MinutesQuery)


class Progress(Protocol):
    """How far the topics are read."""

    @property
    def complete(self) -> bool: ...

    def lag(self) -> int | None: ...


def minutes_in(request: web.Request, most: int) -> MinutesQuery:
    """`most`: minutes that may be asked for. Raises ProblemResponse."""
    query = query_in(request, MinutesQuery)
    if query.minutes > most:
        raise bad_request(f"`minutes` must be a number from 1 to {most}.")
    return query


def add_orders_per_minute(
    app: web.Application, figures: Figures, progress: Progress, now: Callable[[], datetime], most: int
) -> None:
    """`GET /monitor/orders-per-minute?store=&minutes=`. `most`: minutes that may be asked for."""

    async def handle(request: web.Request) -> web.Response:
        query = minutes_in(request, most)
        last = minute_of(now())
        first = max(figures.since, last - query.minutes + 1)
        found = [
            OrdersInMinute(time_of(minute), store, orders)
            for minute, store, counts in figures.between(first, last)
            if query.store in ("", store) and (orders := counts.get((ORDERS, ""), 0))
        ]
        answer = OrdersInMinutes(time_of(first), time_of(last), progress.complete, progress.lag(), found)
        return json_response(answer)

    add_route(app, "GET", "/monitor/orders-per-minute", handle, PERMISSION, IN_QUERY, DECLARATION)
