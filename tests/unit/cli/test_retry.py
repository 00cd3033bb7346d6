"""`orderbus retry`: what is sent, and what a dry run says."""

from __future__ import annotations

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply, problem

RETRY, PREVIEW = "POST /orders/o-1/retry", "POST /orders/o-1/retry/preview"
ITEM = {"item": "1", "product": "Atlas", "kind": "download", "version": 1, "kind_after": "code", "version_after": 3}
ITEMS = [
    ITEM | {"revokes": False},
    ITEM | {"item": "2", "kind_after": "download", "version_after": 1, "revokes": False},
    ITEM | {"item": "3", "kind": "", "version": 0, "revokes": False},
    ITEM | {"item": "4", "revokes": True},
]


def test_the_latest_configuration_is_used_only_if_asked_for(
    services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("fulfillment", RETRY, Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202))

    for options in ((), ("--latest", "--item", "2"), ("--item", "1", "--item", "2/3")):
        assert orderbus("retry", order, *options).code == 0

    assert [one.body for one in services.sent()] == [
        {"items": [], "latest": False},
        {"items": ["2"], "latest": True},
        {"items": ["1"], "executions": ["2/3"], "latest": False},
    ]


def test_a_dry_run_says_what_is_replaced_for_good(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("fulfillment", PREVIEW, Reply({"items": ITEMS}))

    said = orderbus("retry", order, "--latest", "--dry-run")

    assert said.out.splitlines() == [
        "ORD-1: a retry of 4 items.",
        "  item 1  Atlas: download (version 1) becomes code (version 3), for good",
        "  item 2  Atlas: download (version 1)",
        "  item 3  Atlas: not configured becomes code (version 3), for good",
        "  item 4  Atlas: revoked",
    ]
    assert said.err == "Nothing was changed.\n"


def test_a_refused_dry_run_says_why(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("fulfillment", PREVIEW, problem(409, "nothing_to_retry", "No item of the order has failed."))
    said = orderbus("retry", order, "--dry-run")
    assert (said.code, said.err) == (1, "fulfillment: No item of the order has failed. (nothing_to_retry)\n")
