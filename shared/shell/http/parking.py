"""Routes of every service: parked keys, and timers that cannot be read. List, show, try again, skip."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field

from shared.contracts.values import Given
from shared.shell.http.access import EVERY_STORE, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json
from shared.shell.http.listed import LateTimer, ParkedBrief, ParkedWhole
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.requests import body_in
from shared.shell.inbound.parked_rows import shown
from shared.shell.parking import Parking
from shared.shell.ports.rows import ParkedRow

LISTED = 1000
"""Entries of one response: the first."""


@dataclass(frozen=True, slots=True)
class Parked:
    """Messages that were parked."""

    parked: Annotated[list[Json], Holds(list[ParkedBrief])]
    """Each with where it was in Kafka, its type, and why it was parked."""
    more: bool = False
    """There are more, which are not listed."""


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """The first parked messages of a key."""

    parked: Annotated[list[Json], Holds(list[ParkedWhole])]
    """Each with where it was in Kafka, its type, why it was parked, headers and body."""
    more: bool = False
    """Always false: there may be more."""


@dataclass(frozen=True, slots=True)
class KeyReleased:
    """What the release of a key has done."""

    handled: int
    """How many of the key's messages were handled."""
    error: str
    """Why the next one is parked again; empty: none is."""
    skipped: bool = False
    """The first one was skipped."""


class Skipping(Given):
    """The body of `POST /parked/{key}/skip`."""

    id: int | None = Field(default=None, ge=1, lt=2**63)
    """The message to drop, as listed; without it, the first. If another one is the first, none is dropped, so a
    repetition is harmless."""


@dataclass(frozen=True, slots=True)
class LateTimers:
    """Timers that are overdue."""

    timers: Annotated[list[Json], Holds(list[LateTimer])]
    """Each with its key, and when it was due."""
    more: bool = False
    """There are more, which are not listed."""


LATE = Declaration("Timers that cannot be read", (DeclaredResponse(LateTimers),))
LISTING = Declaration("Parked messages, without headers and bodies", (DeclaredResponse(Parked),))
SHOW = Declaration(
    "The first parked messages of a key, whole", (DeclaredResponse(ParkedKey),), refused=(HTTPStatus.NOT_FOUND,)
)
RETRY = Declaration("Handle a key's parked messages again", (DeclaredResponse(KeyReleased),))
SKIP = Declaration(
    "Drop a key's first parked message, then handle the others", (DeclaredResponse(KeyReleased),), body=Skipping
)


def add_parking(app: web.Application, parking: Parking) -> None:
    async def listing(request: web.Request) -> web.Response:
        rows = await parking.list(LISTED + 1)
        return json_response(Parked([_brief(row) for row in rows[:LISTED]], more=len(rows) > LISTED))

    async def show(request: web.Request) -> web.Response:
        rows = await parking.show(request.match_info["key"])
        if not rows:
            raise not_found("parked key")
        return json_response(ParkedKey([_whole(row) for row in rows]))

    async def retry(request: web.Request) -> web.Response:
        released = await parking.retry(request.match_info["key"])
        return json_response(KeyReleased(released.handled, released.error))

    async def skip(request: web.Request) -> web.Response:
        chosen = await body_in(request, Skipping, "request")
        released = await parking.skip(request.match_info["key"], chosen.id)
        return json_response(KeyReleased(released.handled, released.error, released.skipped))

    async def late_timers(request: web.Request) -> web.Response:
        rows = await parking.late_timers(LISTED + 1)
        timers: Annotated[list[Json], Holds(list[LateTimer])] = [
            {"key": r.key, "name": r.name, "type": r.kind, "due": r.due.isoformat()} for r in rows[:LISTED]
        ]
        return json_response(LateTimers(timers, more=len(rows) > LISTED))

    add_route(app, "GET", "/timers/late", late_timers, "timers.read", EVERY_STORE, LATE)
    add_route(app, "GET", "/parked", listing, "parked.read", EVERY_STORE, LISTING)
    add_route(app, "GET", "/parked/{key:.+}", show, "parked.read", EVERY_STORE, SHOW)
    add_route(app, "POST", "/parked/{key:.+}/retry", retry, "parked.retry", EVERY_STORE, RETRY)
    add_route(app, "POST", "/parked/{key:.+}/skip", skip, "parked.skip", EVERY_STORE, SKIP)


def _brief(row: ParkedRow) -> Json:
    return {
        "key": row.key,
        "id": row.id,
        "message": str(row.message_id),
        "type": row.kind,
        "origin": row.origin,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "reason": row.reason,
        "error": row.error,
        "parked_at": row.at.isoformat(),
    }


def _whole(row: ParkedRow) -> Json:
    return _brief(row) | shown(row)
