"""The feed of a store's staff, and of a customer."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

FEED, MARK = "GET /feeds/maple~staff", "POST /feeds/maple~staff/read"


def page(count: int, unread: int) -> Reply:
    at = "2026-03-03T14:05:00Z"
    entries = [{"id": f"e-{n}", "at": at, "number": "ORD-1", "title": "New", "text": ""} for n in range(count)]
    return Reply({"entries": entries, "unread": unread, "next": None})


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_only_what_was_shown_is_marked(options: list[str], services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("notifications", FEED, page(200, 235))
    services.reply("notifications", MARK, Reply({"changed": 200, "unread": 35}))
    said = orderbus("feed", "maple", "--read", *options)
    assert [one.body for one in services.sent()] == [{"ids": [f"e-{n}" for n in range(200)]}]
    assert said.out.count("ORD-1") == 200


@pytest.mark.parametrize(
    ("unread", "said"),
    [
        (2, ""),
        (3, "1 older entry is unread, too"),
        (5, "3 older entries are unread, too"),
        (1000, "At least 998 older entries"),
    ],
)
def test_it_says_how_many_it_does_not_show(unread: int, said: str, services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("notifications", FEED, page(2, unread))
    assert orderbus("feed", "maple").err.startswith(said)
    assert services.sent() == []


CUSTOMER = "GET /feeds/maple~customer~ada@customers.example"


def test_a_customers_feed(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("notifications", CUSTOMER, page(2, 2))
    services.reply("notifications", CUSTOMER.replace("GET", "POST") + "/archive", Reply({"changed": 2, "unread": 0}))
    said = orderbus("feed", "maple", "--customer", "ada@customers.example", "--archive")
    assert said.out.count("ORD-1") == 2
    assert [(one.path.rpartition("/")[2], one.body) for one in services.sent()] == [
        ("archive", {"ids": ["e-0", "e-1"]})
    ]


@pytest.mark.parametrize(
    ("option", "unread", "archived"), [("--read", "1", "0"), ("--all", "0", "0"), ("--archived", "0", "1")]
)
def test_which_entries_are_asked_for(
    option: str, unread: str, archived: str, services: FakeServices, orderbus: Orderbus
) -> None:
    services.reply("notifications", FEED, page(0, 0))
    orderbus("feed", "maple", option)
    query = next(one.query for one in services.received if one.path == "/feeds/maple~staff")
    assert (query["unread"], query["archived"]) == (unread, archived)


def test_what_is_archived_is_not_archived_again(services: FakeServices, orderbus: Orderbus) -> None:
    assert "leave --archive out" in orderbus("feed", "maple", "--archived", "--archive").err
    assert services.received == []
