"""The live picture by HTTP: the figures of each minute, once or followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from aiohttp import hdrs, web

from services.monitor.alerts import ShownAlerts
from services.monitor.domain.figures import (
    ATTEMPTS,
    DECLINED,
    FAILED,
    ORDERS,
    PAID,
    REFUNDED,
    REFUNDS,
    REVENUE,
    Counts,
    Figures,
    Place,
)
from services.monitor.domain.minutes import time_of
from services.monitor.followers import Follower, Followers
from services.monitor.http import PERMISSION, MinutesQuery, Progress, minutes_in
from shared.shell.http.access import IN_QUERY, PRINCIPAL, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.event_stream import HEARTBEAT, MEDIA, SIGN_OF_LIFE, event_of
from shared.shell.http.limits import CLIENT, Budget
from shared.shell.http.problems import ProblemResponse, json_response

STREAMS = 200
"""Open streams; any more are refused with 503."""
OF_CLIENT = 20
"""Of them, those of one client."""


@dataclass(frozen=True, slots=True)
class FiguresInMinute:
    """What a store's orders and payments came to in one minute, by all that is known now."""

    minute: datetime
    """When it began."""
    store: str
    """The store's id."""
    orders: int
    """How many orders were placed in it."""
    paid: int
    """How many of these orders are paid."""
    failed: int
    """How many of these orders are in the status `failed`."""
    attempts: int
    """How many attempts to charge were requested in it."""
    declined: int
    """How many of these attempts were declined."""
    refunds: int
    """How many refunds were requested in it that are done."""
    revenue: Mapping[str, int]
    """By currency, in minor units: what counts as paid of the orders that were paid in it, refunds included."""
    refunded: Mapping[str, int]
    """By currency, in minor units: the sum of these refunds."""


