"""Unusual patterns by HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiohttp import web

from services.monitor.domain.minutes import time_of
from services.monitor.domain.unusual import Alert, Alerts, Limits
from services.monitor.http import PERMISSION
from shared.shell.http.access import IN_QUERY, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import json_response
from shared.shell.http.requests import Words, query_in

MOST = 200
"""Alerts in one answer."""


class AlertsQuery(Query):
    store: Words = ""
    """Only this store's alerts."""


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """Many orders, cards or declines from one place within some minutes."""

    alert: str
    """Names it as long as the monitor runs."""
    store: str
    """The store's id."""
    what: str
    """`orders`, `cards` (different ones) or `declines` (of attempts)."""
    by: str
    """What they have in common: `address` (where parcels are sent), `mail` or `ip`. The monitor does not keep its
    value: see one of the orders."""
    count: int
    """How many there are."""
    limit: int
    """From how many on it is unusual."""
    minutes: int
    """Within so many minutes."""
    raised: datetime
    """The minute in which the monitor noticed it."""
    first: datetime
    """The minute of the first that is counted."""
    last: datetime
    """The minute of the last."""
    orders: Sequence[str]
    """The ids of the latest orders that belong to it, at most 20."""


@dataclass(frozen=True, slots=True)
class ShownAlerts:
    """What is unusual now."""

    alerts: Sequence[ShownAlert]
    """Those that were raised last first."""
    more: int
    """How many there are besides."""


DECLARATION = Declaration("Unusual patterns", (DeclaredResponse(ShownAlerts),), query=AlertsQuery)


def shown_alerts(alerts: Alerts, limits: Limits, store: str) -> ShownAlerts:
    current = alerts.current(store)
    return ShownAlerts([_shown(alert, limits) for alert in current[:MOST]], max(0, len(current) - MOST))


def _shown(alert: Alert, limits: Limits) -> ShownAlert:
    (store, source, what), pattern = alert.key, alert.pattern
    return ShownAlert(
        *(f"{what}-{source.by}-{source.fingerprint.hex()}", store, what, source.by),
        *(pattern.count, limits.of(what), limits.minutes),
        *(time_of(alert.raised), time_of(pattern.first), time_of(pattern.last)),
        pattern.orders,
    )


class Watch(Protocol):
    """Who looks for patterns."""

    def look_for_patterns(self) -> None: ...

    def alerts(self, store: str) -> ShownAlerts: ...


def add_alerts(app: web.Application, watch: Watch) -> None:
    """`GET /monitor/alerts?store=`."""

    async def handle(request: web.Request) -> web.Response:
        query = query_in(request, AlertsQuery)
        watch.look_for_patterns()
        return json_response(watch.alerts(query.store))

    add_route(app, "GET", "/monitor/alerts", handle, PERMISSION, IN_QUERY, DECLARATION)
