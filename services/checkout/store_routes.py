"""Stores by HTTP: their settings, and how those were changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from aiohttp import web
from pydantic import Field

from services.checkout import queries
from services.checkout.answers import ListedStore, StoreAnswer, StoreChangeAnswer
from services.checkout.domain.store import Store
from services.checkout.domain.store_settings import settings_of
from services.checkout.storage import store_changes, stores
from shared.contracts.store_settings import StoreSettings
from shared.core import codec
from shared.shell.http.access import EVERY_STORE, IN_PATH, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.requests import Number, Words, query_in
from shared.shell.http.web import READ_REFUSED
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.histories import history_of, rows_of
from shared.shell.postgres.tables import read_state

MOST = 500


class StoresQuery(Query):
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    after: Words = ""
    """The id of the previous page's last store."""


class HistoryQuery(Query):
    limit: Number = Field(default=100, ge=1, le=MOST)
    """At most so many entries."""
    before: UUID | None = None
    """The id of the previous page's last change."""


@dataclass(frozen=True, slots=True)
class StoresPage:
    """A page of stores."""

    stores: Annotated[list[Json], Holds(list[ListedStore])]
    """By id. One that only a newer build can read has `newer`, and its id."""
    next: str | None
    """The next page's `after`; None: this is the last one."""


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """A page of a store's history."""

    changes: Annotated[list[Json], Holds(list[StoreChangeAnswer])]
    """The latest first: when, by whom, why, and each setting before and after."""
    next: str | None
    """The next page's `before`; None: this is the last one."""


STORE = Declaration("A store's settings", (DeclaredResponse(StoreAnswer),), refused=READ_REFUSED)
SETTINGS = Declaration(
    "A store's settings in groups, those that are by default, too",
    (DeclaredResponse(StoreSettings),),
    refused=READ_REFUSED,
)
STORES = Declaration("The stores, by id", (DeclaredResponse(StoresPage),), query=StoresQuery)
HISTORY = Declaration("How a store's settings were changed", (DeclaredResponse(ChangesPage),), query=HistoryQuery)


def add_store_routes(application: web.Application, api: HttpApi) -> None:
    reads = StoreReads(api)
    add_route(application, "GET", "/stores", reads.stores, "store.read", EVERY_STORE, STORES)
    add_route(application, "GET", "/stores/{store}", reads.store, "store.read", IN_PATH, STORE)
    add_route(application, "GET", "/stores/{store}/settings", reads.settings, "store.read", IN_PATH, SETTINGS)
    add_route(application, "GET", "/stores/{store}/history", reads.history, "store.read", IN_PATH, HISTORY)


class StoreReads:
    def __init__(self, api: HttpApi) -> None:
        self._api = api

    async def stores(self, request: web.Request) -> web.Response:
        given = query_in(request, StoresQuery)
        statement = sa.select(stores.c.key, sa.cast(stores.c.data, sa.Text).label("data"))
        statement = statement.where(stores.c.data.is_not(None), stores.c.key > given.after)
        rows = await rows_of(self._api.engine, statement.order_by(stores.c.key).limit(given.limit))
        found = [_listed(row["key"], row["data"]) for row in rows]
        return json_response(StoresPage(found, found[-1]["id"] if len(found) == given.limit else None))

    async def store(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = orjson.loads(codec.dump(await self._store(request)))
        return json_response(body.pop("card") | body)

    async def settings(self, request: web.Request) -> web.Response:
        return json_response(settings_of(await self._store(request)).model_dump(mode="json"))

    async def history(self, request: web.Request) -> web.Response:
        given, key = query_in(request, HistoryQuery), request.match_info["store"]
        rows = await history_of(self._api.engine, store_changes, key, given.limit, given.before)
        return json_response(ChangesPage(rows, str(rows[-1]["id"]) if len(rows) == given.limit else None))

    async def _store(self, request: web.Request) -> Store:
        async with self._api.engine.connect() as connection:
            data = await queries.find_state(connection, stores, request.match_info["store"])
        if data is None:
            raise not_found("store")
        found: Store = read_state(Store, data)
        return found


def _listed(key: str, data: str) -> dict[str, Any]:
    try:
        store = read_state(Store, data)
    except WrittenByNewer:
        return {"id": key, "newer": True}
    return {"id": key, "name": store.card.name, "sender": store.card.sender, "currencies": list(store.currencies)}