@dataclass(frozen=True, slots=True)
class FiguresOfStore:
    """What a store's orders and payments came to in all of these minutes."""

    store: str
    """The store's id."""
    orders: int
    """How many orders were placed in them."""
    paid: int
    """How many of these orders are paid."""
    failed: int
    """How many of these orders are in the status `failed`."""
    attempts: int
    """How many attempts to charge were requested in them."""
    declined: int
    """How many of these attempts were declined."""
    refunds: int
    """How many refunds were requested in them that are done."""
    revenue: Mapping[str, int]
    """By currency, in minor units: what counts as paid of the orders that were paid in them, refunds included."""
    refunded: Mapping[str, int]
    """By currency, in minor units: the sum of these refunds."""
    conversion: float | None
    """`paid` of `orders`, from 0 to 1; null without orders."""
    decline_rate: float | None
    """`declined` of `attempts`, from 0 to 1; null without attempts."""
    failure_rate: float | None
    """`failed` of `orders`, from 0 to 1; null without orders."""


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What orders and payments came to, minute by minute."""

    first: datetime
    """The first minute that is counted here."""
    last: datetime
    """The last minute that is counted here."""
    complete: bool
    """Whether the topics have been read up to where they ended when the monitor started."""
    lag: int | None
    """Records that are not read yet; null where that is unknown."""
    stores: Sequence[FiguresOfStore]
    """All minutes together: the stores that have any figures in them."""
    minutes: Sequence[FiguresInMinute]
    """Those with any figures; of a change, those that have changed."""


SNAPSHOT = Declaration("The figures of the last minutes", (DeclaredResponse(LiveFigures),), query=MinutesQuery)
STREAM = Declaration(
    "Follow the figures live",
    (
        DeclaredResponse(
            None,
            media=MEDIA,
            description="Server-sent events. `snapshot`, first, with LiveFigures as its data. `change`, at most once a "
            "second and at least once a minute, the same with only those minutes that have changed: each replaces what "
            "was told of it, and what is before `first` is to be dropped. `alerts`, first and whenever they change, "
            "with ShownAlerts as its data. A comment after each 15 seconds without news.",
        ),
    ),
    query=MinutesQuery,
)


class LivePicture:
    """The routes below `/monitor/live`."""

    def __init__(self, figures: Figures, followers: Followers, progress: Progress, most: int) -> None:
        """`most`: minutes that may be asked for."""
        self._figures, self._followers, self._progress, self._most = figures, followers, progress, most
        self._streams = Budget(STREAMS, OF_CLIENT)

    async def snapshot(self, request: web.Request) -> web.Response:
        query = minutes_in(request, self._most)
        return json_response(self._of(query))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        query, client = minutes_in(request, self._most), request[CLIENT]
        self._count(client)  # before anything is awaited
        try:
            return await self._follow(request, query)
        finally:
            self._streams.release(client)

    def _count(self, client: str) -> None:
        """One more open stream. Raises ProblemResponse."""
        if self._streams.take(client):
            return
        if self._streams.used >= STREAMS:
            title = "Too many open streams. Try again shortly."
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=5)
        title = f"This client has {OF_CLIENT} open streams. Close one of them."
        raise ProblemResponse(HTTPStatus.TOO_MANY_REQUESTS, title, "too_many_streams", retry_after=30)

    async def _follow(self, request: web.Request, query: MinutesQuery) -> web.StreamResponse:
        """It ends with the token of its reader, who connects again with a new one."""
        expires = request[PRINCIPAL].expires
        response = web.StreamResponse(headers={"Content-Type": MEDIA, "Cache-Control": "no-store"})
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        try:
            with self._followers.followed(query.store) as follower:
                alerts = self._followers.alerts(query.store)
                await response.write(event_of("snapshot", self._of(query)) + event_of("alerts", alerts))
                while not follower.ended:
                    left = HEARTBEAT if expires is None else (expires - self._followers.now()).total_seconds()
                    if left <= 0:
                        break
                    alerts = await self._write(response, follower, query, min(left, HEARTBEAT), alerts)
        except ConnectionError:
            pass  # the reader connects again by itself
        return response

    async def _write(
        self,
        response: web.StreamResponse,
        follower: Follower,
        query: MinutesQuery,
        seconds: float,
        told: ShownAlerts,
    ) -> ShownAlerts:
        """What changed, or a sign of life. What was told of alerts."""
        news = await follower.news(seconds)
        alerts = self._followers.alerts(query.store) if news.alerts else told
        events = event_of("alerts", alerts) if alerts != told else b""
        if news.places or news.turned:
            events = event_of("change", self._of(query, news.places)) + events
        await response.write(events or SIGN_OF_LIFE)
        return alerts

    def _of(self, query: MinutesQuery, only: Iterable[Place] | None = None) -> LiveFigures:
        last = self._followers.minute()
        first = max(self._figures.since, last - query.minutes + 1)
        rows = [row for row in self._figures.between(first, last) if query.store in ("", row[1])]
        stores: dict[str, Counts] = {}
        for _, store, counts in rows:
            sums = stores.setdefault(store, {})
            for figure, amount in counts.items():
                sums[figure] = sums.get(figure, 0) + amount
        if only is None:
            minutes = [_minute(minute, store, counts) for minute, store, counts in rows]
        else:
            known = {(minute, store): counts for minute, store, counts in rows}
            told = sorted(place for place in only if first <= place[0] <= last)
            minutes = [_minute(*place, known.get(place, {})) for place in told]
        return LiveFigures(
            *(time_of(first), time_of(last), self._progress.complete, self._progress.lag()),
            [_store(store, counts) for store, counts in sorted(stores.items())],
            minutes,
        )


def _minute(minute: int, store: str, counts: Counts) -> FiguresInMinute:
    return FiguresInMinute(time_of(minute), store, *_numbers(counts), *_money(counts))


def _store(store: str, counts: Counts) -> FiguresOfStore:
    orders, paid, failed, attempts, declined, refunds = _numbers(counts)
    rates = _rate(paid, orders), _rate(declined, attempts), _rate(failed, orders)
    return FiguresOfStore(store, orders, paid, failed, attempts, declined, refunds, *_money(counts), *rates)


def _numbers(counts: Counts) -> tuple[int, int, int, int, int, int]:
    orders, paid, failed = counts.get((ORDERS, ""), 0), counts.get((PAID, ""), 0), counts.get((FAILED, ""), 0)
    attempts, declined = counts.get((ATTEMPTS, ""), 0), counts.get((DECLINED, ""), 0)
    return orders, paid, failed, attempts, declined, counts.get((REFUNDS, ""), 0)


def _money(counts: Counts) -> tuple[dict[str, int], dict[str, int]]:
    revenue = {currency: amount for (name, currency), amount in sorted(counts.items()) if name == REVENUE}
    return revenue, {currency: amount for (name, currency), amount in sorted(counts.items()) if name == REFUNDED}


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def add_live(app: web.Application, figures: Figures, followers: Followers, progress: Progress, most: int) -> None:
    """`GET /monitor/live?store=&minutes=`, and its stream. `most`: minutes that may be asked for."""
    live = LivePicture(figures, followers, progress, most)
    app.cleanup_ctx.append(followers.looking)
    app.on_shutdown.append(followers.stop)
    add_route(app, "GET", "/monitor/live", live.snapshot, PERMISSION, IN_QUERY, SNAPSHOT)
    add_route(app, "GET", "/monitor/live/stream", live.stream, PERMISSION, IN_QUERY, STREAM)
