"""Fulfillment by HTTP: commands, views for staff, and the public downloads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from pydantic import TypeAdapter

from services.fulfillment.answers import ConfiguredProduct, DeliveriesAnswer, ProductHistoryAnswer
from services.fulfillment.carrier_routes import add_carrier_routes
from services.fulfillment.codes_http import add_code_routes
from services.fulfillment.domain.delivery import Item
from services.fulfillment.domain.keys import EVERY_ORDER, offer_name, row_key
from services.fulfillment.domain.product import Product, ProductHistory, history_before
from services.fulfillment.download_log import DownloadLog
from services.fulfillment.downloads import Downloads, add_downloads
from services.fulfillment.game_servers import add_server_routes
from services.fulfillment.gateways.code_import import CodeImport
from services.fulfillment.gateways.links import Links
from services.fulfillment.order_files import add_order_file
from services.fulfillment.retry_preview import PREVIEW, retry_previews
from services.fulfillment.secret_routes import add_secrets
from services.fulfillment.secrets import SealedSecrets
from services.fulfillment.staff_routes import STAFF_ROUTES
from services.fulfillment.stock_routes import add_stock_routes
from services.fulfillment.storage import Queries, deliveries
from services.fulfillment.uploads import Uploads, add_file_routes
from shared.contracts.codes import ConfigurePool, ProvideCode
from shared.contracts.fulfillment import (
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    RetryDelivery,
    SettleDelivery,
    ShipOrder,
)
from shared.shell.http.access import IN_PATH, FindStore, add_route, found_by, store_column
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.web import READ_REFUSED, add_commands
from shared.shell.ports.http_api import HttpApi

_items: TypeAdapter[tuple[Item, ...]] = TypeAdapter(tuple[Item, ...])
_product: TypeAdapter[Product] = TypeAdapter(Product)
_history: TypeAdapter[ProductHistory] = TypeAdapter(ProductHistory)


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """How many codes a pool has."""

    free: int
    """Codes that can be given."""
    taken: int
    """Codes that were given."""
    orders_waiting: int
    """Orders that wait for its codes."""
    products: int
    """How many of the store's products use it."""
    name: str = ""
    """As staff read it."""
    low_water: int = 0
    """Its low-water mark: staff are told when fewer codes are free."""
    low_since: datetime | None = None
    """Since when fewer than `low_water` are free, or orders wait."""


DELIVERIES = Declaration(
    "An order's deliveries, item by item", (DeclaredResponse(DeliveriesAnswer),), refused=READ_REFUSED
)
PRODUCT = Declaration("How a SKU is delivered", (DeclaredResponse(ConfiguredProduct),), refused=READ_REFUSED)
HISTORY = Declaration(
    "How a SKU was configured, by whom and when", (DeclaredResponse(ProductHistoryAnswer),), refused=READ_REFUSED
)
POOL = Declaration("How many codes a pool has", (DeclaredResponse(PoolCounts),), refused=(HTTPStatus.NOT_FOUND,))


def fulfillment_routes(
    links: Links,
    secrets: SealedSecrets,
    imports: CodeImport,
    uploads: Uploads,
    log: DownloadLog,
    *further: Callable[[web.Application, HttpApi], None],
) -> Callable[[web.Application, HttpApi], None]:
    """`further` routes: of kinds of action."""

    def routes(application: web.Application, api: HttpApi) -> None:
        store_of = store_column(api.engine, deliveries)
        _add_order_commands(application, api, store_of)
        add_server_routes(application, api, store_of)
        add_carrier_routes(application, api, store_of)
        add_code_routes(application, api, imports)
        queries = Queries(api.engine)
        views = Views(queries)
        add = functools.partial(add_route, application, "GET")
        add("/orders/{key}/deliveries", views.deliveries, "delivery.read", found_by(store_of), DELIVERIES)
        add_route(
            application,
            "POST",
            "/orders/{key}/retry/preview",
            retry_previews(queries),
            RetryDelivery.type,
            found_by(store_of),
            PREVIEW,
        )
        add("/stores/{store}/products/{sku}", views.product, "product.read", IN_PATH, PRODUCT)
        add("/stores/{store}/offers/{offer}", views.extra, "product.read", IN_PATH, PRODUCT)
        add("/stores/{store}/offers/{offer}/history", views.extra_history, "product.read", IN_PATH, HISTORY)
        add("/stores/{store}/extras", views.extra, "product.read", IN_PATH, PRODUCT)
        add("/stores/{store}/extras/history", views.extra_history, "product.read", IN_PATH, HISTORY)
        add("/stores/{store}/products/{sku}/history", views.history, "product.read", IN_PATH, HISTORY)
        add_stock_routes(application, api, store_of)
        add("/stores/{store}/pools/{pool}", views.pool, "codes.read", IN_PATH, POOL)
        add_secrets(application, secrets)
        add_downloads(application, Downloads(queries, store_of, links, uploads.files, log), store_of)
        add_file_routes(application, uploads)
        add_order_file(application, api, uploads, queries, store_of)
        for add_further in further:
            add_further(application, api)

    return routes


