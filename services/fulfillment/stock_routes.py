"""Stock by HTTP: what staff do about it, how much there is, and each SKU's history."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field

from services.fulfillment.answers import StockAnswer, StockMovement
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.stock import Stock
from services.fulfillment.storage import stock, stock_movements
from shared.contracts.fulfillment import ReceiveStock
from shared.contracts.stock import AdjustStock, SetStock
from shared.shell.http.access import IN_PATH, FindStore, RequestHandler, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.requests import Number, Words, query_in
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.histories import history_of, rows_of
from shared.shell.postgres.tables import read_state

MOST = 500


class StockQuery(Query):
    low: bool = False
    """Only SKUs of which fewer units are free than their products say are enough."""
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    after: Words = ""
    """The SKU of the previous page's last row."""


class HistoryQuery(Query):
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    before: UUID | None = None
    """The id of the previous page's last movement."""


@dataclass(frozen=True, slots=True)
class StockPage:
    """A page of a store's stock."""

    stock: Annotated[list[Json], Holds(list[StockAnswer])]
    """By SKU."""
    next: str | None
    """The next page's `after`; None: this is the last one."""


@dataclass(frozen=True, slots=True)
class MovementsPage:
    """A page of a SKU's history."""

    movements: Annotated[list[Json], Holds(list[StockMovement])]
    """The latest first."""
    next: str | None
    """The next page's `before`; None: this is the last one."""


STOCK = Declaration("A SKU's stock", (DeclaredResponse(StockAnswer),), refused=READ_REFUSED)
STOCKS = Declaration("The stock of a store's SKUs", (DeclaredResponse(StockPage),), query=StockQuery)
MOVEMENTS = Declaration("The history of a SKU's stock", (DeclaredResponse(MovementsPage),), query=HistoryQuery)
COMMANDS = (
    ("POST", "/stores/{store}/stock/{sku}", ReceiveStock),
    ("PUT", "/stores/{store}/stock/{sku}", SetStock),
)
ADJUST = (("POST", "/stores/{store}/stock/{sku}/adjust", AdjustStock),)


def add_stock_routes(application: web.Application, api: HttpApi, store_of: FindStore) -> None:
    add_commands(application, api, (*COMMANDS, *ADJUST), store_of)
    add = functools.partial(add_route, application, "GET")
    add("/stores/{store}/stock", _some(api), "stock.read", IN_PATH, STOCKS)
    add("/stores/{store}/stock/{sku}", _one(api), "stock.read", IN_PATH, STOCK)
    add("/stores/{store}/stock/{sku}/history", _history(api), "stock.read", IN_PATH, MOVEMENTS)


def _one(api: HttpApi) -> RequestHandler:
    async def show(request: web.Request) -> web.StreamResponse:
        key = row_key(request.match_info["store"], request.match_info["sku"])
        found = await rows_of(api.engine, _stocks().where(stock.c.key == key))
        if not found:
            raise not_found("stock")
        return json_response(_view(read_state(Stock, found[0]["data"])))

    return show


def _some(api: HttpApi) -> RequestHandler:
    async def show(request: web.Request) -> web.StreamResponse:
        given, store = query_in(request, StockQuery), request.match_info["store"]
        # The keys of a store lie between `<store>/` and `<store>0`: `0` follows `/`.
        query = _stocks().where(stock.c.key > f"{store}/{given.after}", stock.c.key < f"{store}0")
        if given.low:
            query = query.where(stock.c.data["low_since"].astext.is_not(None))
        rows = await rows_of(api.engine, query.order_by(stock.c.key).limit(given.limit))
        found = [{"sku": row["key"].partition("/")[2]} | _listed(row["data"]) for row in rows]
        return json_response(StockPage(found, found[-1]["sku"] if len(found) == given.limit else None))

    return show


def _history(api: HttpApi) -> RequestHandler:
    async def show(request: web.Request) -> web.StreamResponse:
        given = query_in(request, HistoryQuery)
        key = row_key(request.match_info["store"], request.match_info["sku"])
        rows = await history_of(api.engine, stock_movements, key, given.limit, given.before)
        return json_response(MovementsPage(rows, str(rows[-1]["id"]) if len(rows) == given.limit else None))

    return show


def _stocks() -> sa.Select[Any]:
    return sa.select(stock.c.key, sa.cast(stock.c.data, sa.Text).label("data")).where(stock.c.data.is_not(None))


def _view(row: Stock) -> dict[str, Any]:
    told = dataclasses.asdict(row) | {"free": row.free}
    return {name: value for name, value in told.items() if value is not None}


def _listed(data: str) -> dict[str, Any]:
    try:
        return _view(read_state(Stock, data))
    except WrittenByNewer:
        return {"newer": True}
