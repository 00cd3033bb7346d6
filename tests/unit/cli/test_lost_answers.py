"""Commands whose answers are lost: what is said then, and what a repetition does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

from deploy.cli import publish
from deploy.cli.commands import COMMANDS, Command, Group, single
from deploy.cli.group import loaded
from deploy.cli.publish import message_id
from deploy.client.storefront import KafkaUnreachable, Published, uuid7
from shared.core import Message
from shared.core.ids import NIL, time_of, uuid_from
from shared.settings import PREFIX
from tests.unit.cli.conftest import Orderbus
from tests.unit.cli.services import LOST, FakeServices, Reply, problem

REFUND = "POST /orders/o-1/refund"
ACCEPTED = Reply({"accepted": True, "id": "m-1", "duplicate": False}, 202)
BUSY = problem(503, "busy", "Not committed in time, but it may be later.")

KEYED = {
    *(
        "refund",
        "record-payment",
        "accept",
        "reopen",
        "decline",
        "cancel",
        "ship",
        "retry",
        "complete",
        "note",
        "hand-in",
        "answer",
        "resend",
        "replay",
        "resume-webhook",
        "add-codes",
        "codes pool",
        "codes provide",
    ),
    *("settle payment", "settle refund", "settle mail", "settle item", "publish", "stock set", "stock receive"),
    *("stock adjust", "delivery mark-delivered", "delivery resend", "delivery revoke", "delivery grant-again"),
    *("customers erase", "stores set", "products set", "webhooks add", "webhooks remove", "webhooks pause"),
    *(
        "delivery renew",
        "delivery attach",
        "delivery hold",
        "delivery release",
        "delivery start",
        "delivery return",
        "delivery parcel-delivered",
    ),
}
HARMLESS = {
    *("parked retry", "parked skip", "undeliverable retry", "undeliverable drop", "resume", "feed", "shop"),
    *("reclaim-codes", "republish", "restore", "migrate", "secrets set", "secrets remove", "discord configure"),
    *("servers set", "servers test", "carriers set", "carriers remove"),
    *("codes import", "files put", "files remove", "staff rebuild", "staff invite"),
}
"""What they name is changed once, however often they are repeated."""
READING = {
    *("top", "doctor", "env", "check", "attention", "orders", "order", "watch", "lost", "waiting", "up", "run", "demo"),
    *("simulate", "bench", "parked list", "parked show", "undeliverable list", "undeliverable show", "payments owed"),
    *("secrets list", "servers list", "carriers list", "files list", "discord test", "stock list", "stock history"),
    *(
        "abandoned",
        "completion",
        "customers export",
        "delivery downloads",
        "monitor",
        "staff compare",
        "staff verify-audit",
    ),
    *("webhooks list", "products list", "stores list", "stores show", "stores history"),
}


def key_in(text: str) -> str:
    found = re.search(r"--idempotency-key ([!-~]+)`", text)
    assert found, text
    return found[1]


@pytest.mark.parametrize("answer", [LOST, BUSY, problem(500, "internal"), Reply("<html>", 502), Reply("<html>")])
def test_a_refund_that_may_have_been_made_is_not_called_unreachable(
    answer: Reply, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("payments", REFUND, answer)

    said = orderbus("refund", order, "--amount", "10.00")

    assert said.code == 4
    assert said.err.startswith("It is not known whether the refund was made: payments")
    assert "Look at `orderbus order ORD-1`" in said.err and "it then takes effect once" in said.err
    assert "is it running" not in said.err
    assert {one.key for one in services.sent()} == {key_in(said.err)}


def test_ctrl_c_while_the_answer_is_awaited(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", REFUND, Reply(interrupts=True))
    said = orderbus("refund", order)
    assert (said.code, "interrupted before the answer came" in said.err) == (4, True)
    assert key_in(said.err) == services.sent()[0].key


def test_a_repetition_is_the_same_command(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", REFUND, LOST)
    key = key_in(orderbus("refund", order, "--amount", "10.00").err)
    services.reply("payments", REFUND, ACCEPTED)

    said = orderbus("refund", order, "--amount", "10.00", "--idempotency-key", key)

    assert said.code in (0, None) and "accepted" in said.err
    assert len({(one.key, str(one.body)) for one in services.sent()}) == 1


def test_what_was_never_connected_was_not_done(
    services: FakeServices, orderbus: Orderbus, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PAYMENTS__INTERNAL_URL", "http://127.0.0.1:9")

    said = orderbus("refund", order)

    assert (said.code, "payments at http://127.0.0.1:9 cannot be reached" in said.err) == (1, True)


@pytest.mark.parametrize("first", [LOST, BUSY, problem(429, "too_many_requests"), problem(502, "bad_gateway")])
def test_a_passing_failure_is_tried_again_under_the_same_key(
    first: Reply, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("payments", REFUND, first, ACCEPTED)

    assert orderbus("refund", order).code in (0, None)
    assert [one.key for one in services.sent()] == [services.sent()[0].key] * 2


def test_as_late_as_the_service_asks_for(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    retry_after = {"Retry-After": "2"}
    services.reply("payments", REFUND, Reply({"code": "too_many_requests"}, 429, retry_after), ACCEPTED)

    assert orderbus("refund", order).code in (0, None)
    first, second = services.sent()
    assert second.at - first.at >= 2


def test_too_many_requests_is_a_certain_no(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", REFUND, problem(429, "too_many_requests", "Too many requests."))
    said = orderbus("refund", order)
    assert (said.code, "Too many requests" in said.err) == (1, True)


def test_a_refusal_after_a_lost_answer_is_certain(services: FakeServices, orderbus: Orderbus, order: str) -> None:
    services.reply("payments", REFUND, LOST, problem(409, "too_much", "More than is left."))
    said = orderbus("refund", order)
    assert (said.code, "More than is left" in said.err) == (1, True)


@pytest.mark.parametrize(
    "later",
    [
        *(problem(409, code) for code in ("parked", "newer", "outcome_forgotten")),
        *(problem(401, "unauthorized"), problem(404, "not_found"), problem(429, "x")),
    ],
)
def test_what_says_nothing_of_the_lost_try_leaves_it_unknown(
    later: Reply, services: FakeServices, orderbus: Orderbus, order: str
) -> None:
    services.reply("payments", REFUND, LOST, later)
    assert orderbus("refund", order).code == 4


@pytest.mark.parametrize(
    ("arguments", "service", "request_", "look"),
    [
        ("accept ORD-1", "checkout", "POST /orders/o-1/accept", "orderbus order ORD-1"),
        ("reopen ORD-1", "checkout", "POST /orders/o-1/reopen", "orderbus order ORD-1"),
        ("decline ORD-1", "checkout", "POST /orders/o-1/decline", "orderbus order ORD-1"),
        ("cancel ORD-1", "checkout", "POST /orders/o-1/cancel", "orderbus order ORD-1"),
        ("complete ORD-1", "checkout", "POST /orders/o-1/complete", "orderbus order ORD-1"),
        ("ship ORD-1 --carrier x --tracking y", "fulfillment", "POST /orders/o-1/ship", "orderbus order ORD-1"),
        ("retry ORD-1", "fulfillment", "POST /orders/o-1/retry", "orderbus order ORD-1"),
        ("resend ORD-1", "notifications", "POST /orders/o-1/mails/resend", "orderbus order ORD-1"),
        ("replay ORD-1", "notifications", "POST /orders/o-1/webhooks/replay", "orderbus order ORD-1"),
        (
            "resend --store maple --since 3d",
            "notifications",
            "POST /stores/maple/lost/mails/resend",
            "orderbus lost maple",
        ),
        (
            "resume-webhook maple we_1",
            "notifications",
            "POST /stores/maple/webhooks/we_1/resume",
            "orderbus lost maple --webhooks",
        ),
        (
            "codes pool maple games --low-water 5",
            "fulfillment",
            "PUT /stores/maple/pools/games",
            "orderbus attention",
        ),
        (
            "codes provide ORD-1 2 ABC --reason Lost",
            "fulfillment",
            "POST /orders/o-1/provide-code",
            "orderbus order ORD-1",
        ),
        ("add-codes maple games FILE", "fulfillment", "POST /stores/maple/pools/games/codes", "orderbus attention"),
        (
            "record-payment ORD-1 --method cash",
            "payments",
            "POST /orders/o-1/record-payment",
            "orderbus order ORD-1",
        ),
        (
            "settle payment ORD-1 captured --reason x --reference pi_1 --attempt 2",
            "payments",
            "POST /orders/o-1/settle",
            "--attempt 2",
        ),
        (
            "settle refund ORD-1 refunded --reason x --reference re_1 --refund r",
            "payments",
            "POST /orders/o-1/settle",
            "--refund r",
        ),
        (
            "settle mail ORD-1 sent --reason x --message m",
            "notifications",
            "POST /orders/o-1/mails/settle",
            "--message m",
        ),
        (
            "customers erase ada@maple.example --store maple --yes",
            "staff",
            "POST /api/v1/stores/maple/customers/erase",
            "orderbus customers export ada@maple.example --store maple",
        ),
        ("settle item ORD-1 delivered --reason x --item 1", "fulfillment", "POST /orders/o-1/settle", "--item 1"),
    ],
)
def test_every_command_says_where_to_look_and_how_to_repeat(
    arguments: str,
    service: str,
    request_: str,
    look: str,
    services: FakeServices,
    orderbus: Orderbus,
    order: str,
    store: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "codes").write_text("A\nB\n")
    services.reply(service, request_, LOST)
    words = arguments.replace("FILE", str(tmp_path / "codes")).split()

    said = orderbus(*words)

    assert (said.code, look in said.err) == (4, True), said.err
    key = re.search("--idempotency-key ([0-9a-f-]{36})", said.err)
    assert key and all(one.key.startswith(key[1]) for one in services.sent())


def test_a_period_is_repeated_as_it_was(services: FakeServices, orderbus: Orderbus, store: str) -> None:
    services.reply("notifications", "POST /stores/maple/lost/mails/resend", LOST)
    said = orderbus("resend", "--store", store, "--since", "3d")
    assert f"--since {services.sent()[0].body['since']} --idempotency-key" in said.err


PARKED = {"parked": [{"id": 17, "key": "o-1"}, {"id": 18, "key": "o-1"}]}


def test_a_message_is_skipped_once_though_the_answer_is_lost(services: FakeServices, orderbus: Orderbus) -> None:
    released = Reply({"handled": 1, "error": "", "skipped": True})
    services.reply("payments", "GET /parked/o-1", Reply(PARKED))
    services.reply("payments", "POST /parked/o-1/skip", LOST, released)

    assert orderbus("parked", "skip", "o-1", "--service", "payments").code in (0, None)
    assert [one.body for one in services.sent()] == [{"id": 17}] * 2

    services.reply("payments", "POST /parked/o-1/skip", LOST)
    said = orderbus("parked", "skip", "o-1")
    assert (said.code, "--service payments --id 17" in said.err) == (4, True)
    services.reply("payments", "GET /parked/o-1", Reply({"parked": PARKED["parked"][1:]}))
    services.reply("payments", "POST /parked/o-1/skip", Reply({"handled": 0, "error": "", "skipped": False}))
    again = orderbus("parked", "skip", "o-1", "--service", "payments", "--id", "17")
    assert (services.sent()[-1].body, "0 skipped" in again.err) == ({"id": 17}, True)


@pytest.mark.parametrize(
    ("arguments", "service", "request_"),
    [
        ("parked retry o-1", "payments", "POST /parked/o-1/retry"),
        ("undeliverable retry payments 8", "payments", "POST /undeliverable/8/retry"),
        ("undeliverable drop payments 8", "payments", "POST /undeliverable/8/drop"),
        ("resume payments stripe", "payments", "POST /destinations/stripe/resume"),
    ],
)
def test_what_may_be_repeated_as_it_is_says_so(
    arguments: str, service: str, request_: str, services: FakeServices, orderbus: Orderbus
) -> None:
    services.reply("payments", "GET /parked/o-1", Reply(PARKED))
    services.reply("payments", "GET /undeliverable/8", Reply({"id": 8}))
    services.reply(service, request_, LOST)
    said = orderbus(*arguments.split())
    assert (said.code, "repeat it: that does no harm" in said.err) == (4, True)


@pytest.mark.parametrize("key", ["a b", "é", "x" * 151, "a\nb"])
def test_what_is_no_key_is_refused(key: str, services: FakeServices, orderbus: Orderbus, order: str) -> None:
    said = orderbus("refund", order, "--idempotency-key", key)
    assert (said.code, services.sent()) == (64, [])


def test_a_file_published_again_under_its_key_has_the_same_ids() -> None:
    key = str(uuid7())
    first = [message_id(key, index) for index in range(3)]
    assert first == [message_id(key, index) for index in range(3)] and len(set(first)) == 3
    assert {time_of(one) for one in first} == {time_of(uuid_from(key) or NIL)}
    assert message_id("our-batch-7", 0) == message_id("our-batch-7", 0) != message_id("our-batch-8", 0)


class Silent:
    """Kafka, of which only the connection is there."""

    def __init__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Silent:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def publish(self, message: Message, key: str, *, identity: UUID) -> Published:
        raise KafkaUnreachable("Kafka did not take a record.")


def test_messages_that_kafka_may_have_taken(
    services: FakeServices, orderbus: Orderbus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(publish, "Storefront", Silent)
    monkeypatch.setattr(publish, "Reader", Silent)
    opened = {"type": "checkout.opened", "order": "o-1", "data": {"store": "northwind", "currency": "EUR"}}
    (tmp_path / "file").write_text(json.dumps(opened))
    said = orderbus("publish", str(tmp_path / "file"))
    assert (said.code, "It is not known whether all messages were published" in said.err) == (4, True)
    assert key_in(said.err)[14] == "7"


def test_every_command_has_a_key_or_needs_none() -> None:
    keyed, known = set(), set()
    for entry in (entry for section in COMMANDS for entry in section.commands):
        group = f"{entry.name} " if isinstance(entry, Group) else ""
        for command in single([entry]):
            assert isinstance(command, Command)
            known.add(group + command.name)
            if any(parameter.name == "idempotency_key" for parameter in loaded(command).params):
                keyed.add(group + command.name)
    assert keyed == KEYED
    assert known - keyed == HARMLESS | READING
