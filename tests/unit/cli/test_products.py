"""`orderbus products`: what is sent and shown."""

from __future__ import annotations

import pytest

from services.checkout.http import MOST
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

PATH = "PUT /stores/maple/skus/atlas"


@pytest.fixture(autouse=True)
def a_store(services: FakeServices) -> None:
    services.reply("checkout", "GET /stores/maple", Reply({"id": "maple"}))
    services.reply("checkout", PATH, Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202))


def test_prices_are_written_as_in_the_shop_and_sent_in_minor_units(services: FakeServices, orderbus: Orderbus) -> None:
    prices = ("--price", "EUR=19.00", "--price", "JPY=3000", "--price", "USD=0.00")
    said = orderbus("products", "set", "maple", "atlas", "--name", "Field Atlas", *prices, "--shipped")

    assert said.code == 0
    assert [one.body for one in services.sent("PUT")] == [
        {
            "product": "Field Atlas",
            "prices": {"EUR": 1900, "JPY": 3000, "USD": 0},
            "shippable": True,
            "active": True,
        }
    ]


@pytest.mark.parametrize("price", ["19.00", "EUR=", "EUR=1.999", "EUR=-1"])
def test_what_is_no_price_is_said_and_nothing_sent(services: FakeServices, orderbus: Orderbus, price: str) -> None:
    said = orderbus("products", "set", "maple", "atlas", "--name", "Field Atlas", "--price", price)

    assert said.code == 64
    assert services.sent("PUT") == []


def test_all_pages_are_listed(services: FakeServices, orderbus: Orderbus) -> None:
    atlas = {"sku": "atlas", "product": "Field Atlas", "prices": {"EUR": 1900}, "active": True}
    tides = {"sku": "tides", "product": "Tide tables", "prices": {"EUR": 500, "USD": 600}, "active": False}
    pages = Reply({"skus": [atlas], "next": "atlas"}), Reply({"skus": [tides], "next": None})
    services.reply("checkout", "GET /stores/maple/skus", *pages)

    said = orderbus("products", "list", "maple")

    assert [line.split()[0] for line in said.out.splitlines()] == ["sku", "atlas", "tides"]
    assert "5.00 EUR, 6.00 USD" in said.out and "not sold" in said.out
    asked = [int(one.query["limit"]) for one in services.received if one.path == "/stores/maple/skus"]
    assert len(asked) == 2 and max(asked) <= MOST
