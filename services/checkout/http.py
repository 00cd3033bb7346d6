"""Checkout's HTTP API: commands to orders, stores and SKUs, and their current state."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import orjson
import sqlalchemy as sa
from aiohttp import web
from pydantic import BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.checkout import queries, storage
from services.checkout.abandoned_routes import add_abandoned_routes
from services.checkout.answers import NewerOrder, ProductAnswer, SkuAnswer
from services.checkout.domain.order import Order
from services.checkout.domain.product import Product
from services.checkout.domain.sku import Sku
from services.checkout.domain.status_record import status_record
from services.checkout.order_answers import ListedOrder, OrderAnswer
from services.checkout.store_routes import add_store_routes
from shared.contracts.approval import AcceptOrder, DeclineOrder
from shared.contracts.checkout import CancelOrder, CompleteOrder
from shared.contracts.erasure import EraseCustomer
from shared.contracts.order_work import AnswerOrder, MessageOrder, NoteOrder, ReopenOrder
from shared.contracts.store_settings import ChangeStore
from shared.contracts.stores import ConfigureStore, DefineProduct, DefineSku
from shared.contracts.values import OrderStatus
from shared.core import codec
from shared.shell.http.access import IN_PATH, IN_QUERY, add_route, found_by, store_column
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import Number, Words, query_in
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.tables import read_state

MOST = 200
COMMANDS = (
    ("PUT", "/stores/{store}", ConfigureStore),
    ("PATCH", "/stores/{store}", ChangeStore),
    ("PUT", "/stores/{store}/skus/{sku}", DefineSku),
    ("PUT", "/stores/{store}/products/{product}", DefineProduct),
    ("POST", "/orders/{key}/cancel", CancelOrder),
    ("POST", "/orders/{key}/complete", CompleteOrder),
    ("POST", "/orders/{key}/notes", NoteOrder),
    ("POST", "/orders/{key}/messages", MessageOrder),
    ("POST", "/orders/{key}/answer", AnswerOrder),
    ("POST", "/orders/{key}/reopen", ReopenOrder),
    ("POST", "/orders/{key}/accept", AcceptOrder),
    ("POST", "/orders/{key}/decline", DeclineOrder),
    ("POST", "/orders/{key}/erase", EraseCustomer),
)


def _split(given: object) -> object:
    return [status for status in given.split(",") if status] if isinstance(given, str) else given


class OrdersQuery(Query):
    status: Annotated[tuple[OrderStatus, ...], BeforeValidator(_split)] = ()
    """Separated by commas."""
    store: Words = ""
    """Only those of this store. Missing: of all stores, which the token must be for."""
    q: Words = ""
    """The beginning of a number (with or without `ORD-`), an email, a first or a last name."""
    limit: Number = Field(default=50, ge=1, le=MOST)
    """At most so many entries."""
    after: queries.Cursor | None = None
    """The `next` of the previous page."""


class SkusQuery(Query):
    limit: Number = Field(default=50, ge=1, le=MOST)
    """At most so many entries."""
    after: Words = ""
    """The `next` of the previous page."""


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """A page of orders."""

    orders: Annotated[list[Json], Holds(list[ListedOrder | NewerOrder])]
    """One that only a newer build can read has `newer`, and what the list can filter by."""
    next: str | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class SkusPage:
    """A page of SKUs."""

    skus: Annotated[list[Json], Holds(list[SkuAnswer])]
    """One that only a newer build can read has `newer`, and its name."""
    next: str | None
    """The `after` of the next page; null on the last one."""


ORDERS = Declaration("Orders, newest first", (DeclaredResponse(OrdersPage),), query=OrdersQuery)
ORDER = Declaration("An order, and what is written about it", (DeclaredResponse(OrderAnswer),), refused=READ_REFUSED)
SKUS = Declaration("A store's SKUs, by name", (DeclaredResponse(SkusPage),), query=SkusQuery)
SKU = Declaration("One SKU", (DeclaredResponse(SkuAnswer),), refused=READ_REFUSED)
PRODUCT = Declaration(
    "A product that is sold as several SKUs", (DeclaredResponse(ProductAnswer),), refused=READ_REFUSED
)


def routes(application: web.Application, api: HttpApi) -> None:
    reads = Reads(api)
    add_commands(application, api, COMMANDS, store_column(api.engine, storage.orders))
    add_route(application, "GET", "/orders", reads.orders, "order.read", IN_QUERY, ORDERS)
    of_order = found_by(reads.store_of_order, "order")
    add_route(application, "GET", "/orders/{order}", reads.order, "order.read", of_order, ORDER)
    add_store_routes(application, api)
    add_abandoned_routes(application, api)
    add_route(application, "GET", "/stores/{store}/skus", reads.skus, "sku.read", IN_PATH, SKUS)
    add_route(application, "GET", "/stores/{store}/skus/{sku}", reads.sku, "sku.read", IN_PATH, SKU)
    add_route(application, "GET", "/stores/{store}/products/{product}", reads.product, "sku.read", IN_PATH, PRODUCT)


class Reads:
    """Read-only routes over the service's own database."""

    def __init__(self, api: HttpApi) -> None:
        self.api = api

    async def store_of_order(self, name: str) -> str | None:
        async with self.api.engine.connect() as connection:
            row = await _found(connection, name)
        return row.store if row else None

    async def orders(self, request: web.Request) -> web.Response:
        query = query_in(request, OrdersQuery)
        wanted = queries.OrderFilter(query.status, query.store, query.q.strip(), query.after, query.limit)
        async with self.api.engine.connect() as connection:
            rows = await queries.find_orders(connection, wanted)
        page = rows[: query.limit]
        cursor = queries.write_cursor(page[-1].created_at, page[-1].key) if len(rows) > query.limit else None
        return json_response(OrdersPage([_summary(row) for row in page], cursor))

    async def order(self, request: web.Request) -> web.Response:
        """By number or key, with what is written about it."""
        name = _clean(request.match_info["order"])
        async with self.api.engine.connect() as connection:
            row = await _found(connection, name)
            if row is None:
                raise not_found("order")
            order = read_state(Order, row.data)
            email = order.customer.email.lower() if order.customer else ""
            written = await queries.find_written(connection, row.key, order.store.id, email)
        return json_response(_whole(row.key, order) | {"written": [*map(_written, written)]})

    async def skus(self, request: web.Request) -> web.Response:
        query, store = query_in(request, SkusQuery), _clean(request.match_info["store"])
        async with self.api.engine.connect() as connection:
            rows = await queries.find_skus(connection, store, query.after, query.limit)
        page = [_listed_sku(row) for row in rows[: query.limit]]
        return json_response(SkusPage(page, page[-1]["sku"] if len(rows) > query.limit else None))

    async def sku(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['store']}/{request.match_info['sku']}"
        return json_response(_sku(await self._state(storage.skus, key, "SKU")))

    async def product(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['store']}/{request.match_info['product']}"
        product = read_state(Product, await self._state(storage.products, key, "product"))
        body: dict[str, Any] = orjson.loads(codec.dump(product))
        return json_response(body)

    async def _state(self, table: sa.Table, key: str, what: str) -> str:
        async with self.api.engine.connect() as connection:
            data = await queries.find_state(connection, table, _clean(key))
        if data is None:
            raise not_found(what)
        return data


