"""`orderbus refund`: its choices, and what it would do; what is owed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply, problem

REFUND, PREVIEW = "POST /orders/o-1/refund", "POST /orders/o-1/refund/preview"
ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
ITEMS = [
    {"item": "1", "amount": 500, "whole": False, "refundable_before": 3000, "refundable_after": 2500},
    {"item": "2", "amount": 2000, "whole": True, "refundable_before": 2000, "refundable_after": 0},
]
PREVIEWED = {
    "attempt": 1,
    "amount": 2500,
    "currency": "EUR",
    "refundable_before": 5000,
    "refundable_after": 2500,
    "items": ITEMS,
    "recorded": False,
    "provider": "stripe",
    "dashboard": "https://dashboard.example",
    "by_hand": False,
    "parked": 0,
    "refundable_until": None,
    "remove_access": {"default": ["2"], "chosen": ["2"]},
    "restock": {"default": ["2"], "chosen": []},
    "remove_offer_access": {"default": False, "chosen": True},
}
AT = "2026-03-03T14:05:00Z"
SETTLE = "orderbus settle refund ORD-1 refunded --reason TEXT"
PART = {
    **{"attempt": 1, "amount": 5000, "state": "owed", "refund": "r-1", "reference": "", "tries": 3},
    **{"code": "charge_disputed", "text": "Disputed.", "for_staff": False, "since": AT},
}
BY_HAND = PART | {"state": "by_hand", "for_staff": True}
OWED: dict[str, Any] = {
    **{"order": "o-1", "number": "ORD-1", "store": "maple", "currency": "EUR", "owed": 5000, "changed_at": AT},
    "obligations": [PART],
}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ("--item 1 --item 2=5.00", {"items": [{"item": "1"}, {"item": "2", "amount": 500}]}),
        ("--attempt 1000000", {"attempt": 1000000}),
        (
            "--amount 5.00 --record-only --note Cash. --reference R-7",
            {"amount": 500, "refund_payment": False, "note": "Cash.", "reference": "R-7"},
        ),
        ("--keep-access --no-restock", {"remove_access": [], "restock": []}),
        ("--remove-access 1 --remove-access 2 --restock 2", {"remove_access": ["1", "2"], "restock": ["2"]}),
        ("--remove-offer-access", {"remove_offer_access": True}),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_its_choices_reach_payments(
    dry: bool, options: str, body: dict[str, Any], services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("payments", REFUND, ACCEPTED)
    services.reply("payments", PREVIEW, Reply(PREVIEWED))
    assert orderbus("refund", order, *options.split(), *["--dry-run"] * dry).code in (0, None)
    (sent,) = services.sent()
    assert sent.body == {"reason": "requested_by_customer"} | body
    assert (sent.path.endswith("/preview"), bool(sent.key)) == (dry, not dry)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--record-only", "say with --note how the customer gets it"),
        ("--reference R-7", "--reference needs --record-only"),
        ("--amount 1.00 --item 1=5.00", "Choose --amount or --item, not both"),
        ("--keep-access --remove-access 1", "Choose --keep-access or --remove-access"),
        ("--no-restock --restock 1", "--no-restock or --restock, not both"),
    ],
)
def test_wrong_choices_are_refused_before_anything_is_asked(
    options: str, said: str, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    shown = orderbus("refund", order, *options.split())
    assert (shown.code, said in shown.err) == (64, True)
    assert services.received == []


def test_the_amount_of_an_item_is_one_of_the_currency(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    shown = orderbus("refund", order, "--item", "2=5.001")
    assert (shown.code, "5.001 is not an amount of EUR" in shown.err) == (64, True)
    assert services.sent() == []


def test_a_dry_run_shows_what_it_would_do(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", PREVIEW, Reply(PREVIEWED))
    assert orderbus("refund", order, "--dry-run").out.splitlines() == [
        "ORD-1: a refund of 25.00 EUR of attempt 1.",
        "  can still be refunded: 50.00 EUR now, 25.00 EUR after it",
        "  item 1        5.00 EUR  (30.00 EUR now, 25.00 EUR after it)",
        "  item 2       20.00 EUR  (20.00 EUR now, 0.00 EUR after it)  wholly refunded",
        "  access removed: item 2",
        "  access by the order's offer, and by every order, removed: yes (by default: no)",
        "  put back in stock, where it is counted: none (by default: item 2)",
        "  stripe makes it",
    ]
    assert json.loads(orderbus("refund", order, "--dry-run", "--json").out)["items"] == ITEMS


def test_a_dry_run_of_a_record_says_that_no_money_moves(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", PREVIEW, Reply(PREVIEWED | {"recorded": True, "items": []}))
    said = orderbus("refund", order, "--dry-run", "--record-only", "--note", "Cash.")
    assert said.out.splitlines()[-1] == "  it is recorded only: no money moves at stripe (https://dashboard.example)"


def test_a_dry_run_says_what_limits_the_provider_sets(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", PREVIEW, Reply(PREVIEWED | {"refundable_until": "2026-09-03T14:05:00Z"}))
    assert "stripe makes it, and can until 2026-09-03" in orderbus("refund", order, "--dry-run").out
    services.reply("payments", PREVIEW, Reply(PREVIEWED | {"by_hand": True}))
    said = orderbus("refund", order, "--dry-run").out
    assert f"stripe cannot make it: staff make it (https://dashboard.example), then confirm it: {SETTLE}" in said


@pytest.mark.parametrize(("parked", "said"), [(1, "1 message of this order waits:"), (2, "2 messages of this order")])
def test_a_dry_run_says_that_messages_wait(
    parked: int, said: str, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("payments", PREVIEW, Reply(PREVIEWED | {"parked": parked}))
    assert said in orderbus("refund", order, "--dry-run").out


def test_a_refused_preview_says_why(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", PREVIEW, problem(409, "too_much", "At most 30.00 EUR can still be refunded."))
    said = orderbus("refund", order, "--dry-run")
    assert (said.code, said.err) == (1, "payments: At most 30.00 EUR can still be refunded. (too_much)\n")


def test_what_is_owed_is_listed_over_all_pages(services: FakeServices, orderbus: Orderbus) -> None:
    staff = PART | {"state": "owed", "for_staff": True, "reference": "re_7", "text": "The bank returned the refund."}
    second = OWED | {"number": "ORD-2", "obligations": [staff, PART | {"state": "unknown", "for_staff": True}]}
    pages = Reply({"owed": [OWED], "next": "2026-03-03T14:05:00+00:00 o-1"}), Reply({"owed": [second], "next": None})
    services.reply("payments", "GET /owed", *pages)

    said = orderbus("payments", "owed", "--store", "maple")

    rows = [line.split() for line in said.out.splitlines()]
    assert [row[0] for row in rows] == ["order", "ORD-1", "ORD-2", "ORD-2"]
    assert "tried again by itself" in said.out and "charge_disputed · Disputed." in said.out
    assert "waits for staff" in said.out and "re_7 · charge_disputed · The bank returned the refund." in said.out
    services.reply("payments", "GET /owed", Reply({"owed": [OWED | {"obligations": [BY_HAND]}], "next": None}))
    shown = orderbus("payments", "owed").out
    assert "by_hand" in shown and "`orderbus settle refund ORD-1 refunded --reason TEXT`" in shown
    assert [one.query.get("after") for one in services.sent("GET")] == [None, "2026-03-03T14:05:00+00:00 o-1", None]
    services.reply("payments", "GET /owed", Reply({"owed": [OWED], "next": None}))
    assert json.loads(orderbus("payments", "owed", "--json").out) == {"owed": [OWED]}


def test_what_a_newer_build_owes_has_its_sum(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("payments", "GET /owed", Reply({"owed": [OWED | {"obligations": [], "newer": True}], "next": None}))
    assert "50.00 EUR" in orderbus("payments", "owed").out


def test_nothing_is_owed_and_there_is_no_such_store(services: FakeServices, orderbus: Orderbus, store: str) -> None:
    services.reply("payments", "GET /owed", Reply({"owed": [], "next": None}))
    assert orderbus("payments", "owed").err == "Nothing is owed.\n"
    assert orderbus("payments", "owed", "--store", store).err == "Nothing is owed.\n"
    assert "There is no store mapel." in orderbus("payments", "owed", "--store", "mapel").err
