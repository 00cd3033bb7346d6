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
from tests.unit.shell.tally import Count, Struck, Tally, TallyRefused, one_more
from tests.unit.shell.test_identity import ID
from tests.unit.shell.world import START, World


@pytest.fixture
def world() -> World:
    world = World()
    for what in "ab":
        world.when(what, one_more)
    return world


def inbounds(world: World, *messages: Message, first: int = 0) -> list[Inbound]:
    """All under one id, each at an offset of its own."""
    found = []
    for offset, message in enumerate(messages, first):
        envelope = Envelope(id=ID, type=message.type, source="shop", subject="t-1", time=START)
        headers = tuple(to_headers(envelope))
        record = BusRecord(message.topic.name, 0, offset, b"t-1", headers, encode(message), START)
        inbound = inbound_of(world.registry, record)
        assert inbound is not None
        found.append(inbound)
    return found


async def parked(world: World, monkeypatch: pytest.MonkeyPatch, *messages: Message) -> None:
    """By a version that does not know their types."""

    def unknown(envelope: Envelope) -> type[Message]:
        raise ValueError(f"unknown message {envelope.type}")

    with monkeypatch.context() as old:
        old.setattr("shared.shell.inbound.records.message_type", unknown)
        unread: Sequence[Inbound] = inbounds(world, *messages)
    assert all(isinstance(inbound.message, Undecodable) for inbound in unread)
    await world.batch(*unread)
    assert len(world.parked()) == len(messages)


async def retried(world: World) -> Released:
    return await Parking(world.registry, world.store, world.batcher(), world.clock).retry("t-1")


async def test_two_copies_of_a_command_are_handled_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await parked(world, monkeypatch, Count(what="a"), Count(what="a"))
    assert (await retried(world)).error == ""
    done = await world.batch(*inbounds(world, Count(what="a"), first=9))

    assert (world.tally("t-1"), done.duplicates, world.parked()) == (Tally(1), 1, [])


async def test_a_copy_that_could_be_read_comes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.batch(*inbounds(world, Count(what="a"), first=9))
    await parked(world, monkeypatch, Count(what="a"))
    assert (await retried(world)).error == ""
    assert (world.tally("t-1"), world.parked()) == (Tally(1), [])


async def test_what_follows_has_the_ids_that_it_would_have_had(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = World()
    other.when("a", one_more)
    await other.batch(*inbounds(other, Count(what="a")))
    await parked(world, monkeypatch, Count(what="a"))
    await retried(world)
    assert [one.envelope.id for one in world.sent("t-1") if one.envelope.type == "tally.counted"] == [
        one.envelope.id for one in other.sent("t-1")
    ]


async def test_a_command_that_says_something_else_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await parked(world, monkeypatch, Count(what="a"), Count(what="b"))
    assert (await retried(world)).error == ""
    assert world.tally("t-1") == Tally(1)
    assert [one.code for one in world.events("t-1") if isinstance(one, TallyRefused)] == ["repeated_id"]


async def test_a_fact_that_says_something_else_is_handled_for_that_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parked(world, monkeypatch, Struck(text="a"), Struck(text="b"), Struck(text="b"))
    assert (await retried(world)).error == ""
    assert (world.tally("t-1"), world.parked()) == (Tally(heard=("a", "b")), [])


async def test_one_that_somebody_else_released_meanwhile_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parked(world, monkeypatch, Count(what="a"))
    (row,) = await world.store.parked("t-1")
    parking = Parking(world.registry, world.store, world.batcher(), world.clock)
    again = parking._inbound(row)
    assert again is not None
    await parking.retry("t-1")
    done = await world.batch(again)
    assert (world.tally("t-1"), done.handled) == (Tally(1), 0)
