"""After a restore: what a sender was told of a command holds, and what was parked is tried before anything is read."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from uuid import UUID

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Context, Decision, Event, Ref, Refused, effect_id, mixed
from shared.shell.batch.batch import Batch
from shared.shell.batch.own_log import OwnLog, Said
from shared.shell.batch.result import BatchResult
from shared.shell.inbound.message import Inbound, identity_of, kept_id, kept_source
from shared.shell.inbound.records import inbound_of
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import ParkedRow
from shared.shell.shell import Shell
from shared.simulation.bus import MemoryBus, MemoryCatchUp, MemorySink
from shared.simulation.memory_database import PARKED
from shared.simulation.relay_lock import AdvisoryLock
from tests.unit.shell.harness import START, FixedCapacity, Harness
from tests.unit.shell.meter import Count, Counted, Meter, MeterRefused, Total, one_more
from tests.unit.shell.test_restored import again, caught_up, numbers

NO_SUCH_TOTAL = Refused("unknown_total", "There is no such total.")


def told(harness: Harness, inbound: Inbound, event: Event, number: int, cause: str = "") -> Said:
    """What was published when this message was decided for the first time."""
    seed = mixed(inbound.identity, harness.registry.salt)
    id = effect_id(seed, f"{event.type} {inbound.key}", 1)
    kind = f"{event.type}/{event.version}"
    return Said(inbound.key, kind, encode(event), id, number, late=True, cause=cause or str(inbound.id))


def refusal(inbound: Inbound, code: str = "unknown_total") -> MeterRefused:
    return MeterRefused(command=Count.type, command_id=str(inbound.id), code=code, text="There is no such total.")


def needs_total(meter: Meter, message: Count, context: Context) -> Decision[Meter] | Refused:
    if context.rows[Ref(Total, "a")] is None:
        return NO_SUCH_TOTAL
    return Decision(Meter(meter.count + 1), events=[Counted(count=meter.count + 1)])


def read(harness: Harness, key: str, message: Count) -> Inbound:
    """As it comes by Kafka."""
    envelope = Envelope(id=harness.message(key, message).id, type=message.type, source="shop", subject=key, time=START)
    headers = tuple(to_headers(envelope))
    record = BusRecord(Count.topic.name, 0, harness.numbers, key.encode(), headers, encode(message), START)
    inbound = inbound_of(harness.registry, record)
    assert inbound is not None
    return inbound


def rows(harness: Harness) -> list[ParkedRow]:
    return [*harness.store.rows(PARKED).values()]


class TestHadAnEffect:
    async def test_it_is_parked_where_a_row_that_it_reads_is_not_there_yet(self, harness: Harness) -> None:
        harness.when("buy", needs_total)
        message = harness.message("t-1", Count(what="buy", seen=("a",)))
        log = caught_up(told(harness, message, Counted(count=1), 1))
        done = await again(harness, log, message, harness.message("t-1", Count()))
        assert (done.refused, done.handled) == (0, 0)
        first, behind = rows(harness)
        assert first.error.startswith(
            "DecidedOtherwise: It had an effect the first time (meter.counted), and would now be"
        )
        assert "refused: unknown_total: There is no such total." in first.error
        assert behind.reason == "behind"
        assert MeterRefused not in {type(one.message) for one in harness.sent("t-1")}

    async def test_it_has_it_once_the_row_is_there(self, harness: Harness) -> None:
        harness.when("buy", needs_total)
        message = read(harness, "t-1", Count(what="buy", seen=("a",)))
        log = caught_up(told(harness, message, Counted(count=1), 1))
        await again(harness, log, message)
        await harness.counts("t-2", totals=("a",))
        harness.when("buy", Decision(Meter(1), events=[Counted(count=1)]))
        batcher = harness.batcher()
        batcher.own_log = log
        assert await Parking(harness.registry, harness.store, batcher, harness.clock).retry_all() == {}
        assert (harness.parked(), harness.meter("t-1"), log.withheld) == ([], Meter(1), 1)

    async def test_one_that_came_over_http_is_known_by_its_copy(self, harness: Harness) -> None:
        harness.when("buy", needs_total)
        first = harness.message("t-1", Count(what="buy", seen=("a",)))
        copy = kept_id("meter", first.id)
        message = harness.message("t-1", Count(what="buy", seen=("a",)))
        message = replace(message, id=copy, claim=identity_of(kept_source("meter"), copy))
        done = await again(harness, caught_up(told(harness, first, Counted(count=1), 1)), message)
        assert (done.refused, len(harness.parked())) == (0, 1)

    async def test_one_that_reads_no_other_row_is_refused_and_named(self, harness: Harness) -> None:
        """Staff could not help: what it waits for would wait behind it."""
        message = harness.message("t-1", Count(what="refused"))
        harness.when("refused", NO_SUCH_TOTAL)
        done = await again(harness, caught_up(told(harness, message, Counted(count=1), 1)), message)
        assert (done.refused, harness.parked()) == (1, [])

    async def test_one_that_only_goes_on_with_its_row_is_refused_and_named(self, harness: Harness) -> None:
        """Its own row may lack the answer to a call, which would wait behind it."""
        core, handling = harness.registry.handler(Count)
        goes_on = (core, replace(handling, begins=False))
        setattr(harness.registry, "handler", lambda kind: goes_on)  # noqa: B010
        harness.when("buy", needs_total)
        message = harness.message("t-1", Count(what="buy", seen=("a",)))
        done = await again(harness, caught_up(told(harness, message, Counted(count=1), 1)), message)
        assert (done.refused, harness.parked()) == (1, [])

    async def test_one_of_which_the_topics_say_nothing_is_refused(self, harness: Harness) -> None:
        harness.when("buy", needs_total)
        other = harness.message("t-1", Count())
        log = caught_up(told(harness, other, Counted(count=1), 1))
        done = await again(harness, log, harness.message("t-1", Count(what="buy", seen=("a",))))
        assert (done.refused, harness.parked()) == (1, [])

    async def test_what_a_message_of_another_source_with_its_id_brought_about_is_not_its_own(
        self, harness: Harness
    ) -> None:
        """Ids are unique within a source only."""
        harness.when("buy", needs_total)
        real = harness.message("t-1", Count())
        other = replace(real, message=Count(what="buy", seen=("a",)), claim=identity_of("another-shop", real.id))
        log = caught_up(told(harness, real, Counted(count=1), 1))
        done = await again(harness, log, other)
        assert (done.refused, harness.parked()) == (1, [])


class TestWasRefused:
    async def test_it_stays_refused_though_another_source_used_its_id_for_what_had_an_effect(
        self, harness: Harness
    ) -> None:
        real = harness.message("t-1", Count())
        other = replace(real, message=Count(what="buy"), claim=identity_of("another-shop", real.id))
        log = caught_up(told(harness, real, Counted(count=1), 1), told(harness, other, refusal(other), 2))
        done = await again(harness, log, other)
        assert (done.refused, done.handled, harness.sent()) == (1, 0, [])

    async def test_it_stays_refused_though_it_would_be_accepted_now(self, harness: Harness) -> None:
        message = harness.message("t-1", Count())
        log = caught_up(told(harness, message, refusal(message), 4))
        done = await again(harness, log, message)
        assert (done.refused, done.handled, harness.sent(), harness.meter("t-1")) == (1, 0, [], None)
        assert (log.withheld, log.different) == (1, {})
        await again(harness, OwnLog(), harness.message("t-1", Count()))
        assert numbers(harness) == [5], "its number is taken"

    async def test_a_batch_that_is_run_again_finds_the_same(self, harness: Harness) -> None:
        message = harness.message("t-1", Count())
        log = caught_up(told(harness, message, refusal(message), 4))
        async with harness.store.begin() as tx:
            await Batch(harness.registry, "meter-0", harness.clock.now(), FixedCapacity(), own_log=log).run(
                tx, [message]
            )
            tx._changes.clear()  # rolled back
        assert (await again(harness, log, message)).refused == 1

    async def test_an_effect_that_it_had_as_well_counts_more(self, harness: Harness) -> None:
        """An earlier restore refused it wrongly."""
        message = harness.message("t-1", Count())
        log = caught_up(told(harness, message, Counted(count=1), 1), told(harness, message, refusal(message), 2))
        done: BatchResult = await again(harness, log, message)
        assert (done.handled, harness.sent()) == (1, [])

    async def test_the_refusal_of_another_message_says_nothing_of_it(self, harness: Harness) -> None:
        other = harness.message("t-1", Count())
        log = caught_up(told(harness, other, refusal(other), 1, cause=str(UUID(int=9))))
        assert (await again(harness, log, harness.message("t-1", Count()))).handled == 1


class TestParked:
    async def test_every_key_is_tried_and_those_that_fail_are_named(self, harness: Harness) -> None:
        harness.when("a", RuntimeError("a bug"))
        harness.when("b", RuntimeError("another bug"))
        await harness.batch(*(read(harness, "t-1", Count(what=what)) for what in ("a", "one more")))
        await harness.batch(read(harness, "t-2", Count(what="b")))
        harness.when("a", Decision(Meter(1)))
        parking = Parking(harness.registry, harness.store, harness.batcher(), harness.clock)
        failed = await parking.retry_all()
        assert [*failed] == ["t-2"]
        assert failed["t-2"].startswith("RuntimeError: another bug")
        assert harness.parked() == [("t-2", "failed")]
        assert harness.meter("t-1") == Meter(2)

    async def test_a_worker_that_catches_up_tries_them_before_it_reads(self, harness: Harness) -> None:
        """What is read may need them: here a total that another key's command reads."""
        harness.when("bug", RuntimeError("a bug"))
        await harness.batch(read(harness, "t-1", Count(what="bug", totals=("a",))))
        harness.answers["bug"] = one_more
        harness.when("buy", needs_total)
        bus = MemoryBus(harness.clock.now, random.Random(1))
        envelope = Envelope(
            id=harness.message("t-2", Count()).id, type=Count.type, source="shop", subject="t-2", time=START
        )
        bus.append(Count.topic.name, b"t-2", to_headers(envelope), encode(Count(what="buy", seen=("a",))))
        source = MemoryCatchUp(bus, "meter", "meter-0", [Count.topic.name])
        shell = Shell(
            harness.registry.service,
            "meter-0",
            store=harness.store,
            source=source,
            sink=MemorySink(bus),
            lock=lambda: AdvisoryLock().lock("meter-0", harness.store),
            clock=harness.clock,
            rng=random.Random(1),
            metrics=harness.metrics,
            own_log=caught_up(),
        )
        source.settled = shell.settled
        await shell.start()
        async with asyncio.timeout(10.0):
            while not (source.reached() and shell.batcher.idle()):
                await asyncio.sleep(0.01)
        await shell.stop(0.1)
        assert ([row.error for row in rows(harness)], harness.total("a")) == ([], 1)
        assert harness.meter("t-2") == Meter(1), "not refused"
