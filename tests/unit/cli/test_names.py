"""Names on the command line that are of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.registry import SERVICES
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply, problem

NOTHING = Reply({"orders": [], "lost": [], "entries": [], "operations": [], "unread": 0, "next": None})
ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)


@pytest.fixture(autouse=True)
def lists(services: FakeServices) -> None:
    """Empty ones: services answer for names that they do not know, too."""
    services.reply("checkout", "GET /orders", NOTHING)
    services.reply("notifications", "GET /feeds/nope~staff", NOTHING)
    for store in ("nope", "maple"):
        services.reply("notifications", f"GET /stores/{store}/lost", NOTHING)
    for name in SERVICES:
        services.reply(name, "GET /operations", NOTHING)


@pytest.mark.parametrize(
    "words",
    [
        "orders --store nope",
        "lost nope",
        "feed nope",
        "feed nope --read",
        "resend --store nope --since 3d",
        "replay --store nope --since 3d",
        "resume-webhook nope we_1",
        "add-codes nope games FILE",
    ],
)
def test_an_unknown_store_is_refused_and_nothing_is_done(
    words: str, services: FakeServices, orderbus: Orderbus, tmp_path: Path
) -> None:
    (tmp_path / "codes").write_text("A\n")
    said = orderbus(*words.replace("FILE", str(tmp_path / "codes")).split())
    assert (said.code, said.err) == (64, "There is no store nope.\n")
    assert services.sent() == []


@pytest.mark.parametrize(
    "words",
    [
        "lost maple --webhooks --endpoint we_2",
        "replay --store maple --since 3d --endpoint we_2",
        "resume-webhook maple we_2",
    ],
)
def test_an_unknown_endpoint_is_refused(words: str, services: FakeServices, orderbus: Orderbus, store: str) -> None:
    said = orderbus(*words.split())
    assert (said.code, said.err) == (64, "maple has no webhook endpoint we_2. It has we_1.\n")
    assert services.sent() == []


@pytest.mark.parametrize("away", [problem(403, "forbidden"), problem(503, "busy")])
def test_what_cannot_be_looked_up_is_left_to_the_service(
    away: Reply, services: FakeServices, orderbus: Orderbus
) -> None:
    services.reply("checkout", "GET /stores/nope", away)
    services.reply("notifications", "POST /stores/nope/lost/mails/resend", ACCEPTED)
    assert orderbus("resend", "--store", "nope", "--since", "3d").code in (0, None)


def test_a_pool_may_be_filled_before_its_product_exists_but_that_is_said(
    services: FakeServices, orderbus: Orderbus, store: str, tmp_path: Path
) -> None:
    (tmp_path / "codes").write_text("A\nB\n")
    for pool, products in (("games", 1), ("gamse", 0)):
        services.reply("fulfillment", f"POST /stores/maple/pools/{pool}/codes", ACCEPTED)
        services.reply("fulfillment", f"GET /stores/maple/pools/{pool}", Reply({"free": 2, "products": products}))
        said = orderbus("add-codes", store, pool, str(tmp_path / "codes"))
        assert "2 codes accepted" in said.err
        assert ("No product of maple uses this pool" in said.err) is (products == 0)


def test_an_import_says_what_was_left_out(
    services: FakeServices, orderbus: Orderbus, store: str, tmp_path: Path
) -> None:
    (tmp_path / "codes.csv").write_text("A\nB\nA\n")
    result = {"lines": 30, "added": 1, "repeated": 1, "repeated_lines": [3], "known": 24, "known_lines": [2, 4]}
    services.reply("fulfillment", "POST /stores/maple/pools/games/codes", Reply(result))
    services.reply("fulfillment", "GET /stores/maple/pools/games", Reply({"free": 2, "products": 1}))

    said = orderbus("codes", "import", str(tmp_path / "codes.csv"), "--store", store, "--pool", "games")

    assert said.code in (0, None)
    assert said.err.splitlines() == [
        "1 code added to pool games of maple.",
        "1 code repeated in the file: line 3.",
        "24 codes in the pool already: lines 2, 4 and 22 more.",
    ]


def test_calls_wait_for_an_order_by_number_or_id_and_others_are_unknown(
    services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    assert "No calls are waiting for ORD-1" in orderbus("waiting", order).err
    asked = [one.query["key"] for one in services.sent("GET") if one.path == "/operations"]
    assert asked == ["ORD-1"] * len(SERVICES) + ["o-1"] * len(SERVICES)
    said = orderbus("waiting", "nope")
    assert (said.code, "There is no order nope" in said.err) == (64, True)


def test_a_destination_that_is_not_paused(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("payments", "POST /destinations/nope/resume", Reply({"destination": "nope", "resumed": False}))
    said = orderbus("resume", "payments", "nope")
    assert (said.code, "payments has no paused destination nope" in said.err) == (1, True)


def test_a_client_of_some_stores_names_one(services: FakeServices, orderbus: Orderbus, store: str) -> None:
    services.reply("checkout", "GET /orders", problem(403, "forbidden", "Name one of your stores in ?store=."))
    said = orderbus("orders")
    assert (said.code, "name one with --store" in said.err) == (64, True)
    services.reply("checkout", "GET /orders", NOTHING)
    assert "No orders were found" in orderbus("orders", "--store", store).err
    assert services.sent("GET")[-2].query["store"] == "maple"
