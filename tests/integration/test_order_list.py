"""`GET /api/v1/orders` against the same filters, searches and orders in plain Python over the same rows."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.staff import order_query
from services.staff.order_list import add_order_list
from services.staff.search_text import folded
from shared.api_clients import ApiClientSettings
from shared.contracts.values import PaymentStatus
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres import migration
from shared.shell.postgres.engine import create_read_engine
from tests.benchmarks.staff_orders import CODES, COUNTRIES, SOURCES, STORES, TAGS, MadeOrder, made_orders, write_orders
from tests.integration.conftest import NewDatabase

Client = TestClient[web.Request, web.Application]
COUNT = 600
CLIENTS = {"all": ("*",), "game": ("game",), "two": ("main", "course"), "elsewhere": ("elsewhere",)}
ORDERS = list(made_orders(COUNT, 7))
PATH = "/api/v1/orders"


def principals() -> Principals:
    return Principals(
        ApiClientSettings(
            name=name,
            token_sha256=(hashlib.sha256(name.encode()).hexdigest(),),
            stores=stores,
            permissions=("order.read",),
        )
        for name, stores in CLIENTS.items()
    )


@pytest_asyncio.fixture
async def client(new_database: NewDatabase) -> AsyncIterator[Client]:
    url = await new_database()
    await asyncio.to_thread(migration.migrate, "staff", url)
    connection = await asyncpg.connect(url)
    await write_orders(connection, iter(ORDERS))
    await connection.close()
    engine = create_read_engine(url, "test")
    application = web.Application(middlewares=[protection(principals())])
    add_order_list(application, cast(HttpApi, SimpleNamespace(engine=engine)))
    async with TestClient(TestServer(application)) as client:
        yield client
    await engine.dispose()


Parameters = Sequence[tuple[str, str]]


async def ask(client: Client, parameters: Parameters, who: str = "all", path: str = PATH) -> tuple[int, Any]:
    async with client.get(path, params=list(parameters), headers={"Authorization": f"Bearer {who}"}) as response:
        return response.status, await response.json()


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


# The same in plain Python

FACETS = {"status": "status", "payment_status": "payment", "country": "country", "source": "source", "tag": "tag"}
FACETS |= {"discount": "discount", "item": "sku", "provider": "provider", "method": "method", "asked": "asked"}
FACETS |= {"delivery": "delivery"}
FLAGS = {"held": "held:yes", "owed": "owed:yes", "lost_webhooks": "webhooks:lost"}


def expected(parameters: Parameters, stores: Sequence[str] = STORES) -> list[str]:
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    of_stores = [made for made in ORDERS if made.order["store"] in stores]
    searched = set(found_by(given["q"][0], of_stores)) if "q" in given else None
    found = [made for made in of_stores if _matches(made, given, searched)]
    sort, descending = given.get("sort", ["date"])[0], given.get("order", ["desc"])[0] == "desc"
    if sort == "payment_status":
        found.sort(key=lambda made: (_date(made), made.order["order_id"]), reverse=True)
        statuses = [str(status) for status in PaymentStatus]
        rank = {status: -place if descending else place for place, status in enumerate(statuses)}
        found.sort(key=lambda made: rank[made.order["payment_status"]])
    else:
        keys = {"date": _date, "updated": _column("updated_at"), "total": _column("total"), "number": _column("number")}
        found.sort(key=lambda made: (keys[sort](made), made.order["order_id"]), reverse=descending)
    return [made.order["order_id"] for made in found]


def _column(name: str) -> Any:
    return lambda made: made.order[name]


def _date(made: MadeOrder) -> Any:
    return made.order["placed_at"] or made.order["created_at"]


def _matches(made: MadeOrder, given: Mapping[str, list[str]], searched: set[str] | None) -> bool:
    order = made.order
    for name, facet in FACETS.items():
        if name in given and not any(f"{facet}:{value}" in made.facets for value in given[name]):
            return False
    for name, facet in FLAGS.items():
        if name in given and (facet in made.facets) != (given[name] == ["true"]):
            return False
    if "store" in given and order["store"] not in given["store"]:
        return False
    placed = order["placed_at"].isoformat() if order["placed_at"] else None
    if "placed_from" in given and not (placed and placed >= given["placed_from"][0]):
        return False
    if "placed_to" in given and not (placed and placed < given["placed_to"][0]):
        return False
    return searched is None or order["order_id"] in searched


def found_by(typed: str, orders: Sequence[MadeOrder]) -> list[str]:
    terms = folded(typed).split()
    whole = [made.order["order_id"] for made in orders if len(folded(typed)) > 2 and typed in _wholes(made)]
    if whole:
        return whole
    if all(len(term) < 3 for term in terms):
        begin = [
            (made, str(made.order[name] or "").lower())
            for made in orders
            for name in ("number", "customer_name", "email")
        ]
        return [made.order["order_id"] for made, text in begin if text.startswith(typed.lower())]
    return [
        made.order["order_id"]
        for made in orders
        if any(
            all(term in row["folded"] for term in terms)
            for table in ("order_search", "payment_search")
            for row in made.parts[table]
        )
    ]


def _wholes(made: MadeOrder) -> list[str]:
    references = [row["reference"] for row in made.parts["transactions"]]
    return [made.order["number"], made.order["number"].removeprefix("ORD-"), made.order["email"], *references]


def random_parameters(rng: random.Random) -> list[tuple[str, str]]:
    some = rng.choice(ORDERS)
    skus = [facet[4:] for made in rng.sample(ORDERS, 3) for facet in made.facets if facet.startswith("sku:")]
    options: dict[str, Sequence[str]] = {
        "status": ("completed", "created", "expired", "processing", "refunded"),
        "payment_status": ("paid", "pending", "refunded", "disputed"),
        "country": COUNTRIES,
        "source": SOURCES,
        "tag": TAGS,
        "discount": CODES,
        "item": skus or ("none",),
        "provider": ("stripe", "manual"),
        "method": ("card", "paypal"),
        "asked": ("refund", "cancel"),
        "delivery": ("failed", "waiting"),
        "store": STORES,
    }
    parameters = [
        (name, value)
        for name in rng.sample(sorted(options), rng.choice((0, 0, 1, 1, 2, 3)))
        for value in rng.sample(list(options[name]), min(rng.choice((1, 1, 2)), len(options[name])))
    ]
    if rng.random() < 0.15:
        parameters.append((rng.choice(sorted(FLAGS)), rng.choice(("true", "false"))))
    if rng.random() < 0.2:
        first, last = sorted(_date(rng.choice(ORDERS)) for _ in range(2))
        parameters += [("placed_from", first.isoformat()), ("placed_to", last.isoformat())] if first < last else []
    if rng.random() < 0.4:
        texts = [made for name in ("number", "customer_name", "email") if (made := some.order[name])]
        texts += [row["reference"] for row in some.parts["transactions"]]
        text = rng.choice(texts)
        length = rng.choice((1, 2, 3, 4, 6, len(text)))
        begin = 0 if length < 3 else rng.randrange(len(text) - min(length, len(text)) + 1)
        parameters.append(("q", text[begin : begin + length].strip() or "ann"))
    parameters.append(("sort", rng.choice(("date", "updated", "total", "number", "payment_status"))))
    parameters.append(("order", rng.choice(("asc", "desc"))))
    return parameters


@pytest.mark.parametrize(
    ("window", "hits", "found"), [(2000, 5000, 20_000), (0, 5000, 20_000), (0, 3, 3), (50, 20, 60)]
)
async def test_any_filter_search_and_order_gives_each_matching_order_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, window: int, hits: int, found: int
) -> None:
    """However few orders are looked through or collected before the next way is taken."""
    for name, value in (("WINDOW", window), ("HITS", hits), ("FOUND", found)):
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
