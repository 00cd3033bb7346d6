"""An order is named by its number or its id. A number never means an order whose id looks like it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import BaseTestServer, TestServer

from services.checkout.domain.numbers import order_number
from services.checkout.domain.order import Order
from services.checkout.storage import orders
from shared.api_clients import ApiClientSettings
from shared.contracts.values import StoreCard
from shared.core import codec
from tests.http_edges import ServiceEdge, service_edge
from tests.integration.conftest import NewDatabase

MEANT = "o-1"
NUMBER = order_number(MEANT)
NOW = datetime.now(UTC)
MAIL = "shop@example.com"
WORDS: dict[str, Any] = {
    "name": "Shop",
    "sender": MAIL,
    "staff_email": MAIL,
    "support_email": MAIL,
    "order_url": "https://shop.example/{order}",
}
CLIENTS = {"north": "token-of-north-north", "south": "token-of-south-south"}


@dataclass
class Shop:
    edge: ServiceEdge
    server: BaseTestServer
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, client: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {CLIENTS[client]}", "Idempotency-Key": "k"}
        async with self.session.request(method, self.server.make_url(path), headers=headers) as response:
            return response.status, (await response.json()).get("key", "")


@pytest_asyncio.fixture
async def shop(new_database: NewDatabase) -> AsyncIterator[Shop]:
    """North has an order, and south one whose id is that order's number."""
    url = await new_database("checkout")
    clients = [
        ApiClientSettings(
            name=name, token_sha256=(hashlib.sha256(token.encode()).hexdigest(),), stores=(name,), permissions=("*",)
        )
        for name, token in CLIENTS.items()
    ]
    edge = service_edge("checkout", url, clients)
    async with edge.engine.begin() as connection:
        for key, number, name in ((MEANT, NUMBER, "north"), (NUMBER, order_number("o-2"), "south")):
            order = Order(number, StoreCard(id=name, **WORDS), "EUR", timedelta(days=7), created_at=NOW, updated_at=NOW)
            row: dict[str, Any] = {"key": key, "number": number, "store": name}
            row |= {"version": 1, "sequence": 0, "changed_at": NOW}
            row["data"] = sa.text("cast(:data as jsonb)").bindparams(data=codec.dump(order).decode())
            await connection.execute(sa.insert(orders).values(row))
    async with TestServer(edge.application) as server, aiohttp.ClientSession() as session:
        yield Shop(edge, server, session)
    await edge.engine.dispose()


@pytest.mark.parametrize("name", [MEANT, NUMBER, NUMBER.lower()])
async def test_a_number_is_that_of_its_order(shop: Shop, name: str) -> None:
    assert await shop.ask("GET", f"/orders/{name}", "north") == (200, MEANT)
    assert await shop.ask("GET", f"/orders/{name}", "south") == (404, "")


@pytest.mark.parametrize("write", ["{}", "ORD {}", "ORD{}", "ord\u2013{}", " ORD - {} "])
async def test_a_number_is_known_as_people_write_it(shop: Shop, write: str) -> None:
    name = quote(write.format(NUMBER.removeprefix("ORD-")))
    assert await shop.ask("GET", f"/orders/{name}", "north") == (200, MEANT)


async def test_one_orders_id_that_is_anothers_number_without_its_beginning_is_neither(shop: Shop) -> None:
    """Who refunds one of them must not refund the other."""
    id = NUMBER.removeprefix("ORD-")
    async with shop.edge.engine.begin() as connection:
        await connection.execute(sa.update(orders).where(orders.c.key == NUMBER).values(key=id, store="north"))
    assert (await shop.ask("GET", f"/orders/{id}", "north"))[0] == 409
    assert await shop.ask("GET", f"/orders/{NUMBER}", "north") == (200, MEANT)
    assert await shop.ask("GET", f"/orders/{order_number('o-2')}", "north") == (200, id)


async def test_commands_name_ids_and_reach_ones_own_stores_only(shop: Shop) -> None:
    """The id that is another order's number is of the store that has it."""
    status, _ = await shop.ask("POST", f"/orders/{NUMBER}/cancel", "north")
    assert status == 404
