"""What waits for staff, when not all services can be asked."""

from __future__ import annotations

import json

import pytest

from services.registry import SERVICES
from shared.settings import PREFIX
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import LOST, FakeServices, Reply, problem

AT = "2026-03-03T14:05:00Z"
ENTRY = {"what": "parked", "subject": "o-1", "count": 1, "since": AT, "command": "orderbus parked show", "reason": "x"}
LISTS = {
    "attention": ("/attention", "attention"),
    "parked list": ("/parked", "parked"),
    "undeliverable list": ("/undeliverable", "undeliverable"),
    "waiting": ("/operations", "operations"),
    "waiting --timers": ("/timers/late", "timers"),
    "waiting --paused": ("/destinations", "paused"),
}


@pytest.mark.parametrize("away", [LOST, problem(503, "busy", "The database is busy."), problem(403, "forbidden")])
def test_one_service_that_cannot_be_read_hides_no_other(
    away: Reply, services: FakeServices, orderbus: Orderbus
) -> None:
    for name in SERVICES:
        services.reply(name, "GET /attention", Reply({"attention": [ENTRY | {"subject": name}]}))
    services.reply("payments", "GET /attention", away)

    said, as_json = orderbus("attention"), orderbus("attention", "--json")

    assert (said.code, as_json.code) == (3, 3)
    assert all(name in said.out for name in ("checkout", "fulfillment", "notifications"))
    assert "What payments has is not shown: payments" in said.err
    assert len(json.loads(as_json.out)["attention"]) == len(SERVICES) - 1
    assert list(json.loads(as_json.out)["unread_services"]) == ["payments"]


def test_a_list_that_a_service_cannot_make_is_named(services: FakeServices, orderbus: Orderbus) -> None:
    for name in SERVICES:
        services.reply(name, "GET /attention", Reply({"attention": [], "unreadable": []}))
    assert orderbus("attention").err == "Nothing waits for staff.\n"
    partly = {"attention": [ENTRY], "unreadable": ["lost emails", "paused endpoints"]}
    services.reply("notifications", "GET /attention", Reply(partly))

    said, as_json = orderbus("attention"), orderbus("attention", "--json")

    assert (said.code, as_json.code) == (3, 3)
    assert "o-1" in said.out
    for what in ("lost emails", "paused endpoints"):
        assert f"What notifications has of {what} is not shown: a row there cannot be read." in said.err
    document = json.loads(as_json.out)
    assert (len(document["attention"]), document["unreadable"]) == (1, {"notifications": partly["unreadable"]})


@pytest.mark.parametrize("words", LISTS)
def test_no_list_calls_itself_empty_if_a_service_was_not_read(
    words: str, services: FakeServices, orderbus: Orderbus
) -> None:
    path, kind = LISTS[words]
    for name in SERVICES:
        services.reply(name, f"GET {path}", Reply({kind: [], "no_answer": []}))
    empty = orderbus(*words.split())
    services.reply("fulfillment", f"GET {path}", LOST)

    said = orderbus(*words.split())

    assert empty.code in (0, None) and empty.err.startswith("No")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("What fulfillment has is not shown: fulfillment at http")


@pytest.mark.parametrize("words", ["attention", "doctor", "order ORD-1", "refund ORD-1"])
def test_another_service_at_the_address_is_named(
    words: str, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    for name in SERVICES:
        services.reply(name, "GET /attention", Reply({"attention": []}))
        services.reply(name, "GET /ready", Reply({"ready": True, "missing": [], "progress": {}, "notes": []}))
    services.names["payments"] = "checkout"

    said = orderbus(*words.split())

    text = f"payments at {services.environment[f'{PREFIX}PAYMENTS__INTERNAL_URL']}: this is checkout. Correct "
    assert f"{text}{PREFIX}PAYMENTS__INTERNAL_URL" in said.out + said.err
    assert said.code in (1, 2, 3)
    assert services.sent() == []
    assert "payments" not in services.trusted


def test_only_an_address_that_says_what_it_is_gets_the_token(services: FakeServices, orderbus: Orderbus) -> None:
    """What answers may be the public host of downloads, or a proxy."""
    services.names["payments"] = "gateway"
    for name in SERVICES:
        services.reply(name, "GET /attention", Reply({"attention": []}))

    said = orderbus("attention")

    setting = f"{PREFIX}PAYMENTS__INTERNAL_URL"
    what = f"payments at {services.environment[setting]}: this does not say that it is payments. Correct {setting} or "
    assert (said.code, services.trusted) == (3, {*SERVICES} - {"payments"})
    assert what in said.err


def test_top_names_another_service_at_an_address(services: FakeServices, orderbus: Orderbus) -> None:
    for name in SERVICES:
        services.reply(name, "GET /metrics", Reply(text="orderbus_handled_total 1\n"))
        services.reply(name, "GET /ready", Reply({"ready": True, "missing": [], "progress": {}, "notes": []}))
    services.names["payments"] = "checkout"

    said = orderbus("top", "--once", "--json", "--every", "0.2")

    states = {row["worker"]: row["state"] for row in json.loads(said.out)["workers"]}
    assert states["payments"].startswith(f"this is checkout. Correct {PREFIX}PAYMENTS__INTERNAL_URL")
    assert [name for name, state in states.items() if state == "ready"] == [*SERVICES][:1] + [*SERVICES][2:]


@pytest.mark.parametrize("words", ["parked list", "undeliverable list", "waiting --timers", "waiting"])
def test_a_list_says_that_it_is_not_all(words: str, services: FakeServices, orderbus: Orderbus) -> None:
    path, kind = LISTS[words]
    for name in SERVICES:
        services.reply(name, f"GET {path}", Reply({kind: [], "next": None}))
    services.reply(
        "payments", f"GET {path}", Reply({kind: [], "next": "x"} if words == "waiting" else {kind: [], "more": True})
    )

    said, as_json = orderbus(*words.split()), orderbus(*words.split(), "--json")

    assert "payments has more than is shown here" in said.err
    assert (said.code, json.loads(as_json.out)["more_in"]) == (0, ["payments"])
