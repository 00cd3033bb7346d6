"""One batch, one transaction: claimed once, decided in order, written whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contracts.envelope import MAX_BODY
from shared.core import Context, Decision, Problem, Ref, Refused
from shared.shell.batch.result import RetryFailed
from shared.shell.inbound.message import Inbound, Malformed, Meta, Undecodable
from shared.shell.observability.tracing import trace_of
from shared.shell.ports.store import Conflict
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import (
    Count,
    Counted,
    HasAny,
    Latest,
    Meter,
    MeterRefused,
    Newest,
    Total,
)


async def test_a_message_changes_its_row_and_its_event_goes_to_the_outbox(harness: Harness) -> None:
    done = await harness.counts("t-1")

    assert harness.meter("t-1") == Meter(count=1)
    assert harness.events("t-1") == [Counted(count=1)]
    assert (done.handled, done.published, done.duplicates) == (1, 1, 0)


async def test_messages_of_one_batch_see_what_those_before_them_did(harness: Harness) -> None:
    await harness.batch(*(harness.message(key, Count(totals=("all",))) for key in ("a", "b", "a", "a", "b")))

    assert (harness.meter("a"), harness.meter("b")) == (Meter(3), Meter(2))
    assert harness.total("all") == 5


async def test_what_is_asked_is_searched_for_once_in_a_batch_and_only_where_it_is_asked(harness: Harness) -> None:
    statements: list[str] = []
    told: list[bool] = []

    async def noted(statement: str) -> None:
        statements.append(statement)

    def ask(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
        told.extend(context.answer(HasAny(total)) for total in message.wonders)
        return Decision(Meter(meter.count + 1))

    harness.store.pause = noted
    harness.when("ask", ask)
    await harness.batch(harness.message("a", Count(totals=("all",))))
    assert "search" not in statements

    await harness.batch(*(harness.message(key, Count(what="ask", wonders=("all", "none"))) for key in ("a", "b", "a")))
    assert told == [True, False] * 3
    assert statements.count("search") == 1


async def test_an_answer_is_of_what_is_committed_not_of_the_batch(harness: Harness) -> None:
    told: list[bool] = []

    def ask(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
        told.append(context.answer(HasAny("all")))
        return Decision(Meter(meter.count + 1))

    harness.when("ask", ask)
    first, second = Count(totals=("all",)), Count(what="ask", wonders=("all",))
    await harness.batch(harness.message("a", first), harness.message("a", second))
    await harness.batch(harness.message("a", second))
    assert told == [False, True]


async def test_events_of_a_key_are_counted_without_a_gap_over_batches_and_refusals(harness: Harness) -> None:
    harness.when("two", Decision(Meter(), events=[Counted(count=1), Counted(count=2)]))
    harness.when("no", Refused("no", "No."))
    await harness.counts("t-1", "one more", "two", "no")
    await harness.counts("t-1", "one more", "no", "two")

    assert [sent.envelope.sequence for sent in harness.sent("t-1")] == list(range(1, 9))


async def test_of_a_keys_coalesced_records_only_the_last_of_a_batch_is_published(harness: Harness) -> None:
    def publish(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
        after = Meter(meter.count + 1)
        return Decision(
            after, events=[Newest(count=after.count), Latest(count=after.count), Counted(count=after.count)]
        )

    harness.when("publish", publish)
    harness.when("raise", ValueError("x"))
    messages = [harness.message(key, Count(what="publish")) for key in ("a", "b", "a", "a")]
    await harness.batch(*messages, harness.message("b", Count(what="raise")))

    assert harness.events("a") == [
        *(event for count in (1, 2, 3) for event in (Latest(count=count), Counted(count=count))),
        Newest(count=3),
    ]
    assert harness.events("b") == [Latest(count=1), Counted(count=1), Newest(count=1)]
    await harness.counts("a", "publish")
    assert harness.events("a")[-1] == Newest(count=4)


async def test_latest_records_and_commands_to_others_are_not_counted(harness: Harness) -> None:
    harness.when(
        "publish",
        lambda meter, message, context: Decision(
            meter, events=[Latest(count=1), Counted(count=1)], commands=[("t-2", Count(what="hello"))]
        ),
    )
    await harness.counts("t-1", "publish")

    sent = harness.sent()
    assert [(one.envelope.subject, one.envelope.type, one.envelope.sequence) for one in sent] == [
        ("t-1", "meter.latest", 0),
        ("t-1", "meter.counted", 1),
        ("t-2", "meter.count", 0),
    ]
    assert sent[2].message == Count(what="hello")


async def test_of_a_compacted_topic_a_batch_sends_every_record_too(harness: Harness) -> None:
    """Who follows the topic waits for statuses in between, such as "processing" after a retry that fails again."""

    def publish(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
        after = replace(meter, count=meter.count + 1)
        return Decision(after, events=[Latest(count=after.count)])

    harness.when("publish", publish)
    await harness.batch(*(harness.message("a", Count(what="publish")) for _ in range(3)))

    assert harness.events("a") == [Latest(count=1), Latest(count=2), Latest(count=3)]


async def test_what_a_message_causes_carries_its_envelope_on(harness: Harness) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    inbound = replace(
        harness.message("t-1", Count()), meta=Meta(store="s", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    )
    await harness.batch(inbound)

    envelope = harness.sent("t-1")[0].envelope
    assert envelope.causation_id == envelope.correlation_id == str(inbound.id)
    assert (envelope.source, envelope.store) == ("meter", "s")
    assert timedelta(0) <= envelope.time - harness.clock.at < timedelta(milliseconds=1)
    assert trace_of(envelope.traceparent) == trace


class TestClaims:
    async def test_the_same_message_twice_in_a_batch_counts_once(self, harness: Harness) -> None:
        message = harness.message("t-1", Count())
        done = await harness.batch(message, message)

        assert (done.handled, done.duplicates, harness.meter("t-1")) == (1, 1, Meter(1))

    async def test_the_same_message_in_a_later_batch_changes_nothing(self, harness: Harness) -> None:
        messages = [harness.message("t-1", Count(totals=("all",))) for _ in range(3)]
        await harness.batch(*messages)
        before = harness.everything()
        done = await harness.batch(*messages)

        assert done.duplicates == 3
        assert harness.everything() == before

    async def test_the_same_message_at_two_workers_at_once_counts_once(self, harness: Harness) -> None:
        message = harness.message("t-1", Count())
        first, second = await asyncio.gather(harness.batch(message), harness.batch(message, worker="meter-1"))

        assert sorted((first.duplicates, second.duplicates)) == [0, 1]
        assert harness.meter("t-1") == Meter(1)

    async def test_a_refused_command_is_a_duplicate_too(self, harness: Harness) -> None:
        harness.when("no", Refused("no", "No."))
        message = harness.message("t-1", Count(what="no"))
        await harness.batch(message)
        await harness.batch(message)

        assert len(harness.events()) == 1


class TestRefusals:
    async def test_a_refused_command_leaves_the_state_and_tells_why(self, harness: Harness) -> None:
        await harness.counts("t-1")
        problems = (Problem(field="what", code="odd", text="Odd."),)
        harness.when("odd", Refused("odd", "This is odd.", problems))
        message = harness.message("t-1", Count(what="odd"))
        done = await harness.batch(message)

        assert (done.refused, done.handled, harness.meter("t-1")) == (1, 0, Meter(1))
        assert harness.events("t-1")[-1] == MeterRefused(
            command="meter.count", command_id=str(message.id), code="odd", text="This is odd.", problems=problems
        )

    async def test_a_refusal_for_a_key_that_does_not_exist_makes_no_state(self, harness: Harness) -> None:
        harness.when("no", Refused("no", "No."))
        await harness.counts("t-1", "no")
        assert harness.meter("t-1") is None
        await harness.counts("t-1", "one more")
        assert [sent.envelope.sequence for sent in harness.sent("t-1")] == [1, 2]

    async def test_a_malformed_command_is_refused_with_all_its_problems(self, harness: Harness) -> None:
        problems = tuple(Problem(field=name, code="missing", text="Missing.") for name in ("a", "b"))
        await harness.batch(harness.record("t-1", Malformed(Count, problems)), harness.message("t-1", Count()))

        refused, counted = harness.events("t-1")
        assert isinstance(refused, MeterRefused)
        assert (refused.code, refused.problems) == ("malformed", problems)
        assert counted == Counted(count=1), "it holds nothing up"


class TestParking:
    async def test_what_makes_the_core_raise_leaves_no_trace_but_itself(self, harness: Harness) -> None:
        def half(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
            context.new_id()
            raise RuntimeError("boom")

        harness.when("boom", half)
        done = await harness.counts("t-1", "one more", "boom")

        assert harness.meter("t-1") == Meter(1)
        assert harness.events() == [Counted(count=1)]
        assert harness.parked() == [("t-1", "failed")]
        assert done.parked[0].error.startswith("RuntimeError: boom (")

    async def test_everything_later_of_its_key_waits_behind_it_in_order(self, harness: Harness) -> None:
        harness.when("boom", RuntimeError("boom"))
        await harness.batch(
            harness.message("a", Count()),
            harness.message("a", Count(what="boom")),
            harness.message("b", Count()),
            harness.message("a", Count(what="second")),
        )
        await harness.batch(harness.message("b", Count()), harness.message("a", Count(what="third")))

        assert harness.parked() == [("a", "failed"), ("a", "behind"), ("a", "behind")]
        bodies = [row.body for row in await harness.store.parked("a")]
        assert [(body or b"").decode().split('"')[3] for body in bodies] == ["boom", "second", "third"]
        assert (harness.meter("a"), harness.meter("b")) == (Meter(1), Meter(2))

    async def test_what_cannot_be_read_is_parked_with_a_copy_to_the_dead_letters(self, harness: Harness) -> None:
        inbound = harness.record("t-1", Undecodable("meter.count", "the body is not JSON"))
        await harness.batch(inbound, harness.message("t-2", Count()))

        assert harness.parked() == [("t-1", "failed")]
        letter = next(row for row, _ in harness.store.rows("outbox").values() if row.key == "t-1")
        assert letter.topic == "meter.dead-letter.v1"
        assert b"the body is not JSON" in letter.headers
        assert b"meter.commands.v1/0/" in letter.headers
        assert harness.meter("t-2") == Meter(1)

    async def test_a_parked_message_is_not_handled_again_when_it_is_delivered_again(self, harness: Harness) -> None:
        harness.when("boom", RuntimeError("boom"))
        message = harness.message("t-1", Count(what="boom"))
        await harness.batch(message)
        await harness.batch(message)
        assert harness.parked() == [("t-1", "failed")]

    async def test_retrying_a_parked_message_that_fails_again_leaves_it_parked(self, harness: Harness) -> None:
        harness.when("boom", RuntimeError("boom"))
        await harness.counts("t-1", "boom")
        row = (await harness.store.parked())[0]
        again = Inbound(row.message_id, row.key, Count(what="boom"), parked=row)
        before = harness.everything()

        with pytest.raises(RetryFailed, match="boom"):
            await harness.batch(again)
        assert harness.everything() == before

        harness.when("boom", Decision(Meter(7)))
        await harness.batch(again)
        assert (harness.parked(), harness.meter("t-1")) == ([], Meter(7))

    async def test_an_event_that_would_be_too_large_parks_its_message(self, harness: Harness) -> None:
        harness.when("shout", Decision(Meter(1), events=[Counted(count=1, text="a" * MAX_BODY)]))
        await harness.counts("t-1", "shout")
        assert (harness.parked(), harness.meter("t-1"), harness.events()) == ([("t-1", "failed")], None, [])


class TestOtherRows:
    async def test_a_row_that_was_not_named_may_not_be_changed(self, harness: Harness) -> None:
        harness.when(
            "sneak", Decision(Meter(1), events=[Counted(count=1)], other_states={Ref(Total, "all"): Total(99)})
        )
        done = await harness.counts("t-1", "sneak")

        assert "does not lock it" in done.parked[0].error
        assert (harness.meter("t-1"), harness.total("all"), harness.events()) == (None, 0, [])

    async def test_a_row_that_is_only_read_may_not_be_changed(self, harness: Harness) -> None:
        def sneak(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
            return Decision(meter, other_states={Ref(Total, "all"): Total(99)})

        harness.when("sneak", sneak)
        await harness.batch(harness.message("t-1", Count(what="sneak", seen=("all",))))
        assert harness.parked() == [("t-1", "failed")]

    async def test_a_row_that_is_read_is_seen_as_it_is(self, harness: Harness) -> None:
        seen: list[object] = []

        def look(meter: Meter, message: Count, context: Context) -> Decision[Meter]:
            seen.append(context.row(Total, "all"))
            return Decision(meter)

        harness.when("look", look)
        look_at = Count(what="look", seen=("all",))
        await harness.batch(
            harness.message("a", look_at), harness.message("b", Count(totals=("all",))), harness.message("a", look_at)
        )
        assert seen == [None, Total(1)]

    async def test_two_workers_that_touch_the_same_rows_lose_nothing(self, harness: Harness) -> None:
        await harness.counts("t-0", totals=("x", "y"))

        async def work(worker: int) -> None:
            for n in range(20):
                message = harness.message(f"t-{worker}-{n}", Count(totals=("x", "y") if worker else ("y", "x")))
                while True:
                    try:
                        await harness.batch(message, worker=f"meter-{worker}")
                        break
                    except Conflict:
                        continue

        await asyncio.gather(work(0), work(1))
        assert (harness.total("x"), harness.total("y")) == (41, 41)


class TestConflicts:
    async def test_of_two_that_create_the_same_row_one_must_run_again(self, harness: Harness) -> None:
        results = await asyncio.gather(
            harness.batch(harness.message("t-1", Count())),
            harness.batch(harness.message("t-1", Count()), worker="meter-1"),
            return_exceptions=True,
        )

        assert [type(result).__name__ for result in results].count("Conflict") == 1
        assert (harness.meter("t-1"), len(harness.events())) == (Meter(1), 1)

    async def test_of_two_that_create_the_same_other_row_one_must_run_again(self, harness: Harness) -> None:
        results = await asyncio.gather(
            harness.batch(harness.message("a", Count(totals=("all",)))),
            harness.batch(harness.message("b", Count(totals=("all",))), worker="meter-1"),
            return_exceptions=True,
        )

        assert [type(result).__name__ for result in results].count("Conflict") == 1
        assert harness.total("all") == 1