# Requests


def _clean(text: str) -> str:
    if len(text) > 300 or not text.isprintable():
        raise bad_request("Too long, or contains unsupported characters.")
    return text


# Responses


def _summary(row: sa.Row[Any]) -> dict[str, Any]:
    try:
        order = read_state(Order, row.data)
    except WrittenByNewer:
        return {name: getattr(row, name) for name in queries.TOLD_BY_COLUMNS} | {"newer": True}
    return {"key": row.key} | status_record(order).model_dump(mode="json")


def _whole(key: str, order: Order) -> dict[str, Any]:
    """Everything about an order. The payment method and unsent instructions are left out."""
    body: dict[str, Any] = orjson.loads(codec.dump(order))
    for name in ("lines", "choice", "store", "origin"):
        body.pop(name, None)
    origin = order.origin.model_dump(mode="json")
    troubles = {line.item.item: line.trouble for line in order.lines}
    record = status_record(order).model_dump(mode="json")
    for item in record["items"]:
        item["trouble"] = troubles[item["item"]] or None
    return {"key": key} | body | record | {"origin": origin}


def _written(row: sa.Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)
    return found | {"id": str(row.id), "at": row.at.isoformat(), "written_at": row.written_at}


def _listed_sku(row: sa.Row[Any]) -> dict[str, Any]:
    try:
        return _sku(row.data)
    except WrittenByNewer:
        store, _, sku = row.key.partition("/")
        return {"store": store, "sku": sku, "newer": True}


def _sku(data: str) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(codec.dump(read_state(Sku, data)))
    return body


async def _found(connection: AsyncConnection, name: str) -> sa.Row[Any] | None:
    """An order by number or key. Raises ProblemResponse."""
    try:
        return await queries.find_order(connection, name)
    except queries.Ambiguous:
        title = "This is one order's id and another's number. Write the number of the one that you mean, with ORD-."
        raise ProblemResponse(HTTPStatus.CONFLICT, title, "ambiguous") from None