def _add_order_commands(application: web.Application, api: HttpApi, store_of: FindStore) -> None:
    add_commands(
        application,
        api,
        [
            ("PUT", "/stores/{store}/products/{sku}", ConfigureProduct),
            ("PUT", "/stores/{store}/pools/{pool}", ConfigurePool),
            ("POST", "/orders/{key}/provide-code", ProvideCode),
            ("POST", "/orders/{key}/ship", ShipOrder),
            ("POST", "/orders/{key}/retry", RetryDelivery),
            ("POST", "/orders/{key}/settle", SettleDelivery),
            *STAFF_ROUTES,
        ],
        store_of,
    )
    add_commands(
        application,
        api,
        [
            ("PUT", "/stores/{store}/offers/{offer}", ConfigureOffer),
            ("PUT", "/stores/{store}/extras", ConfigureExtras),
        ],
        store_of,
        key_of=extra_key,
    )


def extra_key(path: Mapping[str, str]) -> str:
    """Of what an offer, or every order, brings."""
    return row_key(path["store"], offer_name(path["offer"]) if "offer" in path else EVERY_ORDER)


class Views:
    """For staff: deliveries, products and pools."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def deliveries(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        delivery = await self._queries.delivery(key)
        if delivery is None:
            raise not_found("order in fulfillment")
        items = _items.dump_python(delivery.items, mode="json", exclude_none=True)
        waits = {str(one.operation.get("item")): one.as_json() for one in await self._queries.waiting(key)}
        for item in items:
            item["waiting"] = waits.get(item["id"])
        told = {"order": key, "stage": delivery.stage, "store": delivery.store, "held": delivery.held}
        told["to_start"] = delivery.to_start
        return json_response(told | {"items": items})

    async def product(self, request: web.Request) -> web.StreamResponse:
        return await self._product(row_key(request.match_info["store"], request.match_info["sku"]))

    async def extra(self, request: web.Request) -> web.StreamResponse:
        return await self._product(extra_key(request.match_info))

    async def extra_history(self, request: web.Request) -> web.StreamResponse:
        return await self._history(extra_key(request.match_info))

    async def _product(self, key: str) -> web.StreamResponse:
        product = await self._queries.product(key)
        if product is None:
            raise not_found("product")
        return json_response(_product.dump_python(product, mode="json", exclude_none=True))

    async def history(self, request: web.Request) -> web.StreamResponse:
        return await self._history(row_key(request.match_info["store"], request.match_info["sku"]))

    async def _history(self, key: str) -> web.StreamResponse:
        history = await self._queries.product_history(key)
        if not history.configurations:
            product = await self._queries.product(key)
            if product is None:
                raise not_found("product")
            history = history_before(product)
        return json_response(_history.dump_python(history, mode="json", exclude_none=True))

    async def pool(self, request: web.Request) -> web.StreamResponse:
        counts = await self._queries.pool(row_key(request.match_info["store"], request.match_info["pool"]))
        if counts is None:
            raise not_found("pool")
        return json_response(PoolCounts(*counts))
