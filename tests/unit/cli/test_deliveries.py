"""`orderbus delivery` and `orderbus ship`: what is sent."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
WHY = ("--reason", "As agreed.")


@pytest.mark.parametrize(
    ("words", "verb", "body"),
    [
        (
            ("mark-delivered", "--item", "1", "--code", "AAA", "--note", "Enjoy!", "--quiet"),
            "mark-delivered",
            {"items": ["1"], "codes": ["AAA"], "note": "Enjoy!", "notify": False},
        ),
        (("resend", "--item", "1/2"), "resend", {"items": [], "executions": ["1/2"]}),
        (("renew", "--item", "1/2"), "renew", {"item": "1/2", "file": None}),
        (("renew", "--item", "1", "--file", "a.pdf"), "renew", {"item": "1", "file": "a.pdf"}),
        (("revoke",), "revoke", {"items": []}),
        (("grant-again",), "grant-again", {"items": []}),
        (
            ("attach", "--item", "1", "--link", "https://x.example/a"),
            "attach",
            {"item": "1", "link": "https://x.example/a", "note": "", "notify": True},
        ),
        (("hold",), "hold", {}),
        (("release",), "release", {}),
        (
            ("return", "--item", "1=2", "--item", "2", "--amount", "1=5.00", "--refund", "--no-restock"),
            "return",
            {
                "items": [
                    {"item": "1", "quantity": 2, "amount": 500},
                    {"item": "2", "quantity": None, "amount": None},
                ],
                "resaleable": False,
                "refund": True,
            },
        ),
    ],
)
def test_what_staff_do_is_sent_with_its_reason(
    words: tuple[str, ...],
    verb: str,
    body: dict[str, object],
    services: FakeServices,
    orderbus: Orderbus,
    order: str,
) -> None:
    services.reply("fulfillment", f"POST /orders/o-1/{verb}", ACCEPTED)

    said = orderbus("delivery", words[0], order, *words[1:], *WHY)

    assert (said.code, said.err) == (0, f"ORD-1: {verb} accepted. `orderbus order ORD-1` shows the result.\n")
    assert [one.body for one in services.sent()] == [body | {"reason": "As agreed."}]


def test_a_parcel_can_have_some_units_and_a_link(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("fulfillment", "POST /orders/o-1/ship", ACCEPTED)
    services.reply("fulfillment", "POST /orders/o-1/parcel-delivered", ACCEPTED)
    parcel = ("--carrier", "DHL", "--tracking", "T1")

    assert orderbus("ship", order, *parcel, "--quantity", "1=2", "--link", "https://x.example/T1").code == 0
    assert orderbus("ship", order, *parcel, "--quantity", "1=two").code == 64
    assert orderbus("delivery", "parcel-delivered", order, "1").code == 0

    assert [one.body for one in services.sent()] == [
        {
            "carrier": "DHL",
            "tracking": "T1",
            "items": [],
            "quantities": {"1": 2},
            "link": "https://x.example/T1",
        },
        {"parcel": "1", "reason": ""},
    ]
