"""`orderbus order --newest`."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

ORDER = {"key": "o-1", "number": "ORD-1", "currency": "EUR", "store": "maple", "timeline": []}


def test_the_newest_order_needs_no_name(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("checkout", "GET /orders", Reply({"orders": [{"key": "o-1"}], "next": ""}))
    services.reply("checkout", "GET /orders/o-1", Reply(ORDER))
    for service, part in (("payments", "payment"), ("fulfillment", "deliveries"), ("notifications", "notifications")):
        services.reply(service, f"GET /orders/o-1/{part}", Reply({"error": "not_found"}, 404))
    assert json.loads(orderbus("order", "--newest", "--json").out)["number"] == "ORD-1"
    (asked,) = [each for each in services.received if each.path == "/orders"]
    assert asked.query["limit"] == "1"


def test_where_there_is_none_it_says_so(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("checkout", "GET /orders", Reply({"orders": [], "next": ""}))
    said = orderbus("order", "--newest")
    assert (said.code, said.err) == (64, "There are no orders.\n")


def test_an_order_is_named_in_one_way(services: FakeServices, orderbus: Orderbus) -> None:
    for wrong in (("order",), ("order", "ORD-1", "--newest")):
        said = orderbus(*wrong)
        assert (said.code, said.err) == (64, "Name an order by its number or id, or give --newest.\n")
