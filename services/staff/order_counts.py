"""How many orders match: exact for tabs without filters, from the counters; otherwise exact up to a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.order_conditions import of_filter, of_stores
from services.staff.order_list import OrderChoice, problems_of_choice, query_of
from services.staff.order_query import FOUND, PLANS, OrderQuery
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.contracts.values import OrderStatus
from shared.shell.http.access import OWN_STORES, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.requests import strict_query_in
from shared.shell.ports.http_api import HttpApi

COUNTED = 10_000
"""Orders are counted up to this number."""


def add_order_counts(application: web.Application, api: HttpApi) -> None:
    add_route(application, "GET", "/api/v1/orders/tabs", _tabs(api.engine), "order.read", OWN_STORES, TABS)
    add_route(application, "GET", "/api/v1/orders/count", _count(api.engine), "order.read", OWN_STORES, COUNT)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many orders there are."""

    count: int
    """So many were counted."""
    more: bool
    """There may be more."""


@dataclass(frozen=True, slots=True)
class OrderTab:
    """The orders of one status."""

    status: str
    """Its status."""
    count: int
    """So many were counted."""
    more: bool
    """There may be more."""


@dataclass(frozen=True, slots=True)
class OrderTabs:
    """How many orders there are of each status. Without filters, the numbers are exact."""

    all: Counted
    """Of all statuses."""
    tabs: list[OrderTab]
    """Of each status, in the order of an order's life."""


TABS = Declaration(
    "How many orders there are of each status",
    (DeclaredResponse(OrderTabs), NOT_MODIFIED),
    query=OrderChoice,
    headers=(IF_NONE_MATCH,),
)
COUNT = Declaration(
    "How many orders match", (DeclaredResponse(Counted), NOT_MODIFIED), query=OrderChoice, headers=(IF_NONE_MATCH,)
)


def _tabs(engine: AsyncEngine) -> RequestHandler:
    """A filter by status is left out: there is a tab for each."""

    async def handle(request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, OrderChoice, problems_of_choice).model_copy(update={"status": ()})
        async with engine.connect() as connection:
            query = await query_of(connection, request, given)
            found = await counted_by_status(connection, query)
        tabs = [OrderTab(status.value, *found.get(status.value, (0, False))) for status in OrderStatus]
        every = Counted(sum(count for count, _ in found.values()), any(more for _, more in found.values()))
        return kept_response(request, OrderTabs(every, tabs))

    return handle


def _count(engine: AsyncEngine) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, OrderChoice, problems_of_choice)
        async with engine.connect() as connection:
            count, more = await counted(connection, await query_of(connection, request, given))
        return kept_response(request, Counted(count, more))

    return handle


async def counted_by_status(connection: AsyncConnection, query: OrderQuery) -> Mapping[str, tuple[int, bool]]:
    """How many, and whether there may be more, by status."""
    if query.search is not None:
        return await _counted_of_search(connection, query)
    if query.wanted.is_everything:
        statement = "select status, sum(count) from order_counts where store = any(cast(:stores as text[])) group by 1"
        rows = await connection.execute(sa.text(statement), {"stores": list(query.stores)})
        return {status: (int(count), False) for status, count in rows}
    await connection.execute(PLANS)
    parts = [
        f"select '{status.value}', (select count(*) from (select from orders o where {{}} "
        f"and o.facets @> array['status:{status.value}'] limit :most) c)"
        for status in OrderStatus
    ]
    return await capped(connection, query, " union all ".join(parts))


async def counted(connection: AsyncConnection, query: OrderQuery) -> tuple[int, bool]:
    if query.search is not None:
        found = await _counted_of_search(connection, query)
    else:
        if query.wanted.is_everything:
            found = await counted_by_status(connection, query)
            return sum(count for count, _ in found.values()), False
        await connection.execute(PLANS)
        statement = "select '', (select count(*) from (select from orders o where {} limit :most) c)"
        found = await capped(connection, query, statement)
    count, more = sum(count for count, _ in found.values()), any(more for _, more in found.values())
    return min(count, COUNTED), more or count > COUNTED


async def capped(connection: AsyncConnection, query: OrderQuery, statement: str) -> Mapping[str, tuple[int, bool]]:
    """`statement`: gives names and numbers; it has `{}` for the query's condition about `o`, and counts `:most`."""
    conditions = of_stores(query.stores, all_of_them=query.all_of_them) & of_filter(query.wanted)
    text = statement.replace("{}", conditions.sql)
    rows = await connection.execute(sa.text(text), conditions.values | {"most": COUNTED + 1})
    return {status: (min(count, COUNTED), count > COUNTED) for status, count in rows}


async def _counted_of_search(connection: AsyncConnection, query: OrderQuery) -> Mapping[str, tuple[int, bool]]:
    """Of the first that the search finds: if it finds more, there may be more of each status."""
    assert query.search is not None
    conditions = of_stores(query.stores, all_of_them=True) & of_filter(query.wanted)
    statement = f"""with t as materialized (select distinct order_id from ({query.search.source}) f limit :most_found)
        select o.status, count(o.status), (select count(*) from t) as found from (select 1) one left join (
            t cross join lateral (select * from orders o where o.order_id = t.order_id offset 0) o
        ) on {conditions.sql} group by o.status"""
    values: dict[str, Any] = {**query.search.values, **conditions.values, "most_found": FOUND + 1}
    await connection.execute(PLANS)
    rows = (await connection.execute(sa.text(statement), values)).all()
    more = rows[0].found > FOUND
    counts = Counter({row.status: row.count for row in rows if row.status is not None})
    if more:
        counts.update(dict.fromkeys((status.value for status in OrderStatus), 0))
    return {status: (min(count, COUNTED), more or count > COUNTED) for status, count in counts.items()}
