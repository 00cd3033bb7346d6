"""A decision made again is the same decision, and a message is known by its source and id."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Context, Decision, Message, Timer, derived_id, effect_id, hashed_id, mixed
from shared.shell.inbound.message import Inbound, Undecodable
from shared.shell.inbound.records import inbound_of
from shared.shell.operations import rules
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusRecord
from shared.simulation.memory_database import INBOX
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import Call, Count, Counted, Late, Meter, MeterRefused, Noticed, RepeatableCall, one_more

ID = derived_id(hashed_id("a test"), 1, START)


def much(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
    """Something of everything that has an id."""
    return replace(
        one_more(meter, message, context),
        operations=[Call("a"), Call("b")],
        commands=[("x", Count())],
        timers=[Timer(context.at + timedelta(hours=1), Late())],
    )


async def ids(harness: Harness) -> list[UUID]:
    timers = [row.id for row in harness.timers().values()]
    steps = [key[1] for key in harness.store.rows("steps")]  # type: ignore[index]
    return [
        *(one.envelope.id for one in harness.sent()),
        *(row.id for row in harness.open_operations()),
        *timers,
        *steps,
    ]


@pytest.mark.parametrize("identity", [ID, hashed_id("an Idempotency-Key")])
async def test_a_decision_made_again_at_another_time_gives_the_same_ids(identity: UUID) -> None:
    """As after the database was restored."""
    first, again = Harness(), Harness()
    for harness in (first, again):
        harness.when("much", much)
    message = replace(first.message("t-1", Count(what="much")), id=identity)
    await first.batch(message)
    again.later(days=30)
    await again.batch(message)

    found = await ids(first)
    assert found == await ids(again)
    assert len(set(found)) == len(found) == 6


async def test_what_a_timer_brings_about_has_the_same_ids_as_well() -> None:
    """Also when it is set for another moment the second time, because that follows from the handling's."""
    found = []
    for days in (0, 30):
        harness = Harness()
        harness.when("much", much)
        message = harness.message("t-1", Count(what="much"))
        harness.later(days=days)
        await harness.batch(message)
        (row,) = harness.timers().values()
        harness.later(hours=2)
        await harness.batch(harness.due(row))
        found.append([one.envelope.id for one in harness.sent("t-1")])
    assert found[0] == found[1]
    assert len(set(found[0])) == 2


async def test_a_timer_that_sets_itself_again_fires_under_another_id(harness: Harness) -> None:
    harness.when("much", much)
    seen = set()
    for _ in range(3):
        await harness.counts("t-1", "much")
        seen.add(harness.timers()["Late"].id)
    assert len(seen) == 3


async def test_a_fact_has_its_id_whatever_else_is_told_with_it() -> None:
    """Decided again, a message may meet another state: what it tells as before must be known as before."""
    told = []
    for more in ([], [Counted(count=7)]):
        harness = Harness()
        harness.when("x", Decision(Meter(), events=[*more], commands=[("t-9", Count())]))
        await harness.counts("t-1", "x")
        told.append(harness.sent("t-9")[0].envelope.id)
    assert told[0] == told[1]


@given(st.uuids(version=4), st.uuids(version=4), st.text(max_size=5), st.integers(0, 1000))
def test_an_effect_has_its_causes_time_and_tells_none_where_the_cause_tells_none(
    one: UUID, other: UUID, name: str, index: int
) -> None:
    timed, untimed = derived_id(one, 1, START), hashed_id(str(other))
    assert effect_id(timed, name, index).hex[:16] == timed.hex[:16]
    assert effect_id(timed, name, index).version == 7
    assert effect_id(untimed, name, index).version == 8
    assert effect_id(timed, name, index) != effect_id(timed, name, index + 1)
    assert mixed(mixed(timed, other.int), other.int) == timed
    assert mixed(timed, other.int).variant == timed.variant


# Source and id


def record(
    harness: Harness,
    *,
    source: str = "shop",
    key: str = "t-1",
    id: UUID = ID,
    what: str = "a",
    offset: int = 0,
    message: Message | None = None,
) -> Inbound:
    message = message or Count(what=what)
    envelope = Envelope(id=id, type=message.type, source=source, subject=key, time=START)
    headers = tuple(to_headers(envelope))
    found = inbound_of(
        harness.registry, BusRecord(message.topic.name, 0, offset, key.encode(), headers, encode(message), START)
    )
    assert found is not None
    assert not isinstance(found.message, Undecodable)
    return found


async def test_one_id_from_two_sources_is_two_messages(harness: Harness) -> None:
    for what in "ab":
        harness.when(what, one_more)
    done = await harness.batch(record(harness), record(harness, source="another shop", what="b"))

    assert (done.handled, done.duplicates, harness.meter("t-1")) == (2, 0, Meter(2))
    assert len({one.envelope.id for one in harness.sent()}) == 2
    assert {one.envelope.causation_id for one in harness.sent()} == {str(ID)}, "people look for the id that was sent"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("other", [{"key": "t-2"}, {"what": "b"}], ids=["another key", "another body"])
