"""Checkout's HTTP API: commands to orders, stores and SKUs, and their current state."""

from __future__ import annotations

from typing import Any

import orjson
import sqlalchemy as sa
from aiohttp import web

from services.checkout import queries, storage
from services.checkout.domain.order import Order
from services.checkout.domain.sku import Sku
from services.checkout.domain.status_record import status_record
from services.checkout.domain.store import Store
from shared.contracts.checkout import CancelOrder, CompleteOrder, ConfigureStore, DefineSku
from shared.contracts.values import OrderStatus
from shared.core import codec
from shared.shell.http.access import IN_PATH, IN_QUERY, add_route, found_by
from shared.shell.http.problems import bad_request, json_response, not_found
from shared.shell.http.requests import limit_in
from shared.shell.http.web import add_commands
from shared.shell.ports.http_api import HttpApi

MOST = 200
COMMANDS = (
    ("PUT", "/stores/{store}", ConfigureStore),
    ("PUT", "/stores/{store}/skus/{sku}", DefineSku),
    ("POST", "/orders/{key}/cancel", CancelOrder),
    ("POST", "/orders/{key}/complete", CompleteOrder),
)


def routes(application: web.Application, api: HttpApi) -> None:
    reads = Reads(api)
    add_commands(application, api, COMMANDS, reads.store_of_order)
    add_route(application, "GET", "/orders", reads.orders, "order.read", IN_QUERY)
    of_order = found_by(reads.store_of_order, "order")
    add_route(application, "GET", "/orders/{order}", reads.order, "order.read", of_order)
    add_route(application, "GET", "/stores/{store}", reads.store, "store.read", IN_PATH)
    add_route(application, "GET", "/stores/{store}/skus", reads.skus, "sku.read", IN_PATH)
    add_route(application, "GET", "/stores/{store}/skus/{sku}", reads.sku, "sku.read", IN_PATH)


class Reads:
    """Read-only routes over the service's own database."""

    def __init__(self, api: HttpApi) -> None:
        self.api = api

    async def store_of_order(self, name: str) -> str | None:
        async with self.api.engine.connect() as connection:
            return await queries.find_store(connection, name)

    async def orders(self, request: web.Request) -> web.Response:
        """`?status=processing,failed&store=&q=&limit=&after=`, newest first; `next` is the `after` of the next page."""
        order_filter = _filter(request)
        async with self.api.engine.connect() as connection:
            rows = await queries.find_orders(connection, order_filter)
        page = rows[: order_filter.limit]
        more = len(rows) > order_filter.limit
        cursor = queries.write_cursor(page[-1].created_at, page[-1].key) if more else None
        return json_response({"orders": [_summary(row) for row in page], "next": cursor})

    async def order(self, request: web.Request) -> web.Response:
        """By key or number, with its timeline."""
        name = _clean(request.match_info["order"])
        async with self.api.engine.connect() as connection:
            row = await queries.find_order(connection, name)
            if row is None:
                raise not_found("order")
            entries = await queries.find_timeline(connection, row.key)
        order: Order = codec.load(Order, row.data)
        return json_response(_whole(row.key, order) | {"timeline": [_entry(entry) for entry in entries]})

    async def store(self, request: web.Request) -> web.Response:
        store: Store = codec.load(Store, await self._state(storage.stores, request.match_info["store"], "store"))
        body: dict[str, Any] = orjson.loads(codec.dump(store))
        return json_response(body.pop("card") | body)

    async def skus(self, request: web.Request) -> web.Response:
        """`?limit=&after=`, by name; `next` is the `after` of the next page."""
        limit = limit_in(request, 50, MOST)
        store, after = _clean(request.match_info["store"]), _clean(request.query.get("after", ""))
        async with self.api.engine.connect() as connection:
            rows = await queries.find_skus(connection, store, after, limit)
        page = [_sku(row.data) for row in rows[:limit]]
        return json_response({"skus": page, "next": page[-1]["sku"] if len(rows) > limit else None})

    async def sku(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['store']}/{request.match_info['sku']}"
        return json_response(_sku(await self._state(storage.skus, key, "SKU")))

    async def _state(self, table: sa.Table, key: str, what: str) -> str:
        async with self.api.engine.connect() as connection:
            data = await queries.find_state(connection, table, _clean(key))
        if data is None:
            raise not_found(what)
        return data


# Requests


def _filter(request: web.Request) -> queries.OrderFilter:
    query = request.query
    statuses = [status for status in query.get("status", "").split(",") if status]
    unknown = sorted(set(statuses) - {status.value for status in OrderStatus})
    if unknown:
        raise bad_request(f"Unknown status {unknown[0][:40]!r}. Valid statuses: {', '.join(OrderStatus)}.")
    try:
        after = queries.read_cursor(query["after"]) if query.get("after") else None
    except ValueError:
        raise bad_request("`after` must be the `next` of an earlier page.") from None
    store, q = _clean(query.get("store", "")), _clean(query.get("q", "").strip())
    return queries.OrderFilter(statuses, store, q, after, limit_in(request, 50, MOST))


def _clean(text: str) -> str:
    if len(text) > 300 or not text.isprintable():
        raise bad_request("Too long, or contains unsupported characters.")
    return text


# Responses


def _summary(row: sa.Row[Any]) -> dict[str, Any]:
    order: Order = codec.load(Order, row.data)
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


def _entry(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "at": row.at.isoformat(),
        "actor": row.actor,
        "what": row.what,
        "text": row.text,
        "detail": row.detail,
        "id": str(row.id),
    }


def _sku(data: str) -> dict[str, Any]:
    sku: Sku = codec.load(Sku, data)
    body: dict[str, Any] = orjson.loads(codec.dump(sku))
    return body
