"""One batch, one transaction: claimed once, decided in order, written whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.contracts.envelope import MAX_BODY
from shared.core import Context, Decision, Problem, Ref, Refused, Timer, derived_id
from shared.shell.batch.result import RetryFailed
from shared.shell.inbound.message import Inbound, Malformed, Meta, Undecodable
from shared.shell.observability.tracing import trace_of
from shared.shell.ports.store import Conflict
from tests.unit.shell.tally import Count, Counted, Knock, Late, Latest, Over, Ring, Tally, TallyRefused, Total, one_more
from tests.unit.shell.world import World, notes


async def test_a_message_changes_its_row_and_its_event_goes_to_the_outbox(world: World) -> None:
    done = await world.counts("t-1")

    assert world.tally("t-1") == Tally(count=1)
    assert world.events("t-1") == [Counted(count=1)]
    assert (done.handled, done.published, done.duplicates) == (1, 1, 0)


async def test_messages_of_one_batch_see_what_those_before_them_did(world: World) -> None:
    await world.batch(*(world.message(key, Count(totals=("all",))) for key in ("a", "b", "a", "a", "b")))

    assert (world.tally("a"), world.tally("b")) == (Tally(3), Tally(2))
    assert world.total("all") == 5


async def test_events_of_a_key_are_counted_without_a_gap_over_batches_and_refusals(world: World) -> None:
    world.when("two", Decision(Tally(), events=[Counted(count=1), Counted(count=2)]))
    world.when("no", Refused("no", "No."))
    await world.counts("t-1", "one more", "two", "no")
    await world.counts("t-1", "one more", "no", "two")

    assert [sent.envelope.sequence for sent in world.sent("t-1")] == list(range(1, 9))


async def test_latest_records_and_commands_to_others_are_not_counted(world: World) -> None:
    world.when(
        "tell",
        lambda tally, message, context: Decision(
            tally, events=[Latest(count=1), Counted(count=1)], commands=[("t-2", Count(what="hello"))]
        ),
    )
    await world.counts("t-1", "tell")

    sent = world.sent()
    assert [(one.envelope.subject, one.envelope.type, one.envelope.sequence) for one in sent] == [
        ("t-1", "tally.latest", 0),
        ("t-1", "tally.counted", 1),
        ("t-2", "tally.count", 0),
    ]
    assert sent[2].message == Count(what="hello")


async def test_of_a_compacted_topic_a_batch_sends_every_record_too(world: World) -> None:
    """Who follows the topic waits for statuses in between, such as "processing" after a retry that fails again."""

    def tell(tally: Tally, message: Count, context: Context) -> Decision[Tally]:
        after = replace(tally, count=tally.count + 1)
        return Decision(after, events=[Latest(count=after.count)])

    world.when("tell", tell)
    await world.batch(*(world.message("a", Count(what="tell")) for _ in range(3)))

    assert world.events("a") == [Latest(count=1), Latest(count=2), Latest(count=3)]


async def test_what_a_message_causes_carries_its_envelope_on(world: World) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    inbound = replace(
        world.message("t-1", Count()), meta=Meta(store="s", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    )
    await world.batch(inbound)

    envelope = world.sent("t-1")[0].envelope
    assert envelope.causation_id == envelope.correlation_id == str(inbound.id)
    assert (envelope.source, envelope.store) == ("tally", "s")
    assert timedelta(0) <= envelope.time - world.clock.at < timedelta(milliseconds=1)
    assert trace_of(envelope.traceparent) == trace


class TestClaims:
    async def test_the_same_message_twice_in_a_batch_counts_once(self, world: World) -> None:
        message = world.message("t-1", Count())
        done = await world.batch(message, message)

        assert (done.handled, done.duplicates, world.tally("t-1")) == (1, 1, Tally(1))

    async def test_the_same_message_in_a_later_batch_changes_nothing(self, world: World) -> None:
        messages = [world.message("t-1", Count(totals=("all",))) for _ in range(3)]
        await world.batch(*messages)
        before = world.everything()
        done = await world.batch(*messages)

        assert done.duplicates == 3
        assert world.everything() == before

    async def test_the_same_message_at_two_workers_at_once_counts_once(self, world: World) -> None:
        message = world.message("t-1", Count())
        first, second = await asyncio.gather(world.batch(message), world.batch(message, worker="tally-1"))

        assert sorted((first.duplicates, second.duplicates)) == [0, 1]
        assert world.tally("t-1") == Tally(1)

    async def test_a_refused_command_is_a_duplicate_too(self, world: World) -> None:
        world.when("no", Refused("no", "No."))
        message = world.message("t-1", Count(what="no"))
        await world.batch(message)
        await world.batch(message)

        assert len(world.events()) == 1


class TestRefusals:
    async def test_a_refused_command_leaves_the_state_and_tells_why(self, world: World) -> None:
        await world.counts("t-1")
        problems = (Problem(field="what", code="odd", text="Odd."),)
        world.when("odd", Refused("odd", "This is odd.", problems))
        message = world.message("t-1", Count(what="odd"))
        done = await world.batch(message)

        assert (done.refused, done.handled, world.tally("t-1")) == (1, 0, Tally(1))
        assert world.events("t-1")[-1] == TallyRefused(
            command="tally.count", command_id=str(message.id), code="odd", text="This is odd.", problems=problems
        )

    async def test_a_refusal_for_a_key_that_does_not_exist_makes_no_state(self, world: World) -> None:
        world.when("no", Refused("no", "No."))
        await world.counts("t-1", "no")
        assert world.tally("t-1") is None
        await world.counts("t-1", "one more")
        assert [sent.envelope.sequence for sent in world.sent("t-1")] == [1, 2]

    async def test_a_malformed_command_is_refused_with_all_its_problems(self, world: World) -> None:
        problems = tuple(Problem(field=name, code="missing", text="Missing.") for name in ("a", "b"))
        await world.batch(world.record("t-1", Malformed(Count, problems)), world.message("t-1", Count()))

        refused, counted = world.events("t-1")
        assert isinstance(refused, TallyRefused)
        assert (refused.code, refused.problems) == ("malformed", problems)
        assert counted == Counted(count=1), "it holds nothing up"


class TestParking:
    async def test_what_makes_the_core_raise_leaves_no_trace_but_itself(self, world: World) -> None:
        def half(tally: Tally, message: Count, context: Context) -> Decision[Tally]:
            context.new_id()
            raise RuntimeError("boom")

        world.when("boom", half)
        done = await world.counts("t-1", "one more", "boom")

        assert world.tally("t-1") == Tally(1)
        assert world.events() == [Counted(count=1)]
        assert world.parked() == [("t-1", "failed")]
        assert done.parked[0].error.startswith("RuntimeError: boom (")

    async def test_everything_later_of_its_key_waits_behind_it_in_order(self, world: World) -> None:
        world.when("boom", RuntimeError("boom"))
        await world.batch(
            world.message("a", Count()),
            world.message("a", Count(what="boom")),
            world.message("b", Count()),
            world.message("a", Count(what="second")),
        )
        await world.batch(world.message("b", Count()), world.message("a", Count(what="third")))

        assert world.parked() == [("a", "failed"), ("a", "behind"), ("a", "behind")]
        bodies = [row.body for row in await world.store.parked("a")]
        assert [(body or b"").decode().split('"')[3] for body in bodies] == ["boom", "second", "third"]
        assert (world.tally("a"), world.tally("b")) == (Tally(1), Tally(2))

    async def test_what_nobody_can_read_is_parked_with_a_copy_to_the_dead_letters(self, world: World) -> None:
        inbound = world.record("t-1", Undecodable("tally.count", "the body is not JSON"))
        await world.batch(inbound, world.message("t-2", Count()))

        assert world.parked() == [("t-1", "failed")]
        letter = next(row for row, _ in world.store.rows("outbox").values() if row.key == "t-1")
        assert letter.topic == "tally.dead-letter.v1"
        assert b"the body is not JSON" in letter.headers
        assert b"tally.commands.v1/0/" in letter.headers
        assert world.tally("t-2") == Tally(1)

    async def test_a_parked_message_is_not_handled_again_when_it_is_delivered_again(self, world: World) -> None:
        world.when("boom", RuntimeError("boom"))
        message = world.message("t-1", Count(what="boom"))
        await world.batch(message)
        await world.batch(message)
        assert world.parked() == [("t-1", "failed")]

    async def test_retrying_a_parked_message_that_fails_again_leaves_it_parked(self, world: World) -> None:
        world.when("boom", RuntimeError("boom"))
        await world.counts("t-1", "boom")
        row = (await world.store.parked())[0]
        again = Inbound(row.message_id, row.key, Count(what="boom"), parked=row)
        before = world.everything()

        with pytest.raises(RetryFailed, match="boom"):
            await world.batch(again)
        assert world.everything() == before

        world.when("boom", Decision(Tally(7)))
        await world.batch(again)
        assert (world.parked(), world.tally("t-1")) == ([], Tally(7))

    async def test_an_event_that_would_be_too_large_parks_its_message(self, world: World) -> None:
        world.when("shout", Decision(Tally(1), events=[Counted(count=1, text="a" * MAX_BODY)]))
        await world.counts("t-1", "shout")
        assert (world.parked(), world.tally("t-1"), world.events()) == ([("t-1", "failed")], None, [])


class TestRowsBeside:
    async def test_a_row_that_was_not_named_may_not_be_changed(self, world: World) -> None:
        world.when("sneak", Decision(Tally(1), events=[Counted(count=1)], other_states={Ref(Total, "all"): Total(99)}))
        done = await world.counts("t-1", "sneak")

        assert "does not lock it" in done.parked[0].error
        assert (world.tally("t-1"), world.total("all"), world.events()) == (None, 0, [])

    async def test_a_row_that_is_only_read_may_not_be_changed(self, world: World) -> None:
        def sneak(tally: Tally, message: Count, context: Context) -> Decision[Tally]:
            return Decision(tally, other_states={Ref(Total, "all"): Total(99)})

        world.when("sneak", sneak)
        await world.batch(world.message("t-1", Count(what="sneak", seen=("all",))))
        assert world.parked() == [("t-1", "failed")]

    async def test_a_row_that_is_read_is_seen_as_it_is(self, world: World) -> None:
        seen: list[object] = []

        def look(tally: Tally, message: Count, context: Context) -> Decision[Tally]:
            seen.append(context.row(Total, "all"))
            return Decision(tally)

        world.when("look", look)
        look_at = Count(what="look", seen=("all",))
        await world.batch(
            world.message("a", look_at), world.message("b", Count(totals=("all",))), world.message("a", look_at)
        )
        assert seen == [None, Total(1)]

    async def test_two_workers_that_touch_the_same_rows_lose_nothing(self, world: World) -> None:
        await world.counts("t-0", totals=("x", "y"))

        async def work(worker: int) -> None:
            for n in range(20):
                message = world.message(f"t-{worker}-{n}", Count(totals=("x", "y") if worker else ("y", "x")))
                while True:
                    try:
                        await world.batch(message, worker=f"tally-{worker}")
                        break
                    except Conflict:
                        continue

        await asyncio.gather(work(0), work(1))
        assert (world.total("x"), world.total("y")) == (41, 41)


class TestConflicts:
    async def test_of_two_that_create_the_same_row_one_must_run_again(self, world: World) -> None:
        results = await asyncio.gather(
            world.batch(world.message("t-1", Count())),
            world.batch(world.message("t-1", Count()), worker="tally-1"),
            return_exceptions=True,
        )

        assert [type(result).__name__ for result in results].count("Conflict") == 1
        assert (world.tally("t-1"), len(world.events())) == (Tally(1), 1)

    async def test_of_two_that_create_the_same_row_beside_one_must_run_again(self, world: World) -> None:
        results = await asyncio.gather(
            world.batch(world.message("a", Count(totals=("all",)))),
            world.batch(world.message("b", Count(totals=("all",))), worker="tally-1"),
            return_exceptions=True,
        )

        assert [type(result).__name__ for result in results].count("Conflict") == 1
        assert world.total("all") == 1


class TestTimers:
    async def test_a_timer_is_set_replaced_and_cancelled(self, world: World) -> None:
        at = world.clock.at
        soon, later = at + timedelta(minutes=1), at + timedelta(hours=1)
        world.when("soon", Decision(Tally(), timers=[Timer(soon, Late()), Timer(soon, Over(), name="end")]))
        world.when("later", Decision(Tally(), timers=[Timer(later, Late("very late"))]))
        world.when("never", Decision(Tally(), cancel=[Late, "end"]))

        await world.counts("t-1", "soon")
        assert {name: row.due for name, row in world.timers().items()} == {"Late": soon, "end": soon}
        await world.counts("t-1", "later")
        assert {name: row.due for name, row in world.timers().items()} == {"Late": later, "end": soon}
        await world.counts("t-1", "never")
        assert world.timers() == {}

    async def test_within_a_batch_the_last_word_holds(self, world: World) -> None:
        at = world.clock.at
        world.when("set", Decision(Tally(), timers=[Timer(at, Late())]))
        world.when("cancel", Decision(Tally(), cancel=[Late]))
        await world.counts("a", "set", "cancel")
        await world.counts("b", "cancel", "set")
        assert [row.key for row in world.timers().values()] == ["b"]

    async def test_a_decision_that_cancels_and_sets_a_timer_sets_it(self, world: World) -> None:
        world.when("anew", Decision(Tally(), cancel=[Late], timers=[Timer(world.clock.at, Late())]))
        await world.counts("t-1", "anew")
        assert list(world.timers()) == ["Late"]

    async def test_a_due_timer_fires_once(self, world: World) -> None:
        world.when("set", Decision(Tally(), timers=[Timer(world.clock.at, Late())]))
        await world.counts("t-1", "set")
        due = world.due(world.timers()["Late"])
        first, second = await asyncio.gather(world.batch(due), world.batch(due, worker="tally-1"))

        assert first.handled + second.handled == 1
        assert world.tally("t-1") == Tally(heard=("late",))

    async def test_a_timer_that_was_replaced_meanwhile_does_not_fire(self, world: World) -> None:
        world.when("set", lambda tally, message, context: Decision(tally, timers=[Timer(context.at, Late())]))
        await world.counts("t-1", "set")
        due = world.due(world.timers()["Late"])
        world.later(minutes=5)
        await world.counts("t-1", "set")
        done = await world.batch(due)

        assert (done.duplicates, list(world.timers())) == (1, ["Late"])

    async def test_a_timer_of_a_parked_key_waits_behind(self, world: World) -> None:
        world.when("set", Decision(Tally(), timers=[Timer(world.clock.at, Late())]))
        world.when("boom", RuntimeError("boom"))
        await world.counts("t-1", "set", "boom")
        await world.batch(world.due(world.timers()["Late"]))

        assert world.parked() == [("t-1", "failed"), ("t-1", "behind")]
        assert world.timers() == {}


class TestOperationsAtBirth:
    async def test_an_operation_is_leased_by_the_worker_that_wrote_it(self, world: World) -> None:
        world.when("ring", Decision(Tally(), operations=[Ring("a"), Ring("b")]))
        done = await world.counts("t-1", "ring")

        assert [operation for _, operation in done.leased] == [Ring("a"), Ring("b")]
        for row in world.wanted():
            assert (row.leased_by, row.lease, row.attempts, row.in_doubt) == ("tally-0", 1, 0, False)
            assert row.leased_until and row.leased_until > world.clock.at + timedelta(seconds=Ring.timeout)

    async def test_a_worker_without_room_leaves_them_to_others(self, world: World) -> None:
        world.when("ring", Decision(Tally(), operations=[Ring("a"), Ring("b"), Ring("c")]))
        done = await world.batch(world.message("t-1", Count(what="ring")), leases=1)

        assert (len(done.leased), done.unleased) == (1, 2)
        leased = await world.leased()
        assert notes(leased) == ["b", "c"]
        assert not any(row.in_doubt for row in leased), "nobody tried them"

    async def test_serial_operations_of_a_key_wait_for_each_other(self, world: World) -> None:
        world.when("knock", lambda tally, message, context: Decision(tally, operations=[Knock("1"), Knock("2")]))
        first = await world.counts("t-1", "knock")
        second = await world.counts("t-1", "knock")
        other = await world.counts("t-2", "knock")

        assert (len(first.leased), len(second.leased), len(other.leased)) == (1, 0, 1)
        assert await world.leased() == []

    async def test_a_serial_operation_of_a_worker_whose_clock_is_behind_overtakes_none_under_way(
        self, world: World
    ) -> None:
        world.when("knock", Decision(Tally(), operations=[Knock("x")]))
        await world.counts("t-1", "knock")
        world.later(seconds=-5)
        await world.counts("t-1", "knock")
        world.later(seconds=5)

        assert await world.leased() == [], "though its id is the lower one"

    async def test_an_outcome_ends_the_operation_and_is_handled_once(self, world: World) -> None:
        world.when("ring", Decision(Tally(), operations=[Ring("a")]))
        done = await world.counts("t-1", "ring")
        outcome = Inbound(done.leased[0][0].id, "t-1", Ring.Done("ding"), operation=done.leased[0])
        await world.batch(outcome)
        again = await world.batch(outcome)

        assert (world.wanted(), again.duplicates, world.tally("t-1")) == ([], 1, Tally(heard=("ding",)))

    async def test_an_outcome_under_a_lapsed_lease_is_nobodys(self, world: World) -> None:
        world.when("ring", Decision(Tally(), operations=[Ring("a")]))
        done = await world.counts("t-1", "ring")
        world.later(hours=1)
        assert len(await world.leased()) == 1
        late = await world.batch(Inbound(done.leased[0][0].id, "t-1", Ring.Done("ding"), operation=done.leased[0]))

        assert (late.duplicates, len(world.wanted())) == (1, 1)
        assert world.tally("t-1") == Tally()

    async def test_the_outcome_of_a_parked_key_waits_behind(self, world: World) -> None:
        world.when("ring", Decision(Tally(), operations=[Ring("a")]))
        world.when("boom", RuntimeError("boom"))
        done = await world.counts("t-1", "ring")
        await world.counts("t-1", "boom")
        await world.batch(Inbound(done.leased[0][0].id, "t-1", Ring.Done("ding"), operation=done.leased[0]))

        assert world.parked() == [("t-1", "failed"), ("t-1", "behind")]
        assert world.wanted() == [], "it was performed: never again"


async def test_the_same_decision_made_again_gives_the_same_ids(world: World) -> None:
    """A batch that is run again after a conflict or a crash must name its messages and operations alike."""
    world.when(
        "much",
        lambda tally, message, context: replace(
            one_more(tally, message, context), operations=[Ring("a"), Ring("b")], commands=[("x", Count())]
        ),
    )
    message = world.message("t-1", Count(what="much"))
    seen = []
    for _ in range(2):
        other = World()
        other.answers.update(world.answers)
        await other.batch(message)
        seen.append(
            ([one.envelope.id for one in other.sent()], [row.id for row in other.wanted()], other.store.rows("steps"))
        )
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] == seen[1][1]
    assert list(seen[0][2]) == list(seen[1][2])
    assert len({*seen[0][0], *seen[0][1]}) == 4, "and all of them differently"


async def test_ids_of_different_messages_never_meet(world: World) -> None:
    await world.batch(*(world.message("t-1", Count()) for _ in range(50)))
    identities = [one.envelope.id for one in world.sent()] + [key[1] for key in world.store.rows("steps")]  # type: ignore[index]
    assert len(set(identities)) == 100
    assert all(isinstance(identity, UUID) and identity.version == 7 for identity in identities)
    assert derived_id(UUID(int=1), 1, world.clock.at) not in identities


async def test_a_batch_that_fails_at_its_last_statement_leaves_nothing(world: World) -> None:
    world.when(
        "all",
        lambda tally, message, context: replace(
            one_more(tally, message, context), operations=[Ring("a")], timers=[Timer(context.at, Late())]
        ),
    )

    async def fail(statement: str) -> None:
        if statement == "commit":
            raise ConnectionError

    world.store.pause = fail
    with pytest.raises(ConnectionError):
        await world.counts("t-1", "all", totals=("x",))
    assert world.everything() == "{}"
