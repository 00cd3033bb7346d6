"""The monitor by HTTP: orders per minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from aiohttp import web

from services.monitor.domain.orders_per_minute import OrdersPerMinute, minute_of, time_of
from shared.shell.http.access import IN_QUERY, add_route
from shared.shell.http.problems import json_response
from shared.shell.http.requests import number_in

MINUTES = 60


class Progress(Protocol):
    """How far the topic is read."""

    @property
    def complete(self) -> bool: ...

    def lag(self) -> int | None: ...


def add_orders_per_minute(
    app: web.Application, table: OrdersPerMinute, progress: Progress, now: Callable[[], datetime], most: int
) -> None:
    """`GET /monitor/orders-per-minute?store=&minutes=`. `most`: minutes that may be asked for."""

    async def handle(request: web.Request) -> web.Response:
        store, minutes = request.query.get("store", ""), number_in(request, "minutes", MINUTES, most)
        last = minute_of(now())
        first = max(table.since, last - minutes + 1)
        rows = [
            {"minute": time_of(minute), "store": name, "orders": orders}
            for minute, name, orders in table.between(first, last)
            if store in ("", name)
        ]
        return json_response(
            {
                "from": time_of(first),
                "to": time_of(last),
                "complete": progress.complete,
                "lag": progress.lag(),
                "minutes": rows,
            }
        )

    add_route(app, "GET", "/monitor/orders-per-minute", handle, "monitor.read", IN_QUERY)
