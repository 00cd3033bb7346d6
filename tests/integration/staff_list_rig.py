"""Staff's lists over made-up orders: a client of their routes, and the same filters in plain Python."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.staff.lists import add_lists
from services.staff.search_text import folded
from shared.api_clients import ApiClientSettings
from shared.contracts.values import PaymentStatus
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres.engine import create_engine
from tests.benchmarks.staff_orders import CODES, COUNTRIES, SOURCES, STORES, TAGS, MadeOrder, made_orders, write_orders
from tests.integration.conftest import NewDatabase

Client = TestClient[web.Request, web.Application]
Parameters = Sequence[tuple[str, str]]
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
            permissions=("order.read", "payment.read", "delivery.read"),
        )
        for name, stores in CLIENTS.items()
    )


async def with_orders(url: str) -> None:
    connection = await asyncpg.connect(url)
    await write_orders(connection, iter(ORDERS))
    await connection.close()


@asynccontextmanager
async def list_client(new_database: NewDatabase) -> AsyncIterator[Client]:
    """Of a database with ORDERS. A client's name in CLIENTS is its token."""
    engine = create_engine(await new_database("staff", with_orders), "test")
    application = web.Application(middlewares=[protection(principals())])
    add_lists(application, cast(HttpApi, SimpleNamespace(engine=engine)))
    async with TestClient(TestServer(application)) as client:
        yield client
    await engine.dispose()


async def ask(client: Client, parameters: Parameters, who: str = "all", path: str = PATH) -> tuple[int, Any]:
    async with client.get(path, params=list(parameters), headers={"Authorization": f"Bearer {who}"}) as response:
        return response.status, await response.json()


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
