"""What a decision brings about: timers, operations that are leased with it, ids that are the same again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.core import Decision, Timer, derived_id
from shared.shell.inbound.message import Inbound
from tests.unit.shell.harness import Harness, notes
from tests.unit.shell.meter import (
    Call,
    Count,
    Late,
    Meter,
    Over,
    SerialCall,
    one_more,
)


class TestTimers:
    async def test_a_timer_is_set_replaced_and_cancelled(self, harness: Harness) -> None:
        at = harness.clock.at
        soon, later = at + timedelta(minutes=1), at + timedelta(hours=1)
        harness.when("soon", Decision(Meter(), timers=[Timer(soon, Late()), Timer(soon, Over(), name="end")]))
        harness.when("later", Decision(Meter(), timers=[Timer(later, Late("very late"))]))
        harness.when("never", Decision(Meter(), cancel=[Late, "end"]))

        await harness.counts("t-1", "soon")
        assert {name: row.due for name, row in harness.timers().items()} == {"Late": soon, "end": soon}
        await harness.counts("t-1", "later")
        assert {name: row.due for name, row in harness.timers().items()} == {"Late": later, "end": soon}
        await harness.counts("t-1", "never")
        assert harness.timers() == {}

    async def test_within_a_batch_the_last_word_holds(self, harness: Harness) -> None:
        at = harness.clock.at
        harness.when("set", Decision(Meter(), timers=[Timer(at, Late())]))
        harness.when("cancel", Decision(Meter(), cancel=[Late]))
        await harness.counts("a", "set", "cancel")
        await harness.counts("b", "cancel", "set")
        assert [row.key for row in harness.timers().values()] == ["b"]

    async def test_a_decision_that_cancels_and_sets_a_timer_sets_it(self, harness: Harness) -> None:
        harness.when("again", Decision(Meter(), cancel=[Late], timers=[Timer(harness.clock.at, Late())]))
        await harness.counts("t-1", "again")
        assert list(harness.timers()) == ["Late"]

    async def test_a_due_timer_fires_once(self, harness: Harness) -> None:
        harness.when("set", Decision(Meter(), timers=[Timer(harness.clock.at, Late())]))
        await harness.counts("t-1", "set")
        due = harness.due(harness.timers()["Late"])
        first, second = await asyncio.gather(harness.batch(due), harness.batch(due, worker="meter-1"))

        assert first.handled + second.handled == 1
        assert harness.meter("t-1") == Meter(received=("late",))

    async def test_a_timer_that_was_replaced_meanwhile_does_not_fire(self, harness: Harness) -> None:
        harness.when("set", lambda meter, message, context: Decision(meter, timers=[Timer(context.at, Late())]))
        await harness.counts("t-1", "set")
        due = harness.due(harness.timers()["Late"])
        harness.later(minutes=5)
        await harness.counts("t-1", "set")
        done = await harness.batch(due)

        assert (done.duplicates, list(harness.timers())) == (1, ["Late"])

    async def test_a_timer_of_a_parked_key_waits_behind(self, harness: Harness) -> None:
        harness.when("set", Decision(Meter(), timers=[Timer(harness.clock.at, Late())]))
        harness.when("boom", RuntimeError("boom"))
        await harness.counts("t-1", "set", "boom")
        await harness.batch(harness.due(harness.timers()["Late"]))

        assert harness.parked() == [("t-1", "failed"), ("t-1", "behind")]
        assert harness.timers() == {}


class TestOperationsAtBirth:
    async def test_an_operation_is_leased_by_the_worker_that_wrote_it(self, harness: Harness) -> None:
        harness.when("ring", Decision(Meter(), operations=[Call("a"), Call("b")]))
        done = await harness.counts("t-1", "ring")

        assert [operation for _, operation in done.leased] == [Call("a"), Call("b")]
        for row in harness.open_operations():
            assert (row.leased_by, row.lease, row.attempts, row.in_doubt) == ("meter-0", 1, 0, False)
            assert row.leased_until and row.leased_until > harness.clock.at + timedelta(seconds=Call.timeout)

    async def test_a_worker_without_room_leaves_them_to_others(self, harness: Harness) -> None:
        harness.when("ring", Decision(Meter(), operations=[Call("a"), Call("b"), Call("c")]))
        done = await harness.batch(harness.message("t-1", Count(what="ring")), leases=1)

        assert (len(done.leased), done.unleased) == (1, 2)
        leased = await harness.leased()
        assert notes(leased) == ["b", "c"]
        assert not any(row.in_doubt for row in leased), "they were not tried"

    async def test_serial_operations_of_a_key_wait_for_each_other(self, harness: Harness) -> None:
        harness.when(
            "knock", lambda meter, message, context: Decision(meter, operations=[SerialCall("1"), SerialCall("2")])
        )
        first = await harness.counts("t-1", "knock")
        second = await harness.counts("t-1", "knock")
        other = await harness.counts("t-2", "knock")

        assert (len(first.leased), len(second.leased), len(other.leased)) == (1, 0, 1)
        assert await harness.leased() == []

    async def test_a_serial_operation_of_a_worker_whose_clock_is_behind_overtakes_none_under_way(
        self, harness: Harness
    ) -> None:
        harness.when("knock", Decision(Meter(), operations=[SerialCall("x")]))
        await harness.counts("t-1", "knock")
        harness.later(seconds=-5)
        await harness.counts("t-1", "knock")
        harness.later(seconds=5)

        assert await harness.leased() == [], "though its id is the lower one"

    async def test_an_outcome_ends_the_operation_and_is_handled_once(self, harness: Harness) -> None:
        harness.when("ring", Decision(Meter(), operations=[Call("a")]))
        done = await harness.counts("t-1", "ring")
        outcome = Inbound(done.leased[0][0].id, "t-1", Call.Done("ding"), operation=done.leased[0])
        await harness.batch(outcome)
        again = await harness.batch(outcome)

        assert (harness.open_operations(), again.duplicates, harness.meter("t-1")) == ([], 1, Meter(received=("ding",)))

    async def test_an_outcome_under_a_lapsed_lease_is_nobodys(self, harness: Harness) -> None:
        harness.when("ring", Decision(Meter(), operations=[Call("a")]))
        done = await harness.counts("t-1", "ring")
        harness.later(hours=1)
        assert len(await harness.leased()) == 1
        late = await harness.batch(Inbound(done.leased[0][0].id, "t-1", Call.Done("ding"), operation=done.leased[0]))

        assert (late.duplicates, len(harness.open_operations())) == (1, 1)
        assert harness.meter("t-1") == Meter()

    async def test_the_outcome_of_a_parked_key_waits_behind(self, harness: Harness) -> None:
        harness.when("ring", Decision(Meter(), operations=[Call("a")]))
        harness.when("boom", RuntimeError("boom"))
        done = await harness.counts("t-1", "ring")
        await harness.counts("t-1", "boom")
        await harness.batch(Inbound(done.leased[0][0].id, "t-1", Call.Done("ding"), operation=done.leased[0]))

        assert harness.parked() == [("t-1", "failed"), ("t-1", "behind")]
        assert harness.open_operations() == [], "it was performed: never again"


async def test_the_same_decision_made_again_gives_the_same_ids(harness: Harness) -> None:
    """A batch that is run again after a conflict or a crash must name its messages and operations alike."""
    harness.when(
        "much",
        lambda meter, message, context: replace(
            one_more(meter, message, context), operations=[Call("a"), Call("b")], commands=[("x", Count())]
        ),
    )
    message = harness.message("t-1", Count(what="much"))
    seen = []
    for _ in range(2):
        other = Harness()
        other.answers.update(harness.answers)
        await other.batch(message)
        seen.append(
            (
                [one.envelope.id for one in other.sent()],
                [row.id for row in other.open_operations()],
                other.store.rows("steps"),
            )
        )
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] == seen[1][1]
    assert list(seen[0][2]) == list(seen[1][2])
    assert len({*seen[0][0], *seen[0][1]}) == 4, "and all of them differently"


async def test_ids_of_different_messages_never_meet(harness: Harness) -> None:
    await harness.batch(*(harness.message("t-1", Count()) for _ in range(50)))
    identities = [one.envelope.id for one in harness.sent()] + [key[1] for key in harness.store.rows("steps")]  # type: ignore[index]
    assert len(set(identities)) == 100
    assert all(isinstance(identity, UUID) and identity.version == 7 for identity in identities)
    assert derived_id(UUID(int=1), 1, harness.clock.at) not in identities


async def test_a_batch_that_fails_at_its_last_statement_leaves_nothing(harness: Harness) -> None:
    harness.when(
        "all",
        lambda meter, message, context: replace(
            one_more(meter, message, context), operations=[Call("a")], timers=[Timer(context.at, Late())]
        ),
    )

    async def fail(statement: str) -> None:
        if statement == "commit":
            raise ConnectionError

    harness.store.pause = fail
    with pytest.raises(ConnectionError):
        await harness.counts("t-1", "all", totals=("x",))
    assert harness.everything() == "{}"
