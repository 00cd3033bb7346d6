"""`GET /abandoned`: checkouts that were opened and not submitted, with what was in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field

from services.checkout import queries, storage
from services.checkout.answers import AbandonedCheckout
from services.checkout.domain.order import Order
from shared.contracts.values import OrderStatus as S
from shared.shell.http.access import IN_QUERY, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import json_response
from shared.shell.http.requests import Number, Words, query_in
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.tables import read_state

MOST = 200
ABANDONED = f"placed_at is null and status in ('{S.EXPIRED}', '{S.CANCELLED}')"
"""As the index `orders_abandoned` has it."""


class AbandonedQuery(Query):
    store: Words = ""
    """Only those of this store. Missing: of all stores, which the token must be for."""
    limit: Number = Field(default=50, ge=1, le=MOST)
    """At most so many entries."""
    after: queries.Cursor | None = None
    """The `next` of the previous page."""


@dataclass(frozen=True, slots=True)
class AbandonedPage:
    """A page of checkouts that were opened and never submitted."""

    checkouts: Annotated[list[Json], Holds(list[AbandonedCheckout])]
    """One that only a newer build can read has `newer`, and what lists of orders have of it."""
    next: str | None
    """The `after` of the next page; null on the last one."""


DECLARED = Declaration("Abandoned checkouts, newest first", (DeclaredResponse(AbandonedPage),), query=AbandonedQuery)


def add_abandoned_routes(application: web.Application, api: HttpApi) -> None:
    async def show(request: web.Request) -> web.StreamResponse:
        given = query_in(request, AbandonedQuery)
        orders = storage.orders
        columns = [orders.c[name] for name in queries.TOLD_BY_COLUMNS]
        statement = sa.select(sa.cast(orders.c.data, sa.Text).label("data"), *columns).where(
            orders.c.data.is_not(None), sa.text(ABANDONED)
        )
        if given.store:
            statement = statement.where(orders.c.store == given.store)
        if given.after:
            statement = statement.where(sa.tuple_(orders.c.created_at, orders.c.key) < sa.tuple_(*given.after))
        statement = statement.order_by(orders.c.created_at.desc(), orders.c.key.desc()).limit(given.limit + 1)
        async with api.engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        page = rows[: given.limit]
        cursor = queries.write_cursor(page[-1].created_at, page[-1].key) if len(rows) > given.limit else None
        return json_response(AbandonedPage([_shown(row) for row in page], cursor))

    add_route(application, "GET", "/abandoned", show, "order.read", IN_QUERY, DECLARED)


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    try:
        order = read_state(Order, row.data)
    except WrittenByNewer:
        return {name: getattr(row, name) for name in queries.TOLD_BY_COLUMNS} | {"newer": True}
    opened = order.opened
    return {
        "key": row.key,
        "number": order.number,
        "store": order.store.id,
        "status": order.status,
        "currency": order.currency,
        "opened_at": order.created_at,
        "closed_at": order.closed_at,
        "email": opened.email if opened else None,
        "country": order.country,
        "locale": order.locale,
        "source": order.origin.source,
        "link": order.origin.link,
        "tags": list(order.origin.tags),
        "items": [item.model_dump() for item in opened.items] if opened else [],
    }
