"""What stands still while work waits is not ready; what has nothing to do is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import PARTS, STANDSTILL_SECONDS, Progress
from shared.shell.operations import Operations
from shared.shell.ports.bus import BusRecord, BusUnavailable, Positions
from shared.shell.ports.store import StoreUnavailable
from shared.shell.reader import Reader
from shared.shell.relay.relay import Relay
from shared.shell.shell import Shell
from shared.shell.timers import Timers
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import Count
from tests.unit.shell.test_relay_failures import Broker, relaying, write


@dataclass
class Hands:
    """A clock that is moved by hand."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def progress(hands: Hands) -> Progress:
    return Progress(hands)


async def a_moment() -> None:
    await asyncio.sleep(0.05)


class TestProgress:
    def test_nothing_to_do_is_no_standstill(self, progress: Progress, hands: Hands) -> None:
        hands.at += 3600
        assert progress.standing_still() == []
        assert progress.ages() == dict.fromkeys(PARTS, 0.0)

    def test_work_that_waits_for_a_minute_without_progress_is_one(self, progress: Progress, hands: Hands) -> None:
        progress.waits("relay")
        hands.at += STANDSTILL_SECONDS - 1
        progress.waits("relay")  # said again: it still began then
        assert progress.standing_still() == []
        hands.at += 1
        assert progress.standing_still() == ["relay"]
        assert progress.ages()["relay"] == STANDSTILL_SECONDS

    def test_slow_progress_is_progress(self, progress: Progress, hands: Hands) -> None:
        for _ in range(10):
            progress.waits("batcher")
            hands.at += STANDSTILL_SECONDS - 1
            progress.advanced("batcher")
        assert progress.standing_still() == []
        progress.rests("batcher")
        hands.at += 3600
        assert progress.standing_still() == []


class TestRelay:
    async def test_one_that_is_blocked_for_good_stands_still(self, progress: Progress, hands: Hands) -> None:
        store, broker = MemoryStore(), Broker(away=True)
        async with relaying(store, broker, progress=progress):
            await a_moment()
            assert progress.standing_still() == []
            await write(store, ("events", "a", b"1"))
            await a_moment()
            hands.at += STANDSTILL_SECONDS
            assert progress.standing_still() == ["relay"]
            broker.away = False
            async with asyncio.timeout(5):
                while progress.standing_still():
                    await a_moment()
            hands.at += 3600
            assert progress.standing_still() == []

    async def test_one_without_work_rests(self, progress: Progress, hands: Hands) -> None:
        store, broker = MemoryStore(), Broker()
        async with relaying(store, broker, progress=progress):
            await write(store, ("events", "a", b"1"))
            await a_moment()
            hands.at += 3600
            assert progress.standing_still() == []

    async def test_a_topic_that_is_held_up_is_no_standstill_of_the_others(
        self, progress: Progress, hands: Hands
    ) -> None:
        store, broker = MemoryStore(), Broker(missing={"status"})
        async with relaying(store, broker, progress=progress) as relay:
            await write(store, ("status", "a", b"1"), ("events", "a", b"1"))
            await a_moment()
            assert list(relay.held_up.holds) == ["status"]
            hands.at += 3600
            await a_moment()
            assert progress.standing_still() == []

    async def test_a_database_that_is_away_is_a_standstill(self, progress: Progress, hands: Hands) -> None:
        store = MemoryStore()

        async def pause(statement: str) -> None:
            raise StoreUnavailable("gone")

        store.pause = pause
        lock = AdvisoryLock().lock("w", store)
        relay = Relay(store, Broker(), lambda: lock, Metrics("t", "w"), random.Random(1), progress, idle=0.01)
        running = asyncio.create_task(relay.run())
        await a_moment()
        hands.at += STANDSTILL_SECONDS
        assert progress.standing_still() == ["relay"]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@dataclass
