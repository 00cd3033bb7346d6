"""`GET /api/v1/changes` and `/api/v1/orders/{order}/changes`: what changes, as it happens (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import hdrs, web

from services.staff.archived import find_order
from services.staff.live.follower import Follower
from services.staff.live.live_changes import CHANGED_MOST, LiveChanges
from services.staff.order_list import Chosen, Store
from shared.shell.http.access import ORDER, OWN_STORES, PRINCIPAL, add_route, found_by, stores_of
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header, StrictQuery
from shared.shell.http.event_stream import HEARTBEAT, MEDIA
from shared.shell.http.limits import Budget
from shared.shell.http.problems import ProblemResponse, not_found
from shared.shell.http.requests import header_in, strict_query_in
from shared.shell.ports.http_api import HttpApi

READERS = 1000
"""Open streams per worker; any more are refused with 503."""
OF_CALLER = 50
"""Open streams of one caller."""
LASTS = 60.0
"""Seconds, after which the reader connects again, and is asked again for what it may see."""
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which readers connect again."""
ORDER_EVENT = (
    "`order`, with the order's id, store, number, status and the `revisions` of its records, as its page has them: "
    "each time that it has changed, up to a second late; several changes at a time are one event."
)
ENDS = (
    f"A comment after each {HEARTBEAT:.0f} seconds without news. The stream ends after a minute: connect again with "
    "`Last-Event-ID`, as browsers do by themselves."
)


class ChangesQuery(StrictQuery):
    store: tuple[Store, ...] = Chosen
    """Of these stores."""


LAST_EVENT_ID = Header(
    "Last-Event-ID",
    "The `id` of the last event that the reader has, or of a comment: the stream begins with what has changed since. "
    "Missing: it begins now.",
)
CHANGES = Declaration(
    "Follow the changes of orders live",
    (
        DeclaredResponse(
            None,
            media=MEDIA,
            description=f"Server-sent events. {ORDER_EVENT} `reset`: what was changed is not known, or more than "
            f"{CHANGED_MOST:,} orders: read again what you show. {ENDS}",
        ),
    ),
    query=ChangesQuery,
    headers=(LAST_EVENT_ID,),
)
OF_ORDER = Declaration(
    "Follow the changes of an order live",
    (
        DeclaredResponse(
            None,
            media=MEDIA,
            description=f"Server-sent events. {ORDER_EVENT} `timeline`, with the order's id and how many `events` its "
            f"archive has: when there are more. Both are told first as they are now, so nothing is missed. {ENDS}",
        ),
    ),
    refused=(HTTPStatus.NOT_FOUND,),
)


def add_changes(application: web.Application, api: HttpApi) -> None:
    routes = ChangeRoutes(api)
    application.cleanup_ctx.append(routes.looking)
    application.on_shutdown.append(routes.stop)
    add_route(application, "GET", "/api/v1/changes", routes.all, "order.read", OWN_STORES, CHANGES)
    of_order = found_by(routes.store_of, "order")
    add_route(application, "GET", "/api/v1/orders/{order}/changes", routes.of_order, "order.read", of_order, OF_ORDER)


class ChangeRoutes:
    def __init__(self, api: HttpApi) -> None:
        self.api, self._readers = api, Budget(READERS, OF_CALLER)
        self.live = LiveChanges(api.engine)

    async def looking(self, application: web.Application) -> AsyncIterator[None]:
        """As long as the application runs."""
        task = asyncio.create_task(self.live.run(), name="live changes")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stop(self, application: web.Application) -> None:
        """End the open streams; their readers connect to another worker."""
        self.live.end()

    async def store_of(self, name: str) -> str | None:
        async with self.api.engine.connect() as connection:
            found = await find_order(connection, name)
        return found.store if found else None

    async def all(self, request: web.Request) -> web.StreamResponse:
        strict_query_in(request, ChangesQuery)
        return await self._follow(request, Follower(stores_of(request), began=header_in(request, LAST_EVENT_ID)))

    async def of_order(self, request: web.Request) -> web.StreamResponse:
        async with self.api.engine.connect() as connection:
            found = await find_order(connection, request.match_info["order"])
        if found is None:
            raise not_found(ORDER)
        return await self._follow(request, Follower(None, found.order_id))

    async def _follow(self, request: web.Request, follower: Follower) -> web.StreamResponse:
        caller = request[PRINCIPAL]
        until = datetime.now(UTC) + timedelta(seconds=LASTS)
        until = min(until, caller.expires) if caller.expires else until
        self._count(caller.name)
        try:
            response = web.StreamResponse(headers={"Content-Type": MEDIA, "Cache-Control": "no-store"})
            await response.prepare(request)
            if request.method == hdrs.METH_HEAD:
                return response
            with self.live.followed(follower):
                await response.write(RETRY)
                while not follower.ended and (left := (until - datetime.now(UTC)).total_seconds()) > 0:
                    await response.write(await follower.news(min(left, HEARTBEAT)))
            return response
        except (ConnectionError, sa.exc.SQLAlchemyError):
            return response  # the reader connects again by itself, with Last-Event-ID
        finally:
            self._readers.release(caller.name)

    def _count(self, caller: str) -> None:
        """One more open stream. Raises ProblemResponse."""
        if self._readers.take(caller):
            return
        if self._readers.used >= READERS:
            title = "Too many open streams. Try again shortly."
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=5)
        title = f"You have {OF_CALLER} open streams. Close one of them."
        raise ProblemResponse(HTTPStatus.TOO_MANY_REQUESTS, title, "too_many_streams", retry_after=30)
