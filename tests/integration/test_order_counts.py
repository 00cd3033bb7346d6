"""How many orders match, against a count in plain Python over the same rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.staff import order_counts
from shared.contracts.values import OrderStatus
from tests.benchmarks.staff_orders import STORES
from tests.integration.conftest import NewDatabase
from tests.integration.staff_list_rig import CLIENTS, ORDERS, Client, ask, expected, list_client, random_parameters

STATUS_OF = {made.order["order_id"]: made.order["status"] for made in ORDERS}


@pytest_asyncio.fixture
async def client(new_database: NewDatabase) -> AsyncIterator[Client]:
    async with list_client(new_database) as client:
        yield client


async def test_tabs_and_counts_are_those_of_the_list(client: Client) -> None:
    rng, filtered = random.Random(3), 0
    for turn in range(25):
        who = rng.choice(("all", "game", "two"))
        parameters = [each for each in random_parameters(rng) if each[0] not in ("sort", "order", "store")]
        parameters = parameters if turn else []
        stores = STORES if who == "all" else CLIENTS[who]
        found = expected(parameters, stores)

        _, counted = await ask(client, parameters, who, "/api/v1/orders/count")
        _, tabs = await ask(client, parameters, who, "/api/v1/orders/tabs")

        assert counted == {"count": len(found), "more": False}, parameters
        others = [each for each in parameters if each[0] != "status"]
        by_status = Counter(STATUS_OF[order] for order in expected(others, stores))
        assert {tab["status"]: tab["count"] for tab in tabs["tabs"]} == {
            status.value: by_status[status.value] for status in OrderStatus
        }
        assert tabs["all"] == {"count": by_status.total(), "more": False}
        filtered += bool(parameters and found)
    assert filtered > 5


async def test_what_is_not_counted_to_its_end_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_counts, "COUNTED", 20)
    monkeypatch.setattr(order_counts, "FOUND", 30)
    for parameters in ([("provider", "stripe")], [("q", "ord-")]):
        assert (await ask(client, parameters, path="/api/v1/orders/count"))[1] == {"count": 20, "more": True}
    _, tabs = await ask(client, [("provider", "stripe")], path="/api/v1/orders/tabs")
    completed = next(tab for tab in tabs["tabs"] if tab["status"] == "completed")
    assert (completed, tabs["all"]["more"]) == ({"status": "completed", "count": 20, "more": True}, True)


async def test_without_filters_numbers_are_exact_however_many(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_counts, "COUNTED", 20)
    _, tabs = await ask(client, [("store", "game")], path="/api/v1/orders/tabs")
    assert tabs["all"] == {"count": len(expected([("store", "game")])), "more": False}
    assert (await ask(client, [("store", "elsewhere")], path="/api/v1/orders/tabs"))[1]["all"]["count"] == 0
