"""`orderbus complete`: an order that staff complete by hand, paid or not."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.cli.order_details import by_hand
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

COMPLETE = "POST /orders/o-1/complete"
ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ("", {}),
        ("--paid cash", {"paid": {"method": "cash"}}),
        (
            "--paid bank_transfer --amount 50.00 --reference SEPA-1",
            {"paid": {"method": "bank_transfer", "reference": "SEPA-1", "amount": 5000}},
        ),
        ("--given", {"given": True}),
        ("--restore-refunded --latest", {"restore_refunded": True, "latest_configuration": True}),
    ],
)
def test_what_is_sent(
    options: str, body: dict[str, Any], services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("checkout", COMPLETE, ACCEPTED)
    assert orderbus("complete", order, "--note", "By hand.", *options.split()).code in (0, None)
    (sent,) = services.sent()
    assert sent.body == {"note": "By hand."} | body


@pytest.mark.parametrize("options", ["--paid card", "--amount 5.00", "--paid cash --amount 5.001", "--reference R-1"])
def test_what_says_too_little_is_not_sent(options: str, services: FakeServices, orderbus: Orderbus, order: str) -> None:
    assert orderbus("complete", order, *options.split()).code == 64
    assert services.sent() == []


def test_the_order_says_how_it_was_paid_and_what_was_restored() -> None:
    elsewhere = {"method": "bank_transfer", "reference": "SEPA-1", "amount": 5000}
    assert by_hand({"paid_elsewhere": elsewhere, "restored": 500, "currency": "EUR"}) == [
        "  paid      elsewhere: bank transfer, SEPA-1",
        "  restored  5.00 EUR went back to the customer and is not counted as refunded",
    ]
    assert by_hand({"given": True}) == ["  paid      nothing: staff gave it"]
    assert by_hand({}) == []
