"""`orderbus webhooks`: what is sent and shown."""

from __future__ import annotations

import re

import pytest

from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import FakeServices, Reply

URL = "https://crm.example/hook"
ENDPOINT = {"endpoint": "we_1", "url": URL, "events": ["order.updated"], "paused": True, "reason": "gone", "since": ""}


@pytest.fixture(autouse=True)
def a_store(services: FakeServices) -> None:
    services.reply("checkout", "GET /stores/maple", Reply({"id": "maple"}))
    services.reply("notifications", "GET /stores/maple/webhooks", Reply({"webhooks": [ENDPOINT]}))


def test_an_endpoint_is_registered_and_its_secret_shown(services: FakeServices, orderbus: Orderbus) -> None:
    made = ENDPOINT | {"secret": "whsec_abc", "duplicate": False}
    services.reply("notifications", "POST /stores/maple/webhooks", Reply(made, 201))

    said = orderbus("webhooks", "add", "maple", URL, "--event", "order.updated", "--event", "order.refunded")

    assert (said.code, said.out) == (0, "whsec_abc\n")
    assert [one.body for one in services.sent("POST")] == [{"url": URL, "events": ["order.updated", "order.refunded"]}]


def test_a_second_endpoint_of_a_url_is_told(services: FakeServices, orderbus: Orderbus) -> None:
    made = ENDPOINT | {"endpoint": "we_9", "secret": "whsec_abc", "duplicate": False}
    services.reply("notifications", "POST /stores/maple/webhooks", Reply(made, 201))

    said = orderbus("webhooks", "add", "maple", URL, "--event", "order.updated")

    assert "we_1 has the same URL: each event comes twice. orderbus webhooks remove maple we_1" in said.err
    assert said.out == "whsec_abc\n"


def test_nothing_is_registered_for_a_store_that_does_not_exist(services: FakeServices, orderbus: Orderbus) -> None:
    services.reply("checkout", "GET /stores/marple", Reply({"title": "There is no such store."}, 404))

    said = orderbus("webhooks", "add", "marple", URL, "--event", "order.updated")

    assert (said.code, said.err) == (64, "There is no store marple.\n")
    assert services.sent("POST") == []


def test_they_are_listed_with_the_reason_of_a_pause(orderbus: Orderbus) -> None:
    said = orderbus("webhooks", "list", "maple")
    for part in ("we_1", "paused: gone", "order.updated", URL):
        assert part in said.out


def test_one_that_accepts_nothing_is_listed_with_its_answer(services: FakeServices, orderbus: Orderbus) -> None:
    late = {"waiting": 3, "waiting_since": "2026-03-03T14:05:00Z", "error": "HTTP 401"}
    active = ENDPOINT | {"paused": False, "reason": ""}
    listed = [active | late, active | {"endpoint": "we_2"}]
    services.reply("notifications", "GET /stores/maple/webhooks", Reply({"webhooks": listed}))
    _, first, second = orderbus("webhooks", "list", "maple").out.splitlines()
    assert re.search(r"^we_1 +late since 2026-03-03 ..:05:00: HTTP 401 \(3 deliveries\) ", first)
    assert second.split()[:2] == ["we_2", "active"]


def test_one_is_paused_and_removed(services: FakeServices, orderbus: Orderbus) -> None:
    accepted = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
    services.reply("notifications", "POST /stores/maple/webhooks/we_1/pause", accepted)
    services.reply("notifications", "DELETE /stores/maple/webhooks/we_1", accepted)

    assert orderbus("webhooks", "pause", "maple", "we_1", "--reason", "maintenance").code == 0
    assert orderbus("webhooks", "remove", "maple", "we_1").code == 0
    assert orderbus("webhooks", "remove", "maple", "we_2").code == 64

    assert [one.body for one in services.sent("POST")] == [{"reason": "maintenance"}]
    assert len(services.sent("DELETE")) == 1