class Kafka:
    """A source of which a test says what it answers."""

    answers: list[Sequence[BusRecord] | BusUnavailable] = field(default_factory=list)
    waiting: int = 0

    async def start(self) -> None: ...

    async def read(self, limit: int) -> Sequence[BusRecord]:
        await asyncio.sleep(0.005)
        answer = self.answers[0] if self.answers else []
        if isinstance(answer, BusUnavailable):
            raise answer
        return answer

    async def commit(self, positions: Positions) -> None: ...

    def lag(self) -> int:
        return self.waiting

    def oldest_unread(self) -> None:
        return None

    def ready(self) -> bool:
        return True

    async def stop(self) -> None: ...


@pytest.mark.parametrize(
    ("kafka", "stands_still"),
    [
        (Kafka(), []),
        (Kafka(waiting=3), ["reader"]),
        (Kafka([BusUnavailable("away")]), ["reader"]),
    ],
    ids=["nothing to read", "records that do not come", "kafka away"],
)
async def test_a_reader(progress: Progress, hands: Hands, kafka: Kafka, stands_still: list[str]) -> None:
    harness = Harness()
    batcher = harness.batcher(progress=progress)
    reader = Reader(harness.registry, kafka, harness.store, batcher, harness.metrics, 10, random.Random(1), progress)
    running = asyncio.create_task(reader.run())
    await a_moment()
    hands.at += STANDSTILL_SECONDS
    assert progress.standing_still() == stands_still
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_handler_whose_database_takes_no_batch_stands_still(progress: Progress, hands: Hands) -> None:
    harness, away = Harness(), True

    async def pause(statement: str) -> None:
        if away:
            raise StoreUnavailable("gone")

    harness.store.pause = pause
    batcher = harness.batcher(progress=progress)
    running = asyncio.create_task(batcher.run())
    await batcher.put([harness.message("t-1", Count())])
    await a_moment()
    hands.at += STANDSTILL_SECONDS
    assert progress.standing_still() == ["batcher"]
    away = False
    async with asyncio.timeout(10):
        while progress.standing_still():
            await a_moment()
    hands.at += 3600
    assert progress.standing_still() == []
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("part", ["timers", "operations"])
async def test_what_cannot_look_for_its_work_stands_still(progress: Progress, hands: Hands, part: str) -> None:
    harness, away = Harness(), True

    async def pause(statement: str) -> None:
        if away:
            raise StoreUnavailable("gone")

    harness.store.pause = pause
    batcher = harness.batcher()
    timers = Timers(harness.registry, harness.store, harness.clock, batcher, progress)
    operations = Operations(
        harness.registry,
        harness.store,
        harness.clock,
        "meter-0",
        at_once=4,
        deliver=batcher.put_now,
        metrics=harness.metrics,
        rng=random.Random(1),
        progress=progress,
    )
    running = asyncio.create_task(timers.run(0.01) if part == "timers" else operations.run(0.01))
    await a_moment()
    hands.at += STANDSTILL_SECONDS
    assert progress.standing_still() == [part]
    away = False
    async with asyncio.timeout(5):
        while progress.standing_still():
            await a_moment()
    hands.at += 3600
    await a_moment()
    assert progress.standing_still() == []
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("rows", "age", "session", "stands_still"),
    [
        ((9, 9), 10, 0, []),
        ((9, 8), 3600, 0, []),
        ((9, 9), 3600, 20, ["relay"]),
        ((9, 9), 3600, 600, []),
    ],
    ids=["all is young", "it becomes less", "no worker works", "another works, and a topic is held up"],
)
def test_a_worker_that_had_trouble_and_does_not_relay_now(
    hands: Hands, rows: tuple[int, int], age: float, session: float, stands_still: list[str]
) -> None:
    harness = Harness()
    shell = Shell(
        harness.registry.service,
        "meter-1",
        store=harness.store,
        source=Kafka(),
        sink=Broker(),
        lock=lambda: AdvisoryLock().lock("w", harness.store),
        clock=harness.clock,
        rng=random.Random(1),
    )
    shell.progress._now = hands
    shell.progress.waits("relay")
    for count in rows:
        shell._watch_other_relays(count, age, session)
    hands.at += STANDSTILL_SECONDS
    assert shell.progress.standing_still() == stands_still
