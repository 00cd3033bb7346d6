"""Calls to the outside: leased, performed, asked about when in doubt, and given up in the end."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import Decision, NotDone, NotTried, Operation, Outcome, Retry, Unknown
from shared.shell.inbound.message import Meta
from shared.shell.operations.rules import Ended
from shared.shell.ports.clock import back_off
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import Writes
from tests.unit.shell.office import Office, heard
from tests.unit.shell.tally import Count, Found, Knock, Ring, Tally, Toll
from tests.unit.shell.world import World, breathe


async def test_an_operation_is_performed_and_its_outcome_handled(world: World, office: Office) -> None:
    await office.wants(Ring("a"))
    assert (world.bell.asked, heard(world), world.wanted()) == ([("perform", "a")], ("rang",), [])


async def test_a_retry_waits_keeps_its_key_and_gives_up_at_its_deadline(world: World, office: Office) -> None:
    world.bell.replies = [Retry("busy"), Retry("busy"), Retry("still busy")]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=3)
    assert len(world.bell.asked) == 1, "at least half of the first delay of 8 s"
    await office.comes_back(seconds=6)
    assert len(world.bell.asked) == 2
    await office.comes_back(seconds=5)
    assert (len(world.bell.asked), heard(world)) == (2, ()), "a second is left"
    await office.comes_back(seconds=1.1)

    assert world.bell.asked == [("perform", "a")] * 3
    assert len(world.bell.keys) == 1
    assert heard(world) == ("given up after 3 attempts: still busy",)


async def test_what_was_never_tried_is_never_given_up(world: World, office: Office) -> None:
    """A circuit that is open, a pause: however often, and however long."""
    world.bell.replies = [NotTried("paused")] * 50
    await office.wants(Ring("a"))
    for _ in range(49):
        await office.comes_back(minutes=2)
    (row,) = world.wanted()
    assert (row.attempts, row.in_doubt, row.error, row.history) == (0, False, "paused", b"[]")
    await office.comes_back(minutes=2)
    assert heard(world) == ("rang",)


async def test_doubt_outlives_retries(world: World, office: Office) -> None:
    """A lost answer, then a certain no: the first call may still have been carried out."""
    world.bell.replies = [Unknown("lost"), Retry("busy"), NotTried("paused"), Retry("busy")]
    await office.wants(Toll("a"))
    for _ in range(3):
        await office.comes_back(minutes=1)
    (row,) = world.wanted()
    assert (row.in_doubt, row.attempts) == (True, 3)
    assert [what for what, _ in world.bell.asked] == ["perform"] * 4, "safe to repeat under its key"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (NotDone(), "given up after 2 attempts: busy"),
        (Toll.Done("it tolled the first time"), "it tolled the first time"),
        (Unknown("the books are closed"), "the books are closed"),
    ],
)
async def test_who_gives_up_in_doubt_looks_into_the_books_first(
    world: World, office: Office, found: Found, told: str
) -> None:
    world.bell.replies, world.bell.found = [Unknown("lost"), Retry("busy")], [NotTried("paused"), found]
    await office.wants(Toll("a"))
    await office.comes_back(hours=2)
    assert heard(world) == (), "it was not possible to ask"
    await office.comes_back(minutes=1)
    assert heard(world) == (told,)


async def test_a_retry_comes_when_the_outside_said(world: World, office: Office) -> None:
    world.bell.replies = [Retry("busy", after=600)]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=599)
    assert len(world.bell.asked) == 1
    await office.comes_back(seconds=2)
    assert heard(world) == ("rang",)


async def test_after_an_unknown_the_outside_is_asked_before_anything_is_repeated(world: World, office: Office) -> None:
    world.bell.replies = [Unknown("no answer")]
    world.bell.found = [Ring.Done("it rang the first time")]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=10)

    assert world.bell.asked == [("perform", "a"), ("find", "a")]
    assert heard(world) == ("it rang the first time",)


async def test_what_was_certainly_not_done_is_performed_under_the_same_key(world: World, office: Office) -> None:
    world.bell.replies = [Unknown("no answer")]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=10)

    assert world.bell.asked == [("perform", "a"), ("find", "a"), ("perform", "a")]
    assert len(world.bell.keys) == 1


async def test_an_unknown_that_nobody_can_resolve_is_told_as_unresolved(world: World, office: Office) -> None:
    world.bell.replies = [Unknown("no answer")]
    world.bell.found = [Unknown("who knows"), Unknown("nobody knows")]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=10)
    assert heard(world) == ()
    await office.comes_back(seconds=20)

    assert [what for what, _ in world.bell.asked] == ["perform", "find", "find"], "never performed again"
    assert heard(world) == ("nobody knows",)


async def test_a_call_that_got_no_answer_at_the_deadline_is_looked_for_a_little_later(
    world: World, office: Office
) -> None:
    """It may still be under way at the other end: what the books say at once proves nothing."""
    world.bell.replies = [Retry("busy"), Unknown("no answer")]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=16)
    assert (world.bell.asked, heard(world)) == ([("perform", "a")] * 2, ())
    await office.comes_back(seconds=20)
    assert world.bell.asked[2:] == [("find", "a")]
    assert heard(world) == ("given up after 2 attempts: no answer",)


async def test_a_retry_after_a_retry_is_not_in_doubt(world: World, office: Office) -> None:
    world.bell.replies = [Retry("busy")]
    await office.wants(Ring("a"))
    await office.comes_back(seconds=10)
    assert [what for what, _ in world.bell.asked] == ["perform", "perform"]


async def test_a_gateway_that_raises_leaves_the_outcome_unknown(world: World, office: Office) -> None:
    world.bell.replies = [RuntimeError("a bug of ours")]
    await office.wants(Ring("a"))
    (row,) = world.wanted()
    assert (row.in_doubt, row.leased_by) == (True, "")
    assert b"RuntimeError" in row.history
    assert b"a bug of ours" not in row.history, "it could quote a secret"


async def dies_in_a_call(world: World, office: Office, operation: Operation) -> None:
    """The gateway never returns, and the worker is gone."""
    calls: list[str] = []

    async def perform(wanted: Operation, key: str) -> Outcome:
        calls.append(key)
        await asyncio.Event().wait()
        raise AssertionError

    world.bell.perform, well = perform, world.bell.perform  # type: ignore[method-assign, assignment]
    world.when("want", Decision(Tally(), operations=[operation]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    office.operations.start(world.done[-1].leased)
    while not calls:
        await breathe("")
    for task in office.operations._tasks:
        task.cancel()
    world.bell.perform = well  # type: ignore[method-assign]


async def test_a_worker_that_died_in_a_call_leaves_its_operation_in_doubt(world: World, office: Office) -> None:
    await dies_in_a_call(world, office, Ring("a"))
    (row,) = world.wanted()
    assert (row.attempts, row.in_doubt) == (1, True), "committed before the call"
    other = Office(world, "tally-1")
    await other.comes_back(seconds=60)
    assert world.bell.asked == [], "its lease is not over"
    await other.comes_back(seconds=60)
    assert world.bell.asked == [("find", "a"), ("perform", "a")]
    assert heard(world) == ("rang",)


async def test_what_is_safe_to_repeat_is_repeated_after_a_crash_under_its_key(world: World, office: Office) -> None:
    await dies_in_a_call(world, office, Toll("a"))
    (row,) = world.wanted()
    assert (row.attempts, row.in_doubt) == (0, False), "nothing was written before the call"
    assert await world.store.release("tally-0") == 1
    await Office(world).comes_back(seconds=1)
    assert world.bell.asked == [("perform", "a")]
    assert heard(world) == ("tolled",)


async def test_what_is_safe_to_repeat_is_looked_for_once_its_key_is_forgotten(world: World, office: Office) -> None:
    world.bell.replies = [Retry("busy", after=3601)]
    await office.wants(Toll("a"))
    await office.comes_back(seconds=3602)
    assert world.bell.asked == [("perform", "a"), ("find", "a"), ("perform", "a")]


async def test_of_hundreds_leased_by_a_worker_that_died_only_those_that_began_are_in_doubt(world: World) -> None:
    office = Office(world)
    hung = asyncio.Event()

    async def perform(operation: Operation, key: str) -> Outcome:
        await hung.wait()
        raise AssertionError

    world.bell.perform = perform  # type: ignore[method-assign]
    for number in range(6):
        world.when("want", Decision(Tally(), operations=[Ring(str(n)) for n in range(10)]))
        await office.batcher.handle([world.message(f"t-{number}", Count(what="want"))])
        office.operations.start(world.done[-1].leased)
    for _ in range(20):
        await breathe("")
    for task in office.operations._tasks:
        task.cancel()
    assert len(world.wanted()) == 60 and all(row.leased_by for row in world.wanted())
    assert sum(row.in_doubt for row in world.wanted()) == 4, "as many as were called at once"
    await world.store.release("tally-0")
    assert sum(row.in_doubt for row in world.wanted()) == 4


async def test_a_worker_that_stops_gives_back_what_it_did_not_begin(world: World, office: Office) -> None:
    world.when("want", Decision(Tally(), operations=[Ring(str(n)) for n in range(20)]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    office.operations.start(world.done[-1].leased)
    await office.operations.drain(1)
    assert world.bell.asked == []
    assert {(row.leased_by, row.in_doubt, row.abandoned, row.attempts) for row in world.wanted()} == {
        ("", False, False, 0)
    }


async def test_beginnings_of_the_same_moment_are_one_statement(world: World) -> None:
    statements: list[str] = []

    async def pause(statement: str) -> None:
        statements.append(statement)
        await asyncio.sleep(0)

    world.store.pause = pause
    office = Office(world)
    office.operations.call_budget = lambda kind: 0  # type: ignore[method-assign]
    await office.wants(*(Ring(str(n)) for n in range(4)))
    assert statements.count("begin_calls") == 1
    assert len(world.bell.asked) == 4


async def test_what_has_its_turn_at_once_is_begun_with_its_row(world: World) -> None:
    statements: list[str] = []

    async def pause(statement: str) -> None:
        statements.append(statement)
        await asyncio.sleep(0)

    office = Office(world)
    office.operations = world.operations(at_once=2)
    office.batcher = world.batcher(office.operations)
    world.when("want", Decision(Tally(), operations=[Ring(str(n)) for n in range(3)]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    assert sorted((row.attempts, row.in_doubt) for row in world.wanted()) == [(0, False), (1, True), (1, True)]

    world.store.pause = pause
    office.operations.start(world.done[-1].leased)
    await office.settled()
    assert statements.count("begin_calls") == 1, "for the third, whose turn had to come"
    assert [call for call, _ in world.bell.asked] == ["perform"] * 3


async def test_an_attempt_that_could_outlive_its_lease_is_not_begun(world: World, office: Office) -> None:
    world.when("want", Decision(Tally(), operations=[Ring("a")]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    leased = world.done[-1].leased
    world.later(seconds=61)  # frozen: of the 90 s of the lease, less than the patience of 30 s are left
    office.operations.start(leased)
    await office.settled()
    assert world.bell.asked == []


async def test_an_outcome_that_comes_after_the_lease_was_lost_changes_nothing(world: World, office: Office) -> None:
    world.when("want", Decision(Tally(), operations=[Ring("a")]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    (row, operation) = world.done[-1].leased[0]
    world.later(seconds=120)
    other = Office(world, "tally-1")
    await other.operations.lease()
    office.operations._deliver(Ended(row, Ring.Done("too late")), operation, Meta())
    await office.settled()
    assert heard(world) == ()
    await other.settled()
    assert heard(world) == ("rang",)


async def test_serial_operations_go_one_after_the_other(world: World, office: Office) -> None:
    world.bell.replies = [Retry("busy", after=100)]
    await office.wants(Knock("1"), Knock("2"), Knock("3"))
    assert world.bell.asked == [("perform", "1")]
    await office.comes_back(seconds=50)
    assert len(world.bell.asked) == 1, "the others wait for the first, however long it takes"
    for _ in range(3):
        await office.comes_back(seconds=51)
    assert [note for _, note in world.bell.asked] == ["1", "1", "2", "3"]


async def test_what_has_been_due_for_long_is_looked_for_every_few_seconds(world: World, office: Office) -> None:
    """A lease that ran out, a retry that waited for room: their rows lie among the dead ones of the queue."""
    await office.comes_back(seconds=1)
    world.when("want", Decision(Tally(), operations=[Ring("a")]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    world.later(seconds=600)

    await office.operations.lease()
    await office.settled()
    assert world.bell.asked == []
    await office.comes_back(seconds=1)
    assert world.bell.asked == [("find", "a"), ("perform", "a")]


async def test_no_more_are_performed_at_once_than_allowed(world: World) -> None:
    office = Office(world)
    office.operations = world.operations(at_once=2)
    office.batcher = world.batcher(office.operations)
    running, most = 0, 0

    async def perform(operation: Ring, key: str) -> Ring.Done:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await breathe("")
        running -= 1
        return Ring.Done()

    world.bell.perform = perform  # type: ignore[method-assign, assignment]
    await office.wants(*(Ring(str(n)) for n in range(8)))
    assert most == 2


async def test_a_kind_that_hangs_takes_no_room_from_others(world: World, office: Office) -> None:
    world.when("want", Decision(Tally(), operations=[Ring(str(n)) for n in range(100)]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    office.operations.start(world.done[-1].leased)
    assert office.operations.lease_budget("Ring") == 0
    assert office.operations.lease_budget("Knock") == 64
    await office.operations.drain(0)
    assert office.operations.lease_budget("Knock") == 0, "a worker that stops takes nothing more"


async def test_an_operation_that_this_version_does_not_know_waits_for_one_that_does(
    world: World, office: Office
) -> None:
    await office.wants()
    async with world.store.begin() as tx:
        row = world.wanted()
        assert row == []
        strange = OperationRow(
            id=world.message("x", Count()).id,
            key="t-1",
            kind="Ring",
            payload=b'{"tune":"ding"}',
            meta=b'["","","","system"]',
            due=world.clock.at,
            requested_at=world.clock.at,
            destination="Ring",
        )
        await tx.write(Writes(operations=[strange]))
    await office.comes_back(seconds=1)
    (left,) = world.wanted()
    assert (left.in_doubt, left.due - world.clock.at) == (False, timedelta(seconds=60))


@given(st.floats(0.01, 60), st.integers(1, 200), st.integers(), st.floats(1, 7200))
def test_back_off_doubles_up_to_its_ceiling_with_jitter(first: float, attempts: int, seed: int, ceiling: float) -> None:
    full = min(first * 2.0 ** min(attempts - 1, 30), ceiling)
    assert full / 2 <= back_off(first, attempts, random.Random(seed), ceiling) <= full


def test_a_crowd_that_failed_together_does_not_come_back_together() -> None:
    delays = [back_off(10, 3, random.Random(seed)) for seed in range(100)]
    assert max(delays) - min(delays) > 15


async def test_the_runner_takes_what_is_due_by_itself(world: World, office: Office) -> None:
    world.bell.replies = [Retry("busy", after=1)]
    await office.wants(Ring("a"))
    world.later(seconds=2)
    running = [asyncio.create_task(office.operations.run(0.001)), asyncio.create_task(office.batcher.run())]
    async with asyncio.timeout(2):
        while heard(world) != ("rang",):
            await asyncio.sleep(0.001)
    for task in running:
        task.cancel()
