"""Records that this version could not read are known by their places; once they can be read, by source and id as all
others: each message is handled once, however many copies of it were parked or come later."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Message
from shared.shell.inbound.message import Inbound, Undecodable
from shared.shell.inbound.records import inbound_of
from shared.shell.parking import Parking, Released
from shared.shell.ports.bus import BusRecord
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import Count, Meter, MeterRefused, Noticed, one_more
from tests.unit.shell.test_identity import ID


@pytest.fixture
def harness() -> Harness:
    harness = Harness()
    for what in "ab":
        harness.when(what, one_more)
    return harness


def inbounds(harness: Harness, *messages: Message, first: int = 0) -> list[Inbound]:
    """All under one id, each at an offset of its own."""
    found = []
    for offset, message in enumerate(messages, first):
        envelope = Envelope(id=ID, type=message.type, source="shop", subject="t-1", time=START)
        headers = tuple(to_headers(envelope))
        record = BusRecord(message.topic.name, 0, offset, b"t-1", headers, encode(message), START)
        inbound = inbound_of(harness.registry, record)
        assert inbound is not None
        found.append(inbound)
    return found


async def parked(harness: Harness, monkeypatch: pytest.MonkeyPatch, *messages: Message) -> None:
    """By a version that does not know their types."""

    def unknown(envelope: Envelope) -> type[Message]:
        raise ValueError(f"unknown message {envelope.type}")

    with monkeypatch.context() as old:
        old.setattr("shared.shell.inbound.records.message_type", unknown)
        unread: Sequence[Inbound] = inbounds(harness, *messages)
    assert all(isinstance(inbound.message, Undecodable) for inbound in unread)
    await harness.batch(*unread)
    assert len(harness.parked()) == len(messages)


async def retried(harness: Harness) -> Released:
    return await Parking(harness.registry, harness.store, harness.batcher(), harness.clock).retry("t-1")


async def test_two_copies_of_a_command_are_handled_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await parked(harness, monkeypatch, Count(what="a"), Count(what="a"))
    assert (await retried(harness)).error == ""
    done = await harness.batch(*inbounds(harness, Count(what="a"), first=9))

    assert (harness.meter("t-1"), done.duplicates, harness.parked()) == (Meter(1), 1, [])


async def test_a_copy_that_could_be_read_comes_first(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await harness.batch(*inbounds(harness, Count(what="a"), first=9))
    await parked(harness, monkeypatch, Count(what="a"))
    assert (await retried(harness)).error == ""
    assert (harness.meter("t-1"), harness.parked()) == (Meter(1), [])


async def test_what_follows_has_the_ids_that_it_would_have_had(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Harness()
    other.when("a", one_more)
    await other.batch(*inbounds(other, Count(what="a")))
    await parked(harness, monkeypatch, Count(what="a"))
    await retried(harness)
    assert [one.envelope.id for one in harness.sent("t-1") if one.envelope.type == "meter.counted"] == [
        one.envelope.id for one in other.sent("t-1")
    ]


async def test_a_command_that_says_something_else_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await parked(harness, monkeypatch, Count(what="a"), Count(what="b"))
    assert (await retried(harness)).error == ""
    assert harness.meter("t-1") == Meter(1)
    assert [one.code for one in harness.events("t-1") if isinstance(one, MeterRefused)] == ["repeated_id"]


async def test_a_fact_that_says_something_else_is_handled_for_that_is_asked_for(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parked(harness, monkeypatch, Noticed(text="a"), Noticed(text="b"), Noticed(text="b"))
    assert (await retried(harness)).error == ""
    assert (harness.meter("t-1"), harness.parked()) == (Meter(received=("a", "b")), [])


async def test_one_that_was_released_by_others_meanwhile_is_left_alone(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parked(harness, monkeypatch, Count(what="a"))
    (row,) = await harness.store.parked("t-1")
    parking = Parking(harness.registry, harness.store, harness.batcher(), harness.clock)
    again = parking._inbound(row)
    assert again is not None
    await parking.retry("t-1")
    done = await harness.batch(again)
    assert (harness.meter("t-1"), done.handled) == (Meter(1), 0)
