"""Notes, messages, answers to what customers ask, abandoned checkouts; and how an order shows all that."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.cli.order_details import details_of, written
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
AT = "2026-03-03T14:05:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("note", "Call first."), "notes", {"text": "Call first.", "about": "order"}),
        (("note", "VIP.", "--customer"), "notes", {"text": "VIP.", "about": "customer"}),
        (
            ("hand-in", "Hi.", "--from", "customer", "--at", "2026-03-03T14:05:00Z", "--attachment", "d/1"),
            "messages",
            {"sender": "customer", "text": "Hi.", "written_at": AT, "attachments": ["d/1"]},
        ),
        (
            ("answer", "refused", "--wants", "cancel", "--text", "Sent."),
            "answer",
            {"wants": "cancel", "granted": False, "text": "Sent."},
        ),
    ],
)
def test_what_is_sent(
    arguments: tuple[str, ...],
    path: str,
    body: dict[str, Any],
    services: FakeServices,
    orderbus: Orderbus,
    order: str,
) -> None:
    services.reply("checkout", f"POST /orders/o-1/{path}", ACCEPTED)
    name, *more = arguments
    assert orderbus(name, order, *more).code in (0, None)
    assert services.sent()[0].body == body


@pytest.mark.parametrize(
    "arguments",
    [("hand-in", "Hi.", "--from", "customer", "--at", "yesterday"), ("hand-in", "Hi.")],
)
def test_what_says_too_little_is_not_sent(
    arguments: tuple[str, ...], services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    name, *more = arguments
    assert orderbus(name, order, *more).code == 64
    assert services.sent() == []


def test_a_customer_who_asks_for_nothing_is_not_answered(
    services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    said = orderbus("answer", order, "granted")
    assert (said.code, "asks for nothing" in said.err, services.sent()) == (1, True, [])


def test_abandoned_checkouts_are_listed_with_what_was_in_them(services: FakeServices, orderbus: Orderbus) -> None:
    checkout = {
        **{"key": "o-1", "number": "ORD-1", "store": "maple", "status": "expired", "currency": "EUR"},
        **{"email": "ada@example.com", "country": "GB", "opened_at": AT, "closed_at": AT},
        "items": [{"sku": "atlas", "quantity": 2, "kind": "product"}],
    }
    services.reply("checkout", "GET /abandoned", Reply({"checkouts": [checkout], "next": "abc"}))
    said = orderbus("abandoned", "--store", "maple")
    assert "ORD-1" in said.out and "ada@example.com" in said.out and "2 × atlas" in said.out
    assert "--after abc" in said.err


def test_an_order_shows_what_was_submitted_and_what_the_customer_asks() -> None:
    order = {
        "currency": "EUR",
        "company": "Analytical Engines Ltd",
        "vat_number": "GB1",
        "billing_fields": [{"label": "Cost centre", "value": "7100"}],
        "discounts": [{"code": "SPRING", "amount": 500}],
        "taxes": [{"rate": "19", "country": "DE", "amount": 190, "name": "VAT"}],
        "source": "newsletter",
        "tags": ["spring"],
        "purchaser_role": "instructor",
        "terms": "2026-01",
        "asked": {"wants": "cancel", "text": "Twice.", "at": AT},
        "opened": {"email": None, "items": [{"sku": "atlas", "quantity": 1}]},
    }
    lines = [line.split(None, 1) for line in details_of(order)]
    assert lines[:-1] == [
        ["billing", "Analytical Engines Ltd, GB1, Cost centre: 7100"],
        ["discounts", "SPRING 5.00 EUR"],
        ["taxes", "19 % DE 1.90 EUR"],
        ["source", "newsletter, #spring"],
        ["role", "instructor"],
        ["terms", "2026-01"],
        ["opened", "by an unknown customer: 1 × atlas"],
    ]
    assert lines[-1][1].startswith("to cancel it since ") and lines[-1][1].endswith(": Twice.")
    assert details_of({"currency": "EUR"}) == []


def test_an_order_shows_what_is_written_about_it() -> None:
    entry: dict[str, Any] = {
        "at": AT,
        "written_at": None,
        "actor": "staff:anna",
        "sender": "",
        "author": "",
        "attachments": [],
    }
    message = entry | {"kind": "message", "sender": "customer", "author": "Ada", "text": "Hi.\nWhere?"}
    found = written({"written": [entry | {"kind": "note", "text": "A present."}, message | {"attachments": ["d/1"]}]})
    assert found[0] == "Written" and found[-1] == ""
    assert found[1].endswith("staff:anna, note: A present.")
    assert found[2].endswith("message of the customer (Ada): Hi.")
    assert found[3:5] == ["    Where?", "    attached: d/1"]
    assert written({}) == []
