"""`orderbus stock`: what is sent and shown."""

from __future__ import annotations

import pytest

from deploy.cli.errors import UsageError
from deploy.cli.stock import signed
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

ATLAS, ACCEPTED = "/stores/northwind/stock/atlas", Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
NOW = {"on_hand": 7, "reserved": 2, "free": 5, "received": 9, "written_off": 0, "low_stock": 6}
LOW = NOW | {"sku": "atlas", "low_since": "2026-03-03T14:05:00Z"}
MOVE = {
    "id": "01980c5e-7a10-7c3e-9f41-5b2f0a6d1e77",
    "at": "2026-03-03T14:05:00Z",
    "why": "adjusted",
    "units": -2,
    "on_hand": 7,
    "free": 5,
    "reason": "Damaged.",
    "actor": "anna",
    "order_key": "",
}


@pytest.fixture(autouse=True)
def northwind(services: FakeServices) -> None:
    services.reply("checkout", "GET /stores/northwind", Reply({"id": "northwind"}))
    services.reply("fulfillment", f"GET {ATLAS}", Reply(NOW))


def test_stock_is_set_and_adjusted_with_a_reason(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("fulfillment", f"PUT {ATLAS}", ACCEPTED)
    services.reply("fulfillment", f"POST {ATLAS}/adjust", ACCEPTED)

    said = orderbus("stock", "set", "northwind", "atlas", "7", "--reason", "Counted.")
    assert (said.code, said.err) == (0, "atlas of northwind: 7 on hand, 5 of them free.\n")
    assert orderbus("stock", "adjust", "northwind", "atlas", "2-", "--reason", "Damaged.").code == 0
    assert [one.body for one in [*services.sent("PUT"), *services.sent()]] == [
        {"on_hand": 7, "reason": "Counted."},
        {"units": -2, "reason": "Damaged."},
    ]


def test_units_have_a_sign() -> None:
    assert [signed(units) for units in ("3", "+3", "-3", "3-")] == [3, 3, -3, -3]
    for wrong in ("", "three", "-3-", "1.5"):
        with pytest.raises(UsageError):
            signed(wrong)


def test_the_history_and_the_low_stock_are_listed(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("fulfillment", f"GET {ATLAS}/history", Reply({"movements": [MOVE], "next": None}))
    services.reply("fulfillment", "GET /stores/northwind/stock", Reply({"stock": [LOW], "next": None}))

    shown = orderbus("stock", "history", "northwind", "atlas").out
    assert all(part in shown for part in ("adjusted", "-2", "anna", "Damaged."))
    assert "atlas" in orderbus("stock", "list", "northwind", "--low").out
