"""Rows that only a newer build can read, while builds mix: every read of every service is asked for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import BaseTestServer, TestServer

from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage
from services.fulfillment.domain.operations import GrantAccess
from services.fulfillment.downloads import WantedFile, wanted_file
from services.fulfillment.storage import Queries, deliveries
from services.notifications.gateways.lost_messages import LostUnreadable
from services.notifications.gateways.webhook import EndpointsUnreadable
from services.notifications.storage import StoredEndpoints, StoredLost
from services.registry import SERVICES
from shared.contracts.fulfillment import Download
from shared.core import codec
from shared.shell.ports.tables import WrittenByNewer
from tests.http_edges import TOKEN, Route, ServiceEdge, routes_of, service_edge
from tests.integration.conftest import NewDatabase

NEWER = {
    "stage": "unheard",
    "configurations": "unheard",
    "track_stock": "unheard",
    "endpoints": {"we_1": {}},
    "pages": "unheard",
    "on_hand": "unheard",
    "newer": True,
}
"""No state of this build, whatever its kind."""
NOW = datetime.now(UTC)
COLUMNS: dict[str, Any] = {
    "version": 1,
    "sequence": 0,
    "data": NEWER,
    "shape": 1,
    "changed_at": NOW,
    "store": "own",
    "number": "ORD-ABCDEFGHJK",
    "status": "unheard",
    "created_at": NOW,
    "lost_emails": 1,
    "lost_deliveries": 1,
    "waiting": 1,
    "unresolved": True,
    "not_revoked": 1,
    "parcels": 1,
    "not_configured": 1,
    "tasks": 1,
    "held": 1,
    "failing": True,
}
KEYS = {"stores": "own", "endpoints": "own", "skus": "own/thing", "products": "own/thing", "stock": "own/thing"}
KEYS |= {
    "code_pools": "own/thing",
    "discord_connections": "own/discord/thing",
    "game_servers": "own/server/thing",
    "carriers": "own/carriers",
    "saved_views": "own/thing",
    "product_histories": "own/thing",
}
VARIABLES = {"store": "own", "offer": "thing", "key": "o-1", "order": "o-1", "sku": "thing", "pool": "thing", "id": "7"}
VARIABLES |= {
    "recipient": "own~staff",
    "token": "x.y",
    "connection": "thing",
    "server": "thing",
    "product": "thing",
    "asset": "none",
    "view": "thing",
    "user": "019b76da-c34f-77e8-8011-6d7a2ed0e987",
    "role": "agent",
    "job": "thing",
}
ONE_ROW = {
    "/orders/{order}",
    "/stores/{store}",
    "/stores/{store}/settings",
    "/stores/{store}/skus/{sku}",
    "/stores/{store}/products/{product}",
    "/orders/{key}/payment",
    "/orders/{key}/deliveries",
    "/stores/{store}/products/{sku}",
    "/stores/{store}/products/{sku}/history",
    "/stores/{store}/stock/{sku}",
    "/stores/{store}/discord/{connection}",
    "/stores/{store}/servers/{server}",
    "/stores/{store}/carriers",
    "/orders/{key}/notifications",
    "/stores/{store}/webhooks",
}
"""Reads of what one row says."""
FILES = "/stores/{store}/files"
"""Is of no row."""


@dataclass
class Reads:
    edge: ServiceEdge
    server: BaseTestServer
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.server.make_url(path)) as response:
            json = "json" in response.content_type
            return response.status, await response.json(content_type=None) if json else None


@pytest_asyncio.fixture(params=SERVICES)
async def reads(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Reads]:
    service = request.param
    url = await new_database(service)
    edge = service_edge(service, url)
    async with edge.engine.begin() as connection:
        for state in edge.shell.registry.service.storage.states:
            row = {"key": KEYS.get(state.table.name, "o-1")} | COLUMNS
            await connection.execute(sa.insert(state.table).values({n: row[n] for n in row if n in state.table.c}))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with TestServer(edge.application) as server, aiohttp.ClientSession(headers=headers) as session:
        yield Reads(edge, server, session)
    await edge.engine.dispose()


def filled(route: Route) -> str:
    path = route.path.replace(r":\d{1,18}", "")
    for name, value in VARIABLES.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"what does {route.path} name?"
    return path


async def test_it_is_told_as_newer_and_nothing_fails(reads: Reads) -> None:
    found: dict[str, int] = {}
    for route in routes_of(reads.edge.application):
        if route.method == "GET" and not route.path.endswith(("/live", FILES)):
            status, body = await reads.get(filled(route))
            if status == 503 and (body or {}).get("code") == "unreachable":
                continue  # its owner would tell it, and there is none
            found[route.path] = status
            if status == 409:
                assert body["code"] == "newer"
    own = {path for path in ONE_ROW if path in found}
    assert {path for path, status in found.items() if status == 409} == own
    assert [path for path, status in found.items() if status >= 500 and path != "/ready"] == []


async def test_a_list_has_it_with_what_its_columns_tell(reads: Reads) -> None:
    lists = {
        "/orders": {"key": "o-1", "number": COLUMNS["number"], "store": "own", "status": "unheard", "newer": True},
        "/stores": {"id": "own", "newer": True},
        "/stores/own/skus": {"store": "own", "sku": "thing", "newer": True},
        "/stores/own/stock": {"sku": "thing", "newer": True},
        "/stores/own/lost": {"order": "o-1", "number": COLUMNS["number"], "newer": True},
        "/payments": {"key": "o-1", "status": "unheard", "store": "own"},
    }
    asked = 0
    for path, row in lists.items():
        status, body = await reads.get(path)
        if status == 404:
            continue
        ((shown,),) = (rows for rows in body.values() if isinstance(rows, list))
        assert row.items() <= shown.items()
        asked += 1
    assert (
        asked
        == {"checkout": 3, "payments": 1, "fulfillment": 1, "notifications": 1, "staff": 0}[
            reads.edge.shell.registry.service.name
        ]
    )


async def test_one_item_stops_no_download_of_another(new_database: NewDatabase) -> None:
    url = await new_database("fulfillment")
    edge = service_edge("fulfillment", url)
    item = Item("1", "ebook", "An e-book", 1, action=Download(file="book.pdf"), status=ItemStatus.DELIVERED)
    data = sa.text("jsonb_set(cast(:data as jsonb), '{items,1,status}', '\"unheard\"')").bindparams(
        data=codec.dump(Delivery(Stage.PAID, "own", items=(item, Item("2", "mug", "A mug", 1)))).decode()
    )
    row = COLUMNS | {"key": "o-1", "data": data}
    queries = Queries(edge.engine)
    async with edge.engine.begin() as connection:
        await connection.execute(sa.insert(deliveries).values({n: row[n] for n in row if n in deliveries.c}))
    book = WantedFile("book.pdf", "book.pdf", timedelta(days=7))
    assert wanted_file(await queries.item("o-1", "1"), "") == book
    assert await queries.item("o-1", "3") is None
    with pytest.raises(WrittenByNewer):
        await queries.item("o-1", "2")
    with pytest.raises(WrittenByNewer):
        await queries.delivery("o-1")
    grant = GrantAccess("https://courses.example/enrol", "o-1", "2", "A mug", 1, None)
    assert await queries.is_current(grant), "a newer build decides about it"
    await edge.engine.dispose()


async def test_gateways_try_again_later(new_database: NewDatabase) -> None:
    url = await new_database("notifications")
    edge = service_edge("notifications", url)
    async with edge.engine.begin() as connection:
        for state in edge.shell.registry.service.storage.states:
            row = {"key": KEYS.get(state.table.name, "o-1")} | COLUMNS
            await connection.execute(sa.insert(state.table).values({n: row[n] for n in row if n in state.table.c}))
    with pytest.raises(EndpointsUnreadable):
        await StoredEndpoints(edge.engine).find("own", "we_1")
    with pytest.raises(LostUnreadable):
        await StoredLost(edge.engine).page("own", "lost_emails", "", 10)
    await edge.engine.dispose()
