"""`GET /api/v1/queues`: what waits for staff, by number. Each queue is a filter of the list of orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.order_filter import FACETS, FLAGS, OrderFilter
from services.staff.order_counts import capped
from services.staff.order_list import Chosen, Store, own_stores
from services.staff.order_query import PLANS, OrderQuery
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.shell.http.access import OWN_STORES, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, StrictQuery
from shared.shell.http.requests import strict_query_in
from shared.shell.ports.http_api import HttpApi

QUEUES: Mapping[str, tuple[str, str]] = {
    "failed_deliveries": ("delivery", "failed"),
    "waiting_deliveries": ("delivery", "waiting"),
    "to_start": ("to_start", "true"),
    "refund_requests": ("asked", "refund"),
    "cancellation_requests": ("asked", "cancel"),
    "held": ("held", "true"),
    "owed": ("owed", "true"),
    "unresolved": ("unresolved", "true"),
    "lost_emails": ("lost_emails", "true"),
    "lost_webhooks": ("lost_webhooks", "true"),
}
"""By name, the filter that lists it."""


class QueueQuery(StrictQuery):
    store: tuple[Store, ...] = Chosen
    """Of these stores."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Orders that wait for staff for the same reason."""

    queue: str
    """Its name."""
    count: int
    """So many orders were counted."""
    more: bool
    """There may be more."""
    parameter: str
    """The parameter of `GET /api/v1/orders` that lists them."""
    value: str
    """Its value."""


@dataclass(frozen=True, slots=True)
class QueueList:
    """What waits for staff."""

    queues: list[Queue]
    """All of them, those that are empty, too."""


LIST = Declaration(
    "What waits for staff, by number",
    (DeclaredResponse(QueueList), NOT_MODIFIED),
    query=QueueQuery,
    headers=(IF_NONE_MATCH,),
)


def add_queues(application: web.Application, api: HttpApi) -> None:
    add_route(application, "GET", "/api/v1/queues", _queues(api.engine), "order.read", OWN_STORES, LIST)


def facet_of(parameter: str, value: str) -> str:
    return FLAGS[parameter] if parameter in FLAGS else f"{FACETS[parameter]}:{value}"


def _queues(engine: AsyncEngine) -> RequestHandler:
    statement = " union all ".join(
        f"select '{name}', (select count(*) from (select from orders o where {{}} "
        f"and o.facets @> array['{facet_of(*listed)}'] limit :most) c)"
        for name, listed in QUEUES.items()
    )

    async def handle(request: web.Request) -> web.StreamResponse:
        strict_query_in(request, QueueQuery)
        async with engine.connect() as connection:
            stores, all_of_them = await own_stores(connection, request)
            await connection.execute(PLANS)
            found = await capped(connection, OrderQuery(stores, all_of_them, OrderFilter()), statement)
        queues = [Queue(name, *found[name], *listed) for name, listed in QUEUES.items()]
        return kept_response(request, QueueList(queues))

    return handle
