"""A route of every service: why an order is where it is, as far as this service knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core.explanation import Explanation
from shared.shell.http.access import EVERY_STORE, add_route, found_by, store_column
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json
from shared.shell.http.listed import WaitingCall
from shared.shell.http.problems import json_response
from shared.shell.ports.clock import Clock
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.statements import Sql
from shared.shell.postgres.waiting import waiting
from shared.shell.service.service import Service

MOST = 100
_TIMERS = Sql("select name, kind, due from timers where key = :key order by due, name limit :most")
_PARKED = Sql("select kind, reason, error, parked_at from parked where key = :key order by id limit :most")


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Something that happens by itself at its time."""

    name: str
    """Its name within the key."""
    type: str
    """What it starts: `PaymentOverdue`."""
    due: datetime
    """When."""


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message that is not handled, and holds up those behind it."""

    type: str
    """Its wire type."""
    reason: str
    """`failed`, `newer` (waits for a newer build) or `behind` (waits behind another one)."""
    error: str
    """What went wrong."""
    parked_at: datetime
    """Since when."""


@dataclass(frozen=True, slots=True)
class ServiceExplanation:
    """What a service has to do with the order, and what goes no further."""

    service: str
    """Which service."""
    says: Explanation | None
    """What it says by its own rules; null: it says nothing, or does not know the order."""
    operations: Annotated[Sequence[Json], Holds(list[WaitingCall])]
    """Calls to outside systems that wait or are being made, with their next try."""
    timers: Sequence[SetTimer]
    """What happens by itself, and when."""
    parked: Sequence[ParkedMessage]
    """Messages that hold the order up."""


EXPLAIN = Declaration("Why an order is where it is", (DeclaredResponse(ServiceExplanation),))


def add_explain(app: web.Application, engine: AsyncEngine, service: Service, clock: Clock) -> None:
    connections = Connections(engine)

    async def explain(request: web.Request) -> web.Response:
        """Of an order that the service does not know, nothing waits."""
        key = request.match_info["key"]
        says = None
        if service.explain is not None:
            async with engine.connect() as connection:
                says = await service.explain(connection, key, clock.now())
        values = {"key": key, "most": MOST}
        return json_response(
            ServiceExplanation(
                service.name,
                says,
                [call.as_json() for call in await waiting(engine, key, MOST)],
                [SetTimer(*row) for row in await connections.fetch(_TIMERS, values)],
                [ParkedMessage(*row) for row in await connections.fetch(_PARKED, values)],
            )
        )

    tables = [each.table for each in service.storage.states if each.kind is service.order_state]
    scope = found_by(store_column(engine, tables[0])) if tables else EVERY_STORE
    add_route(app, "GET", "/orders/{key}/explain", explain, "order.read", scope, EXPLAIN)
