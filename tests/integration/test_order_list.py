"""`GET /api/v1/orders` against the same filters, searches and orders in plain Python over the same rows."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.staff import order_query
from tests.benchmarks.staff_orders import STORES
from tests.integration.conftest import NewDatabase
from tests.integration.staff_list_rig import (
    CLIENTS,
    ORDERS,
    PATH,
    Client,
    Parameters,
    ask,
    expected,
    list_client,
    random_parameters,
)


@pytest_asyncio.fixture
async def client(new_database: NewDatabase) -> AsyncIterator[Client]:
    async with list_client(new_database) as client:
        yield client


async def walked(client: Client, parameters: Parameters, who: str = "all", limit: int = 40) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: list[tuple[str, str]] = []
    while True:
        status, page = await ask(client, [*parameters, ("limit", str(limit)), *after], who)
        assert status == 200, page
        assert len(page["orders"]) <= limit
        found += page["orders"]
        if page["next"] is None:
            return found
        assert len(page["orders"]) == limit
        after = [("after", page["next"])]


@pytest.mark.parametrize(
    ("window", "hits", "found"), [(2000, 5000, 20_000), (0, 5000, 20_000), (0, 3, 3), (50, 20, 60)]
)
async def test_any_filter_search_and_order_gives_each_matching_order_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, window: int, hits: int, found: int
) -> None:
    """However few orders are looked through or collected before the next way is taken."""
    merged = 1 if found == 60 else 16
    for name, value in (
        ("MERGED_STORES", merged),
        ("WINDOW", window),
        ("SEARCH_WINDOW", window),
        ("HITS", hits),
        ("FOUND", found),
        ("FOUND_MOST", 2 * found),
    ):
        monkeypatch.setattr(order_query, name, value)
    rng, answered = random.Random(window + hits), 0
    for _ in range(30):
        parameters, who = random_parameters(rng), rng.choice(("all", "all", "game", "two"))
        stores = STORES if who == "all" else CLIENTS[who]
        named = {value for name, value in parameters if name == "store"}
        if who != "all" and not named <= set(stores):
            assert (await ask(client, parameters, who))[0] == 403
            continue
        shown = await walked(client, [*parameters, ("fields", "order")], who, rng.choice((7, 40, 200)))
        assert [order["order"] for order in shown] == expected(parameters, stores), parameters
        answered += bool(shown)
    assert answered > 10


async def test_an_order_is_shown_with_the_fields_that_are_asked_for(client: Client) -> None:
    made = next(made for made in ORDERS if made.parts["transactions"] and "tag:vip" in made.facets)
    number = made.order["number"]

    _, page = await ask(client, [("q", number), ("fields", "number,total,tags"), ("fields", "transaction,products")])

    assert page["next"] is None
    assert page["orders"] == [
        {
            "number": number,
            "total": made.order["total"],
            "tags": [facet[4:] for facet in made.facets if facet.startswith("tag:")],
            "products": [
                {name: row[name] for name in ("sku", "product", "kind", "quantity")}
                for row in made.parts["order_items"]
            ],
            "transaction": made.parts["transactions"][0]["reference"],
        }
    ]


async def test_other_stores_are_neither_shown_nor_found(client: Client) -> None:
    other = next(made.order for made in ORDERS if made.order["store"] == "main")
    assert await walked(client, [], "elsewhere") == []
    for typed in (other["number"], other["number"][4:8], other["email"] or "ann", "ex"):
        shown = await walked(client, [("q", typed)], "game")
        assert {order["store"] for order in shown} <= {"game"}
    assert len(await walked(client, [("store", "")], "game")) == len(expected([], ("game",)))
    status, problem = await ask(client, [("store", "game"), ("store", "main")], "game")
    assert (status, problem["code"]) == (403, "forbidden")


async def test_everything_that_is_wrong_with_the_query_is_named_at_once(client: Client) -> None:
    _, page = await ask(client, [("sort", "total"), ("limit", "1")])
    wrong = [
        ("statsu", "paid"),
        ("status", "payed"),
        ("limit", "0"),
        ("sort", "total"),
        ("sort", "date"),
        ("held", "?"),
    ]
    wrong += [("placed_from", "2026-03-03T00:00:00Z"), ("placed_to", "2026-03-01T00:00:00Z"), ("after", page["next"])]
    wrong += [("fields", "number,colour"), ("country", "Finland")]

    status, problem = await ask(client, wrong)

    assert (status, problem["code"]) == (400, "bad_request")
    found = {(each["field"], each["code"]) for each in problem["problems"]}
    assert found == {
        *(("statsu", "unknown_field"), ("status.0", "not_one_of"), ("limit", "out_of_range"), ("sort", "repeated")),
        *(("held", "wrong_format"), ("placed_to", "invalid_value"), ("after", "invalid_value")),
        *(("fields.1", "invalid_value"), ("country.0", "wrong_format")),
    }
    assert "did you mean status?" in str(problem)


async def test_a_cursor_is_of_its_list_and_order(client: Client) -> None:
    _, page = await ask(client, [("sort", "total"), ("limit", "1")])
    cursor = page["next"]
    for parameters in (
        [("after", cursor)],
        [("after", cursor), ("sort", "total"), ("order", "asc")],
        [("after", cursor[:-3]), ("sort", "total")],
        [("after", "x" + cursor), ("sort", "total")],
        [("after", "né"), ("sort", "total")],
    ):
        status, problem = await ask(client, parameters)
        assert (status, [each["field"] for each in problem["problems"]]) == (400, ["after"])


async def test_an_answer_that_the_client_has_is_not_sent_again(client: Client) -> None:
    headers = {"Authorization": "Bearer all"}
    async with client.get(PATH, headers=headers) as first:
        tag = first.headers["ETag"]
    async with client.get(PATH, headers=headers | {"If-None-Match": f'"other", {tag}'}) as again:
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    async with client.get(PATH, headers=headers | {"If-None-Match": '"other"'}) as other:
        assert other.status == 200
