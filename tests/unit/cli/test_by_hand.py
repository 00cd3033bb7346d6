"""Payments and refunds that staff make by hand, and record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

RECORD, SETTLE = "POST /orders/o-1/record-payment", "POST /orders/o-1/settle"
ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
REFUNDED = ("--reason", "Sent.")


def refund(id: str, status: str = "pending", *, by_hand: bool = True) -> dict[str, Any]:
    return {"refund": id, "status": status, "by_hand": by_hand}


def has(services: FakeServices, *refunds: dict[str, Any]) -> None:
    services.reply("payments", SETTLE, ACCEPTED)
    services.reply("payments", "GET /orders/o-1/payment", Reply({"attempts": [], "refunds": refunds}))


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ("--method cash", {"method": "cash"}),
        (
            "--method bank_transfer --amount 50.00 --reference SEPA-1 --note Statement.",
            {"method": "bank_transfer", "amount": 5000, "reference": "SEPA-1", "note": "Statement."},
        ),
    ],
)
def test_a_payment_is_recorded(
    options: str, body: dict[str, Any], services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("payments", RECORD, ACCEPTED)
    assert orderbus("record-payment", order, *options.split()).code in (0, None)
    (sent,) = services.sent()
    assert (sent.body, bool(sent.key)) == (body, True)


@pytest.mark.parametrize("options", [(), ("--method", "card"), ("--method", "cash", "--amount", "5.001")])
def test_a_payment_that_says_too_little_is_not_sent(
    options: tuple[str, ...], services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    assert orderbus("record-payment", order, *options).code == 64
    assert services.sent() == []


@pytest.mark.parametrize("named", [(), ("--refund", "r-1")])
def test_a_refund_by_hand_needs_no_reference(
    named: tuple[str, ...], services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    has(services, refund("r-0", "done"), refund("r-1"), refund("r-2", by_hand=False))
    assert orderbus("settle", "refund", order, "refunded", *REFUNDED, *named).code in (0, None)
    assert services.sent()[0].body == {"outcome": "refunded", "reference": "", "reason": "Sent.", "refund": "r-1"}


def test_a_refund_by_the_provider_needs_one(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    has(services, refund("r-1", "unresolved", by_hand=False))
    for named in ((), ("--refund", "r-1"), ("--refund", "r-7")):
        said = orderbus("settle", "refund", order, "refunded", *REFUNDED, *named)
        assert (said.code, "name the provider's id" in said.err) == (64, True)
    assert services.sent() == []


def test_of_several_one_is_chosen(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    has(services, refund("r-1"), refund("r-2"))
    said = orderbus("settle", "refund", order, "refunded", *REFUNDED)
    assert (said.code, "Choose one with --refund: r-1, r-2." in said.err) == (64, True)
