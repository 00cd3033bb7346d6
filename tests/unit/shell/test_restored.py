"""After a restore: numbers never go back, no fact is told twice, and commands by HTTP take effect again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import orjson

from shared.contracts.envelope import encode, from_headers
from shared.core import Context, Decision, Event, Refused
from shared.core.epochs import SPAN
from shared.shell.batch.batch import Batch
from shared.shell.batch.own_log import OwnLog, Said
from shared.shell.batch.result import BatchResult
from shared.shell.http.api import ShellHttpApi
from shared.shell.inbound.message import Inbound
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.http_api import Accepted
from shared.shell.timers import Timers
from shared.simulation.memory_database import OUTBOX
from tests.unit.shell.harness import START, FixedCapacity, Harness
from tests.unit.shell.meter import Count, Counted, Latest, Meter, one_more

FIRST = SPAN + 1


def said(event: Event, number: int, key: str = "t-1", *, late: bool = True, id: int = 0) -> Said:
    kind = f"{event.type}/{event.version}"
    return Said(key, kind, encode(event), UUID(int=id or 1000 + number), number, late)


async def again(harness: Harness, log: OwnLog, *inbounds: Inbound) -> BatchResult:
    """As the worker that catches up."""
    async with harness.store.begin() as tx:
        batch = Batch(harness.registry, "meter-0", harness.clock.now(), FixedCapacity(), own_log=log)
        return await batch.run(tx, inbounds)


def numbers(harness: Harness) -> list[int]:
    return [one.envelope.sequence for one in harness.sent() if one.envelope.type == Counted.type]


def caught_up(*facts: Said) -> OwnLog:
    log = OwnLog()
    log.epoch = 1
    log.open()
    log.add(facts)
    return log


class TestNumbers:
    async def test_they_go_on_above_all_that_were_given(self, harness: Harness) -> None:
        await harness.counts("t-1", "one more", "one more")
        log = OwnLog()
        log.epoch = 1
        await again(harness, log, *(harness.message("t-1", Count()) for _ in range(2)))
        assert numbers(harness) == [1, 2, FIRST, FIRST + 1]
        assert [one.envelope.epoch for one in harness.sent()] == [0, 0, 1, 1]

    async def test_the_epoch_is_a_header_only_after_a_restore(self, harness: Harness) -> None:
        await harness.counts("t-1", "one more")
        (row,) = [row for row, _ in harness.store.rows(OUTBOX).values()]
        assert "ce_epoch" not in dict(orjson.loads(row.headers))

    def test_a_revision_follows_all_that_were_told(self) -> None:
        assert [Context(START, "k", UUID(int=1)).revised(number) for number in (0, 7)] == [1, 8]
        assert Context(START, "k", UUID(int=1), epoch=2).revised(7) == 2 * SPAN + 1
        assert Context(START, "k", UUID(int=1), epoch=2).revised(2 * SPAN + 1) == 2 * SPAN + 2


class TestFacts:
    async def test_one_that_the_topic_has_is_not_published_under_another_id(self, harness: Harness) -> None:
        log = caught_up(said(Counted(count=1), 1))
        await again(harness, log, harness.message("t-1", Count()))
        assert (harness.sent(), log.withheld, log.different) == ([], 1, {})
        await again(harness, log, harness.message("t-1", Count()))
        assert numbers(harness) == [FIRST], "the topic has no second one"

    async def test_the_row_takes_over_its_number(self, harness: Harness) -> None:
        log = caught_up(said(Counted(count=1), 5))
        await again(harness, log, harness.message("t-1", Count()))
        later = OwnLog()
        await again(harness, later, harness.message("t-1", Count()))
        assert numbers(harness) == [6]

    async def test_one_that_says_something_else_is_published(self, harness: Harness) -> None:
        log = caught_up(said(Counted(count=7), 1), said(Counted(count=1), 1, key="t-2"))
        await again(harness, log, harness.message("t-1", Count()))
        assert [one.message for one in harness.sent()] == [Counted(count=1)]
        assert log.different == {"t-1": {"meter.counted"}}

    async def test_under_its_own_id_it_is_not_published_again_whatever_it_says(self, harness: Harness) -> None:
        first = harness.message("t-1", Count())
        await harness.batch(first)
        (id,) = [one.envelope.id for one in harness.sent()]
        restored = Harness()
        log = caught_up(said(Counted(count=7), 3, id=id.int))
        await again(restored, log, first)
        assert (restored.sent(), log.different) == ([], {"t-1": {"meter.counted"}})

    def test_times_of_deciding_make_no_difference(self) -> None:
        log = caught_up(Said("k", "e/1", b'{"a":1,"at":"2026-03-03T14:00:00Z"}', UUID(int=1), 4, late=True))
        assert log.number_of("k", "e/1", b'{"a":2,"at":"2026-03-03T14:00:00Z"}', UUID(int=2), 0) is None
        assert log.number_of("k", "e/1", b'{"a":1,"at":"2026-03-04T15:00:00Z"}', UUID(int=2), 0) == 4

    async def test_what_the_database_knows_of_stands_for_nothing_new(self, harness: Harness) -> None:
        await harness.counts("t-1", "one more")
        harness.when("again", Decision(Meter(2), events=[Counted(count=1)]))
        log = caught_up(said(Counted(count=1), 1, late=False))
        await again(harness, log, harness.message("t-1", Count(what="again")))
        assert numbers(harness) == [1, FIRST]

    async def test_each_stands_for_one_decision_in_any_order(self, harness: Harness) -> None:
        for what, count in (("a", 10), ("b", 20)):
            harness.when(what, Decision(Meter(count), events=[Counted(count=count)]))
        log = caught_up(said(Counted(count=10), 1), said(Counted(count=20), 2))
        messages = [harness.message("t-1", Count(what=what)) for what in ("b", "a")]
        await again(harness, log, *messages)
        assert harness.sent() == []
        await again(harness, log, harness.message("t-1", Count(what="a")))
        assert numbers(harness) == [FIRST]

    async def test_a_batch_that_is_run_again_finds_the_same(self, harness: Harness) -> None:
        log = caught_up(said(Counted(count=1), 1))
        message = harness.message("t-1", Count())
        batch = Batch(harness.registry, "meter-0", harness.clock.now(), FixedCapacity(), own_log=log)
        async with harness.store.begin() as tx:
            await batch.run(tx, [message])
            tx._changes.clear()  # rolled back
        await again(harness, log, message)
        assert harness.sent() == []

    async def test_records_of_compacted_topics_are_told_again(self, harness: Harness) -> None:
        harness.when("latest", Decision(Meter(1), events=[Latest(count=1)]))
        log = caught_up(said(Latest(count=1), 1))
        await again(harness, log, harness.message("t-1", Count(what="latest")))
        assert [one.message for one in harness.sent()] == [Latest(count=1)]


async def test_timers_wait_for_the_messages_of_their_time(harness: Harness) -> None:
    timers = Timers(harness.registry, harness.store, harness.clock, harness.batcher())
    asked = []

    async def due_timers(now: object, *_: object) -> list[object]:
        asked.append(now)
        return []

    setattr(harness.store, "due_timers", due_timers)  # noqa: B010
    await timers.hand_over()
    timers.until = lambda: START - timedelta(hours=1)
    await timers.hand_over()
    assert asked == [START, START - timedelta(hours=1)]


class TestCommandsByHttp:
    def kept(self, harness: Harness) -> list[BusRecord]:
        rows = [row for row, _ in harness.store.rows(OUTBOX).values() if row.topic == Count.topic.name]
        return [
            BusRecord(
                *(row.topic, 0, number, row.key.encode()),
                tuple((name, value.encode()) for name, value in orjson.loads(row.headers)),
                row.body,
                START,
            )
            for number, row in enumerate(rows)
        ]

    async def test_one_that_was_accepted_is_kept_on_its_topic_with_its_actor(
        self, harness: Harness, api: ShellHttpApi
    ) -> None:
        accepted = await api.submit(Count(totals=("a",)), "t-1", identity="k", actor="anna", store="s")
        assert isinstance(accepted, Accepted)
        (record,) = self.kept(harness)
        envelope = from_headers(record.headers, record.key)
        assert (envelope.source, envelope.actor, envelope.store, envelope.subject) == ("meter/http", "anna", "s", "t-1")
        assert envelope.correlation_id == accepted.id
        assert record.value == b'{"totals":["a"]}'

    async def test_all_that_follows_from_it_has_the_id_that_the_202_said(
        self, harness: Harness, api: ShellHttpApi
    ) -> None:
        accepted = await api.submit(Count(), "t-1", identity="k", actor="anna")
        assert isinstance(accepted, Accepted)
        (record,) = self.kept(harness)
        copy, effects = from_headers(record.headers, record.key), [one.envelope for one in harness.sent("t-1")]
        assert str(copy.id) != accepted.id
        assert {it.causation_id for it in (copy, *effects)} == {accepted.id}

    async def test_so_has_what_follows_from_its_copy_after_a_restore(self, harness: Harness, api: ShellHttpApi) -> None:
        accepted = await api.submit(Count(what="refused later"), "t-1", identity="k", actor="anna")
        assert isinstance(accepted, Accepted)
        (record,) = self.kept(harness)
        for restored, what in ((Harness(), one_more), (Harness(), Refused("unknown_total", "There is none."))):
            restored.when("refused later", what)
            inbound = inbound_of(restored.registry, record)
            assert inbound is not None
            await restored.batch(inbound)
            (told,) = [one for one in restored.sent("t-1") if one.envelope.source == "meter"]
            assert told.envelope.causation_id == accepted.id
            assert getattr(told.message, "command_id", accepted.id) == accepted.id

    async def test_the_service_reads_it_as_known(self, harness: Harness, api: ShellHttpApi) -> None:
        await api.submit(Count(), "t-1", identity="k", actor="anna")
        before = harness.everything()
        (record,) = self.kept(harness)
        inbound = inbound_of(harness.registry, record)
        assert inbound is not None
        assert (await harness.batch(inbound)).duplicates == 1
        assert harness.everything() == before

    async def test_another_message_under_its_id_is_not_taken_for_it(self, harness: Harness, api: ShellHttpApi) -> None:
        await api.submit(Count(), "t-1", identity="k", actor="anna")
        (record,) = self.kept(harness)
        inbound = inbound_of(harness.registry, replace(record, value=b'{"what":"forged"}'))
        assert inbound is not None
        assert (await harness.batch(inbound)).refused == 1

    async def test_after_a_restore_it_takes_effect_again_under_the_same_ids(
        self, harness: Harness, api: ShellHttpApi
    ) -> None:
        await api.submit(Count(), "t-1", identity="k", actor="anna")
        (record,) = self.kept(harness)
        first = [(one.envelope.id, one.message, one.envelope.actor) for one in harness.sent("t-1")]
        restored = Harness()
        inbound = inbound_of(restored.registry, record)
        assert inbound is not None
        assert (await restored.batch(inbound)).handled == 1
        assert [(one.envelope.id, one.message, one.envelope.actor) for one in restored.sent("t-1")] == first[:1]

    async def test_one_that_was_refused_is_not_kept(self, harness: Harness, api: ShellHttpApi) -> None:
        await api.submit(Count(what="refused"), "t-1", identity="k", actor="anna")
        assert self.kept(harness) == []

    async def test_one_that_came_by_kafka_is_not_kept(self, harness: Harness) -> None:
        await harness.batch(harness.record("t-1", Count()))
        assert self.kept(harness) == []


class TestTimes:
    async def test_what_is_read_again_tells_when_it_happened(self, harness: Harness) -> None:
        told: list[Context] = []

        def keep(meter: Meter, _: Count, context: Context) -> Decision[Meter]:
            told.append(context)
            return Decision(meter)

        harness.when("keep", keep)
        now, hour = harness.clock.now(), timedelta(hours=1)
        for occurred in (now - hour, now + hour, None):
            message = harness.message("t-1", Count(what="keep"), occurred=occurred)
            await again(harness, caught_up(), message)
        first, ahead, unknown = told
        assert first.happened == now - hour < first.at
        assert [ahead.happened, unknown.happened] == [ahead.at, unknown.at], "no sender's clock leads into the future"

    async def test_at_other_times_it_happens_now_whatever_a_sender_says(self, harness: Harness) -> None:
        told: list[Context] = []

        def keep(meter: Meter, _: Count, context: Context) -> Decision[Meter]:
            told.append(context)
            return Decision(meter)

        harness.when("keep", keep)
        now = harness.clock.now()
        await harness.batch(harness.message("t-1", Count(what="keep"), occurred=now - timedelta(days=1)))
        assert [context.happened for context in told] == [context.at for context in told]