async def test_a_command_with_the_id_of_another_is_refused_once(
    harness: Harness, other: dict[str, str], *, together: bool
) -> None:
    for what in "ab":
        harness.when(what, one_more)
    first, second = record(harness), record(harness, offset=1, **other)  # type: ignore[arg-type]
    for batch in [[first, second, second]] if together else [[first], [second], [second]]:
        await harness.batch(*batch)
    await harness.batch(first, second)

    refused = [one for one in harness.events(other.get("key", "t-1")) if isinstance(one, MeterRefused)]
    assert [(one.code, one.command_id) for one in refused] == [("repeated_id", str(ID))]
    assert harness.meter("t-1") == Meter(1)
    assert harness.meter("t-2") is None


async def test_a_repetition_is_no_other_message(harness: Harness) -> None:
    harness.when("a", one_more)
    done = await harness.batch(record(harness), record(harness, offset=5))
    again = await harness.batch(record(harness, offset=6))

    assert (done.handled, done.duplicates, again.duplicates, again.reworded) == (1, 1, 1, [])


async def test_what_our_own_services_tell_again_in_other_words_is_dropped_and_counted(harness: Harness) -> None:
    for what in "ab":
        harness.when(what, one_more)
    harness.registry.siblings = frozenset({"shop"})
    await harness.batch(record(harness))
    other_words = record(harness, what="b")
    batcher = harness.batcher()
    await batcher.handle([other_words])

    assert [one.reworded for one in harness.done] == [[other_words]]
    assert (
        harness.metrics.registry.get_sample_value("orderbus_reworded_total", {"service": "meter", "worker": "meter-0"})
        == 1
    )
    assert harness.meter("t-1") == Meter(1)

    await harness.batch(record(harness, key="t-2"))
    assert [type(event) for event in harness.events("t-2")] == [MeterRefused], "under another key it is no repetition"


async def test_a_fact_with_the_id_of_another_is_parked_and_handled_when_staff_say_so(harness: Harness) -> None:
    """Under an identity of its own: what follows from it has other ids than what followed from the first."""
    first, second = (record(harness, message=Noticed(text=text), offset=n) for n, text in enumerate("ab"))
    await harness.batch(first)
    await harness.batch(second, second)
    assert harness.parked() == [("t-1", "failed")]
    assert harness.meter("t-1") == Meter(received=("a",))

    released = await Parking(harness.registry, harness.store, harness.batcher(), harness.clock).retry("t-1")
    assert (released.handled, released.error) == (1, "")
    assert harness.meter("t-1") == Meter(received=("a", "b"))
    assert len({one.envelope.id for one in harness.sent("t-1") if one.envelope.type == "meter.counted"}) == 2


# How long a key may be old


async def test_an_operation_of_an_old_cause_starts_in_doubt(harness: Harness) -> None:
    """Decided again a day later, by when the outside has forgotten the key under which it may have been done."""
    harness.when("toll", Decision(Meter(), operations=[RepeatableCall("a")]))
    old = replace(harness.message("t-1", Count(what="toll")), occurred=START - timedelta(hours=2))
    new = harness.message("t-2", Count(what="toll"))
    unknown = replace(harness.message("t-3", Count(what="toll")), occurred=None)
    await harness.batch(old, new, unknown)

    uncertain = {
        row.key: rules.in_doubt(row, RepeatableCall("a"), harness.clock.at) for row in harness.open_operations()
    }
    assert uncertain == {"t-1": True, "t-2": False, "t-3": True}


async def test_the_age_of_the_cause_goes_on_through_timers(harness: Harness) -> None:
    harness.when("much", much)
    old = replace(harness.message("t-1", Count(what="much")), occurred=START - timedelta(hours=2))
    await harness.batch(old)
    (row,) = harness.timers().values()

    assert row.occurred == row.due - (harness.clock.at - old.occurred) - timedelta(microseconds=1)  # type: ignore[operator]


# How long an id is known


async def test_an_id_is_kept_by_when_it_was_first_seen(harness: Harness) -> None:
    """The effect of a cause of 30 days ago: a refund, a webhook's last try, a parked message."""
    harness.when("a", one_more)
    harness.later(days=30)
    late = record(harness)
    await harness.batch(late)
    harness.later(days=8)
    await harness.store.housekeep(harness.clock.at, keep_days=9)
    again = await harness.batch(late)
    assert (again.duplicates, harness.meter("t-1")) == (1, Meter(1))

    harness.later(days=2)
    await harness.store.housekeep(harness.clock.at, keep_days=9)
    assert not harness.store.rows(INBOX)
