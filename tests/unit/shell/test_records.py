"""What a record becomes: a message for the core, something to park or refuse, or nothing at all."""

from __future__ import annotations

import pytest

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Command, Message, Topic, derived_id, hashed_id
from shared.shell.inbound.message import Inbound, Malformed, Undecodable
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import COMMANDS, EVENTS, NOTICES, Count, Counted, Noticed


def record(message: Message, topic: Topic, body: bytes | None = None, **headers: bytes | None) -> BusRecord:
    """A record of the message; `headers` replaces some, or with None leaves them out."""
    identity = derived_id(hashed_id("a test"), 1, START)
    envelope = Envelope(identity, type(message).type, "shop", "t-1", START)
    pairs = {**dict(to_headers(envelope)), **headers}
    kept = tuple((name, value) for name, value in pairs.items() if value is not None)
    return BusRecord(topic.name, 0, 7, b"t-1", kept, encode(message) if body is None else body, START)


def read(harness: Harness, found: BusRecord) -> Inbound | None:
    return inbound_of(harness.registry, found)


def test_our_message_is_read(harness: Harness) -> None:
    inbound = read(harness, record(Count(what="x"), COMMANDS))

    assert inbound is not None
    assert inbound.message == Count(what="x")
    assert inbound.key == "t-1"


@pytest.mark.parametrize("body", [None, b"not JSON"])
def test_a_fact_that_is_not_handled_is_nothing_whatever_it_says(harness: Harness, body: bytes | None) -> None:
    assert read(harness, record(Counted(count=1), EVENTS, body)) is None
    assert read(harness, record(Counted(count=1), EVENTS, body, ce_id=b"no id")) is None


def test_a_command_on_a_topic_where_it_does_not_belong_is_parked_where_facts_are_awaited(harness: Harness) -> None:
    inbound = read(harness, record(Count(), NOTICES))

    assert inbound is not None
    error = "meter.count does not belong on this topic, but on meter.commands.v1"
    assert inbound.message == Undecodable("meter.count", error)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"ce_type": None}, "header ce_type is missing"), ({"ce_id": b"no id"}, "header ce_id is not a UUID")],
)
def test_a_fact_that_cannot_be_read_is_parked_with_the_reason(
    harness: Harness, changes: dict[str, bytes | None], problem: str
) -> None:
    inbound = read(harness, record(Noticed(), NOTICES, **changes))

    assert inbound is not None
    assert isinstance(inbound.message, Undecodable)
    assert problem in inbound.message.error
    assert inbound.key == "t-1"


def test_a_command_with_a_wrong_body_is_to_be_refused(harness: Harness) -> None:
    inbound = read(harness, record(Count(), COMMANDS, b'{"what": 1}'))

    assert inbound is not None
    assert isinstance(inbound.message, Malformed)
    assert [problem.field for problem in inbound.message.problems] == ["what"]


class Order(Command, type="meter.order", topic=COMMANDS):
    """A command whose body names a store."""

    store: str = "north"


@pytest.mark.parametrize("header", [None, b"north"])
def test_the_header_may_say_the_store_of_the_body_or_nothing(harness: Harness, header: bytes | None) -> None:
    harness.registry._handlers[Order] = harness.registry.handler(Count)
    inbound = read(harness, record(Order(), COMMANDS, ce_store=header))
    assert inbound is not None
    assert inbound.message == Order()


def test_a_command_whose_header_names_another_store_than_its_body_is_to_be_refused(harness: Harness) -> None:
    harness.registry._handlers[Order] = harness.registry.handler(Count)
    inbound = read(harness, record(Order(), COMMANDS, ce_store=b"south"))
    assert inbound is not None
    assert isinstance(inbound.message, Malformed)
    assert [(problem.field, problem.code) for problem in inbound.message.problems] == [("store", "other_store")]
