"""Routes of every service: operations that wait, outside systems that are paused, and resuming them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core.ids import NIL
from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.problems import json_response
from shared.shell.http.requests import uuid_in
from shared.shell.http.web import actor_of
from shared.shell.operations.engine import Operations
from shared.shell.ports.rows import DestinationPause
from shared.shell.postgres.waiting import PAGE, Waiting, waiting, waiting_longest

log = structlog.get_logger(__name__)


def add_operations(app: web.Application, engine: AsyncEngine, operations: Operations) -> None:
    async def listing(request: web.Request) -> web.Response:
        """What waits for a key, or a page of what has waited longest; `after` is the last id of the previous page."""
        key = request.query.get("key")
        if key is not None:
            return json_response(_page(await waiting(engine, key)))
        after = uuid_in(request, "after", "an operation") or NIL
        return json_response(_page(await waiting_longest(engine, after)))

    async def destinations(request: web.Request) -> web.Response:
        paused = await operations.store.paused_destinations()
        circuits = operations.destinations.circuits_as_json()
        return json_response({"paused": [_pause(pause) for pause in paused], "no_answer": circuits})

    async def resume(request: web.Request) -> web.Response:
        """Resuming what is not paused changes nothing and is no error: two people may do so at once."""
        name = request.match_info["name"]
        resumed = await operations.store.resume_destination(name)
        operations.resumed(name)
        log.info("destination resumed by staff", destination=name, actor=actor_of(request), was_paused=resumed)
        return json_response({"destination": name, "resumed": resumed}, HTTPStatus.OK)

    add_route(app, "GET", "/operations", listing, "operations.read", EVERY_STORE)
    add_route(app, "GET", "/destinations", destinations, "destinations.read", EVERY_STORE)
    add_route(app, "POST", "/destinations/{name:.+}/resume", resume, "destinations.resume", EVERY_STORE)


def _page(found: list[Waiting]) -> dict[str, Any]:
    """`next` is the `after` of the next page; null on the last one."""
    after = str(found[-1].id) if len(found) == PAGE else None
    return {"operations": [each.as_json() for each in found], "next": after}


def _pause(pause: DestinationPause) -> dict[str, Any]:
    return {
        "destination": pause.destination,
        "since": pause.at,
        "reason": pause.reason,
        "worker": pause.by,
        "probes": pause.probes,
        "next_probe": pause.probe_at,
    }
