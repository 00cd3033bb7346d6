"""`orderbus monitor`: what is asked and shown."""

from __future__ import annotations

import orjson
import pytest

from deploy.cli import console
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

NORTH = {
    **{"store": "northwind", "orders": 4, "paid": 3, "failed": 0, "attempts": 5, "declined": 2, "refunds": 1},
    **{"revenue": {"EUR": 5997, "JPY": 500}, "refunded": {"EUR": 1999}},
}
FIGURES = {
    **{"first": "2026-03-03T11:46:00+00:00", "last": "2026-03-03T12:00:00+00:00", "complete": True, "lag": 0},
    "stores": [NORTH | {"conversion": 0.75, "decline_rate": 0.4, "failure_rate": None}],
    "minutes": [
        NORTH | {"minute": "2026-03-03T11:58:00+00:00", "orders": 1},
        NORTH | {"minute": "2026-03-03T11:59:00+00:00", "orders": 3},
    ],
}
ALERT = {
    **{
        "alert": "cards-ip-00",
        "store": "northwind",
        "what": "cards",
        "by": "ip",
        "count": 7,
        "limit": 4,
        "minutes": 60,
    },
    **{"raised": "2026-03-03T11:59:00+00:00", "first": "2026-03-03T11:40:00+00:00"},
    **{"last": "2026-03-03T11:59:00+00:00", "orders": ["o-1", "o-2", "o-3", "o-4"]},
}
NOTHING = FIGURES | {"stores": [], "minutes": [], "complete": False}


def given(services: FakeServices, figures: object = FIGURES, alerts: object = None) -> None:
    services.reply("monitor", "GET /monitor/live", Reply(figures))
    services.reply("monitor", "GET /monitor/alerts", Reply(alerts or {"alerts": [ALERT], "more": 0}))


def test_it_prints_the_tables(services: FakeServices, orderbus: Orderbus) -> None:
    given(services)
    said = orderbus("monitor", "--once", "--store", "northwind", "--minutes", "15")
    assert said.code == 0
    stores, alerts, minutes = (part.splitlines() for part in said.out.strip().split("\n\n"))
    assert stores[1].split() == ["northwind", "4", "75.0%", "40.0%", "59.97", "EUR,", "500", "JPY", "19.99", "EUR"]
    assert alerts[0].split() == ["store", "what", "by", "count", "since", "latest", "orders"]
    assert alerts[1].split()[:4] == ["northwind", "cards", "ip", "7"]
    assert alerts[1].endswith("o-1 o-2 o-3")
    assert [row.split()[2] for row in minutes[1:]] == ["3", "1"], "the last minute first"


def test_it_prints_everything_as_json(services: FakeServices, orderbus: Orderbus) -> None:
    given(services)
    assert orjson.loads(orderbus("monitor", "--json").out) == FIGURES | {"alerts": [ALERT], "more": 0}


def test_it_says_when_there_is_nothing_or_not_yet_all(services: FakeServices, orderbus: Orderbus) -> None:
    given(services, NOTHING, {"alerts": [], "more": 3})
    said = orderbus("monitor", "--once")
    assert (said.code, said.out) == (0, "")
    assert said.err == (
        "Nothing happened in these minutes.\n"
        "The monitor is still reading what was there when it started: there will be more.\n"
        "There are 3 more alerts: name a store.\n"
    )


def test_a_narrow_terminal_is_told_what_is_left_out(
    services: FakeServices, orderbus: Orderbus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "terminal_width", lambda: 80)
    given(services)
    said = orderbus("monitor", "--once")
    assert max(map(len, said.out.splitlines())) <= 80
    assert "too narrow for" in said.err and "refunds" in said.err
