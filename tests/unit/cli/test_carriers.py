"""`orderbus carriers`: what is sent and shown."""

from __future__ import annotations

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
PAGE = "https://track.river.example/{tracking}"


def test_a_page_is_set_and_removed(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("checkout", "GET /stores/maple", Reply({"id": "maple"}))
    services.reply("fulfillment", "PUT /stores/maple/carriers", ACCEPTED)

    assert orderbus("carriers", "set", "maple", "River Post", PAGE).code == 0
    assert orderbus("carriers", "remove", "maple", "River Post").code == 0

    assert [one.body for one in services.sent("PUT")] == [
        {"carrier": "River Post", "page": PAGE},
        {"carrier": "River Post", "page": None},
    ]


def test_the_stores_own_pages_are_listed_before_the_known_ones(services: FakeServices, orderbus: Orderbus) -> None:
    found = {
        "carriers": [{"carrier": "DHL", "page": "https://own.example/{tracking}"}],
        "known": [
            {"carrier": "dhl", "page": "https://dhl.example/{tracking}"},
            {"carrier": "ups", "page": "https://ups.example/{tracking}"},
        ],
    }
    services.reply("fulfillment", "GET /stores/maple/carriers", Reply(found))

    said = orderbus("carriers", "list", "maple")

    assert "https://own.example/{tracking}" in said.out
    assert "https://ups.example/{tracking}" in said.out
    assert "https://dhl.example/{tracking}" not in said.out
