"""`GET /api/v1/orders/{order}/explain`: the owners are asked side by side, each with an assertion of the caller, and
their answers are joined. One that does not answer is named, and the others are shown."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from services.staff.archived import find_order
from services.staff.owners.client import Owners
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.core.explanation import Possible, Waits
from shared.shell.http.access import ORDER, PRINCIPAL, add_route, found_by
from shared.shell.http.assertions import RequestHead
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json
from shared.shell.http.explain import ServiceExplanation
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, not_found
from shared.shell.ports.http_api import HttpApi

PATH = "/api/v1/orders/{order}/explain"
WITHIN = 5.0
"""Seconds that an owner has."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WaitsAt:
    """What the order waits for, and which service says so."""

    service: str
    """The service that says it."""
    who: str
    """Who has to act."""
    what: str
    """What they have to do, for staff."""
    until: datetime | None = None
    """When that time ends; null: it does not."""


@dataclass(frozen=True, slots=True)
class PossibleAt:
    """A command about the order, or why not now."""

    service: str
    """The service that takes it: below `/api/v1/<service>`."""
    command: str
    """Its wire type: `order.cancel`."""
    permitted: bool
    """The caller has the permission."""
    possible: bool
    """Whether it would be accepted now."""
    code: str = ""
    """Why it would be refused, machine-readable."""
    why_not: str = ""
    """Why it would be refused, in the words of the refusal."""


@dataclass(frozen=True, slots=True)
class OrderExplanation:
    """Why an order is where it is."""

    order_id: str
    """The order's id."""
    state: str | None
    """Its status, as checkout says; null: checkout does not answer."""
    why: str
    """Why it is in it; empty: nothing more is to be said."""
    waits: list[WaitsAt]
    """What it waits for, at all services; empty: for nothing."""
    following: list[str]
    """The statuses that it can have next."""
    commands: list[PossibleAt]
    """What may be done, and what not now."""
    services: Annotated[list[Json], Holds(list[ServiceExplanation])]
    """What each service says: also its calls with their next try, its timers, and what is parked."""
    missing: list[str]
    """Services that did not answer, or not to this caller: what they know is not in here."""


EXPLAIN = Declaration(
    "Why an order is where it is: what waits for what, what comes next, what may be done",
    (DeclaredResponse(OrderExplanation), NOT_MODIFIED),
    headers=(IF_NONE_MATCH,),
    refused=(HTTPStatus.NOT_FOUND,),
)


def add_explanation(application: web.Application, api: HttpApi, owners: Owners) -> None:
    async def store_of(name: str) -> str | None:
        async with api.engine.connect() as connection:
            found = await find_order(connection, name)
        return found.store if found else None

    async def explain(request: web.Request) -> web.StreamResponse:
        caller = request[PRINCIPAL]
        async with api.engine.connect() as connection:
            found = await find_order(connection, request.match_info["order"])
        if found is None:
            raise not_found(ORDER)
        asked = (_ask(owners, caller, owner, found.order_id) for owner in owners.urls)
        answers = dict(zip(owners.urls, await asyncio.gather(*asked), strict=True))
        return kept_response(request, joined(found.order_id, caller, answers))

    add_route(application, "GET", PATH, explain, "order.read", found_by(store_of, "order"), EXPLAIN)


async def _ask(owners: Owners, caller: Principal, owner: str, key: str) -> Json | None:
    """None: it does not answer. Empty: it does not know the order."""
    head = RequestHead("GET", f"/orders/{quote(key, safe=':@')}/explain")
    try:
        answer = await owners.send(caller, owner, head, timeout=WITHIN)
    except ProblemResponse:
        return None
    if answer.status == HTTPStatus.NOT_FOUND:
        return {}
    if answer.status != HTTPStatus.OK:
        log.warning("an owner does not explain an order", owner=owner, status=answer.status)
        return None
    found: Json = orjson.loads(answer.body)
    return found


def joined(order_id: str, caller: Principal, answers: Mapping[str, Json | None]) -> OrderExplanation:
    known = [answer for answer in answers.values() if answer]
    own = _says(answers.get("checkout"))
    return OrderExplanation(
        order_id=order_id,
        state=own.get("state"),
        why=own.get("why", ""),
        waits=[WaitsAt(**wait, service=service) for service, wait in _each("waits", known)],
        following=own.get("following", []),
        commands=[
            PossibleAt(**command, service=service, permitted=caller.may(command["command"]))
            for service, command in _each("commands", known)
        ],
        services=known,
        missing=[service for service, answer in answers.items() if answer is None],
    )


def _says(answer: Json | None) -> Json:
    """By its own rules; empty: nothing."""
    return (answer or {}).get("says") or {}


def _each(what: str, answers: list[Json]) -> Iterator[tuple[str, dict[str, Any]]]:
    """With the service that says it. Fields that a newer build added are left to `services`."""
    fields = {field.name for field in dataclasses.fields({"waits": Waits, "commands": Possible}[what])}
    for answer in answers:
        for each in _says(answer).get(what, ()):
            yield answer["service"], {name: value for name, value in each.items() if name in fields}
