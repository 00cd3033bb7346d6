"""Routes of every service: operations that wait, outside systems that are paused, and resuming them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core.ids import NIL
from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.listed import PausedDestination, SilentDestination, WaitingCall
from shared.shell.http.problems import json_response
from shared.shell.http.requests import Words, query_in
from shared.shell.http.web import actor_of
from shared.shell.operations.engine import Operations
from shared.shell.ports.rows import DestinationPause
from shared.shell.postgres.waiting import PAGE, Waiting, waiting, waiting_longest

log = structlog.get_logger(__name__)


class OperationsQuery(Query):
    key: Words | None = None
    """Only what waits for this key, all of it."""
    after: UUID = NIL
    """The `next` of the previous page."""


@dataclass(frozen=True, slots=True)
class OperationsPage:
    """A page of calls to outside systems."""

    operations: Annotated[list[Json], Holds(list[WaitingCall])]
    """Those that wait to be made or are being made."""
    next: str | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Outside systems that get no calls at present."""

    paused: Annotated[list[Json], Holds(list[PausedDestination])]
    """Those to which all workers make no calls, and why."""
    no_answer: Annotated[Sequence[Json], Holds(list[SilentDestination])]
    """Outside systems that this worker finds without an answer."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The outcome of the request to resume calls."""

    destination: str
    """The outside system."""
    resumed: bool
    """False: it was not paused."""


LISTING = Declaration("Operations that wait, longest first", (DeclaredResponse(OperationsPage),), query=OperationsQuery)
DESTINATIONS = Declaration("Outside systems that are paused or do not answer", (DeclaredResponse(Destinations),))
RESUME = Declaration("Resume calls to an outside system", (DeclaredResponse(Resumed),))


def add_operations(app: web.Application, engine: AsyncEngine, operations: Operations) -> None:
    async def listing(request: web.Request) -> web.Response:
        """What waits for a key, or a page of what has waited longest."""
        query = query_in(request, OperationsQuery)
        if query.key is not None:
            return json_response(_page(await waiting(engine, query.key)))
        return json_response(_page(await waiting_longest(engine, query.after)))

    async def destinations(request: web.Request) -> web.Response:
        paused = await operations.store.paused_destinations()
        circuits = operations.destinations.circuits_as_json()
        return json_response(Destinations([_pause(pause) for pause in paused], circuits))

    async def resume(request: web.Request) -> web.Response:
        """Resuming what is not paused changes nothing and is no error: two people may do so at once."""
        name = request.match_info["name"]
        resumed = await operations.store.resume_destination(name)
        operations.resumed(name)
        log.info("destination resumed by staff", destination=name, actor=actor_of(request), was_paused=resumed)
        return json_response(Resumed(name, resumed))

    add_route(app, "GET", "/operations", listing, "operations.read", EVERY_STORE, LISTING)
    add_route(app, "GET", "/destinations", destinations, "destinations.read", EVERY_STORE, DESTINATIONS)
    add_route(app, "POST", "/destinations/{name:.+}/resume", resume, "destinations.resume", EVERY_STORE, RESUME)


def _page(found: list[Waiting]) -> OperationsPage:
    return OperationsPage([each.as_json() for each in found], str(found[-1].id) if len(found) == PAGE else None)


def _pause(pause: DestinationPause) -> dict[str, Any]:
    return {
        "destination": pause.destination,
        "since": pause.at,
        "reason": pause.reason,
        "worker": pause.by,
        "probes": pause.probes,
        "next_probe": pause.probe_at,
    }
