"""Customers against the same in plain Python over the same orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from services.staff import customer_query
from tests.benchmarks.staff_orders import STORES, MadeOrder
from tests.integration.conftest import NewDatabase
from tests.integration.staff_list_rig import ORDERS, Client, Parameters, ask, list_client

PATH = "/api/v1/customers"


@pytest_asyncio.fixture
async def client(new_database: NewDatabase) -> AsyncIterator[Client]:
    async with list_client(new_database) as client:
        yield client


def date_of(made: MadeOrder) -> Any:
    return made.order["placed_at"] or made.order["created_at"], made.order["order_id"]


def orders_of(store: str, email: str) -> list[MadeOrder]:
    found = [made for made in ORDERS if (made.order["store"], made.order["email"]) == (store, email)]
    return sorted(found, key=date_of, reverse=True)


def expected(stores: Sequence[str]) -> list[tuple[str, str]]:
    return sorted(
        {(made.order["store"], made.order["email"]) for made in ORDERS if made.order["email"]}
        & {(store, made.order["email"]) for store in stores for made in ORDERS}
    )


async def walked(client: Client, parameters: Parameters, who: str = "all") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: list[tuple[str, str]] = []
    while True:
        status, page = await ask(client, [*parameters, *after], who, PATH)
        assert status == 200, page
        found += page["customers"]
        if page["next"] is None:
            return found
        after = [("after", page["next"])]


async def test_each_customer_is_listed_once_with_sums(client: Client) -> None:
    for who, stores in (("all", STORES), ("game", ("game",))):
        shown = await walked(client, [("limit", "60")], who)
        assert [(each["store"], each["email"]) for each in shown] == expected(stores)
    for each in shown[:40]:
        orders = [made.order for made in orders_of(each["store"], each["email"])]
        names = [order["customer_name"] for order in orders if order["customer_name"]]
        assert each["order"] == orders[0]["order_id"]
        assert (each["orders"], each["more"], each["name"]) == (len(orders), False, names[0] if names else None)
        assert each["placed"] == sum(order["placed_at"] is not None for order in orders)
        assert each["accounts"] == sorted({order["account"] for order in orders if order["account"]})
        paid, refunded = sum(order["paid"] or 0 for order in orders), sum(order["refunded"] for order in orders)
        assert each["sums"] == [{"currency": "EUR", "paid": paid, "refunded": refunded}]


async def test_a_customer_is_found_by_address_and_account(client: Client) -> None:
    some = next(made.order for made in ORDERS if made.order["account"])
    email, account = some["email"], some["account"]
    begin = await walked(client, [("q", email[:4].upper())])
    assert {each["email"] for each in begin} == {
        made.order["email"] for made in ORDERS if (made.order["email"] or "").startswith(email[:4])
    }
    for parameters in ([("email", email)], [("account", account)], [("account", account), ("q", email[:2])]):
        shown = await walked(client, [*parameters, ("store", some["store"])])
        assert [(each["store"], each["email"]) for each in shown] == [(some["store"], email)]


async def test_the_orders_of_a_customer_are_listed_by_one_of_them(client: Client) -> None:
    some = max(
        (made.order for made in ORDERS if made.order["email"]), key=lambda o: len(orders_of(o["store"], o["email"]))
    )
    orders = [made.order["order_id"] for made in orders_of(some["store"], some["email"])]
    assert len(orders) > 2
    _, page = await ask(client, [("customer", some["order_id"]), ("fields", "order")])
    assert [order["order"] for order in page["orders"]] == orders
    _, page = await ask(client, [("customer", "no-such-order")])
    assert page["orders"] == []
    other = "game" if some["store"] != "game" else "two"
    _, page = await ask(client, [("customer", some["order_id"])], other)
    assert page["orders"] == []


async def test_of_a_customer_with_many_orders_the_latest_are_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_query, "ORDERS", 1)
    shown = await walked(client, [("limit", "200")], "game")
    assert {each["orders"] for each in shown} == {1}
    assert [each["more"] for each in shown] == [len(orders_of(each["store"], each["email"])) > 1 for each in shown]
