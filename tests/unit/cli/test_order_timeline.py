"""The timeline of `orderbus order`: staff's."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import LOST, FakeServices, Reply, problem

AT = "2026-03-03T14:05:00+00:00"
ORDER = {
    **{"key": "o-1", "number": "ORD-1", "currency": "EUR", "store": "maple", "status": "processing", "items": []},
    **{"payment_status": "paid", "fulfilment_status": "in_progress", "created_at": AT, "written": []},
}
TIMELINE = "GET /api/v1/orders/o-1/timeline"


def entry(what: str, text: str) -> dict[str, Any]:
    return {"id": what, "at": AT, "actor": "system", "source": "checkout", "what": what, "text": text, "detail": {}}


def page(*entries: dict[str, Any], following: str | None = None) -> Reply:
    return Reply({"entries": entries, "next": following})


def an_order(services: FakeServices) -> None:
    services.reply("checkout", "GET /orders/ORD-1", Reply(ORDER))


def test_it_is_read_from_staff_page_by_page(services: FakeServices, orderbus: Orderbus) -> None:
    an_order(services)
    created, paid = entry("order.created", "Checkout opened."), entry("order.paid", "Paid in full.")
    services.reply("staff", TIMELINE, page(created, following="cursor"), page(paid))

    found = json.loads(orderbus("order", "ORD-1", "--json").out)

    assert found["timeline"] == [created, paid] and "timeline_missing" not in found
    asked = [one.query for one in services.received if one.service == "staff"]
    assert [one.get("after") for one in asked] == [None, "cursor"]
    assert {one["sort"] for one in asked} == {"oldest"}


def test_the_order_is_shown_without_it_while_staff_is_away(services: FakeServices, orderbus: Orderbus) -> None:
    an_order(services)
    for away in (LOST, problem(503, "not_ready", "Not ready yet."), problem(403, "forbidden", "No permission.")):
        services.reply("staff", TIMELINE, away)
        said = orderbus("order", "ORD-1")
        assert said.code == 0
        assert "ORD-1  processing" in said.out
        assert "\nTimeline\n  missing: staff" in said.out

    found = json.loads(orderbus("order", "ORD-1", "--json").out)
    assert found["timeline"] is None and found["timeline_missing"] == "staff: No permission. (forbidden)"


def test_what_staff_has_not_read_yet_is_said_to_be_so(services: FakeServices, orderbus: Orderbus) -> None:
    an_order(services)
    said = orderbus("order", "ORD-1")
    assert said.code == 0
    assert said.out.endswith("Timeline\n  Staff has read nothing of the order yet.\n")
