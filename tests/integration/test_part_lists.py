"""Transactions, payments, deliveries and queues against the same filters in plain Python over the same rows."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio

from services.staff import part_query
from services.staff.part_lists import QUEUES as DELIVERY_QUEUES
from services.staff.queues import QUEUES, facet_of
from tests.benchmarks.staff_orders import STORES
from tests.integration.conftest import NewDatabase
from tests.integration.staff_list_rig import CLIENTS, ORDERS, Client, Parameters, ask, list_client

NUMBERS = {made.order["order_id"]: made.order["number"] for made in ORDERS}


@pytest_asyncio.fixture
async def client(new_database: NewDatabase) -> AsyncIterator[Client]:
    async with list_client(new_database) as client:
        yield client


async def walked(client: Client, what: str, parameters: Parameters, who: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: list[tuple[str, str]] = []
    while True:
        status, page = await ask(client, [*parameters, ("limit", str(limit)), *after], who, f"/api/v1/{what}")
        assert status == 200, page
        found += page[what]
        if page["next"] is None:
            return found
        after = [("after", page["next"])]


def rows_of(table: str) -> list[dict[str, Any]]:
    return [row for made in ORDERS for row in made.parts[table]]


def expected(
    table: str,
    at: str,
    id: str,
    chosen: Mapping[str, Sequence[str]],
    stores: Sequence[str],
    period: Sequence[Any],
    way: str,
) -> list[tuple[str, str]]:
    rows = [row for row in rows_of(table) if row["store"] in stores]
    rows = [row for row in rows if all(row.get(name) in values for name, values in chosen.items())]
    rows = [row for row in rows if not period or period[0] <= row[at] < period[1]]
    rows.sort(key=lambda row: (row[at], row["order_id"], row[id]), reverse=way == "desc")
    return [(row["order_id"], row[id]) for row in rows]


TRANSACTIONS = {
    "kind": ("charge", "refund"),
    "status": ("captured", "declined", "done"),
    "provider": ("stripe", "manual"),
}
DELIVERIES = {"kind": ("download", "code"), "status": ("delivered", "failed", "waiting_code")}
LISTS = {
    "transactions": ("transactions", "at", "id", TRANSACTIONS),
    "payments": ("transactions", "at", "id", {"status": TRANSACTIONS["status"], "method": ("card", "paypal")}),
    "deliveries": ("executions", "updated_at", "execution", DELIVERIES),
}


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize(("window", "hits"), [(2000, 5000), (10, 5000), (10, 20)])
async def test_any_filter_gives_each_row_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, what: str, window: int, hits: int
) -> None:
    monkeypatch.setattr(part_query, "WINDOW", window)
    monkeypatch.setattr(part_query, "HITS", hits)
    table, at, id, options = LISTS[what]
    rng, filled = random.Random(window + hits), 0
    for _ in range(12):
        who, way = rng.choice(("all", "game", "two")), rng.choice(("asc", "desc"))
        stores = STORES if who == "all" else CLIENTS[who]
        names = rng.sample(sorted(options), rng.choice((0, 1, 1, 2)))
        chosen: dict[str, Sequence[str]] = {name: rng.sample(options[name], rng.choice((1, 2))) for name in names}
        parameters = [(name, value) for name, values in chosen.items() for value in values] + [("order", way)]
        period = sorted(row[at] for row in rng.sample(rows_of(table), 2)) if rng.random() < 0.3 else []
        if period:
            parameters += [("from", period[0].isoformat()), ("to", period[1].isoformat())]
        if what == "payments":
            chosen = {**chosen, "kind": ("charge",)}

        shown = await walked(client, what, parameters, who, rng.choice((7, 50, 200)))

        assert [(row["order"], row[id]) for row in shown] == expected(table, at, id, chosen, stores, period, way)
        assert all(row["number"] == NUMBERS[row["order"]] for row in shown)
        filled += bool(shown)
    assert filled > 5


async def test_a_queue_of_deliveries_is_some_of_their_statuses(client: Client) -> None:
    for queue, statuses in DELIVERY_QUEUES.items():
        shown = await walked(client, "deliveries", [("queue", queue)], "all", 50)
        assert len(shown) == sum(row["status"] in statuses for row in rows_of("executions"))
        assert await walked(client, "deliveries", [("queue", queue), ("status", "delivered")], "all", 50) == []


async def test_a_transaction_is_found_by_the_providers_id(client: Client) -> None:
    row = rows_of("transactions")[3]
    shown = await walked(client, "transactions", [("reference", row["reference"])], "all", 50)
    assert [(each["order"], each["id"], each["amount"]) for each in shown] == [
        (row["order_id"], row["id"], row["amount"])
    ]


async def test_queues_count_the_orders_that_their_filters_list(client: Client) -> None:
    for who, stores in (("all", STORES), ("game", ("game",))):
        _, found = await ask(client, [], who, "/api/v1/queues")
        assert {each["queue"]: (each["count"], each["more"]) for each in found["queues"]} == {
            name: (sum(facet_of(*one) in made.facets for made in ORDERS if made.order["store"] in stores), False)
            for name, one in QUEUES.items()
        }
    waiting = next(each for each in found["queues"] if each["count"])
    _, page = await ask(client, [(waiting["parameter"], waiting["value"])], "game")
    assert len(page["orders"]) == waiting["count"]


async def test_what_is_wrong_is_named(client: Client) -> None:
    wrong = [("from", "2026-03-03T00:00:00Z"), ("to", "2026-03-01T00:00:00Z"), ("kind", "payment"), ("after", "x")]
    status, problem = await ask(client, wrong, path="/api/v1/transactions")
    assert (status, {each["field"] for each in problem["problems"]}) == (400, {"to", "kind.0", "after"})
