"""What Kafka does not take holds up nothing but itself: a record, a topic; and order per key holds whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.ports.bus import BusUnavailable, Sent, Sink
from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach, Writes
from shared.shell.relay.relay import MOST_BYTES, Relay
from shared.simulation.bus import MemoryBus, MemorySink
from shared.simulation.memory_database import OUTBOX, UNDELIVERABLE
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock

EVENTS, STATUS = "events", "status"
TOO_LARGE, UNKNOWN_TOPIC = "MessageSizeTooLargeError", "UnknownTopicOrPartitionError"


@dataclass
class Broker:
    """A sink that refuses as Kafka does: a batch (here all of a call's rows for a topic) with everything in it, and a
    topic that is missing. After a refusal its producer must be started again."""

    poison: set[bytes] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    away: bool = False
    log: list[OutboxRow] = field(default_factory=list)
    calls: list[Sequence[OutboxRow]] = field(default_factory=list)
    alive: bool = False

    async def start(self) -> None:
        self.alive = True

    def started(self) -> bool:
        return self.alive

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        assert self.alive
        await asyncio.sleep(0)
        if self.away:
            raise BusUnavailable("away")
        self.calls.append(rows)
        held_up = {row.topic: UNKNOWN_TOPIC for row in rows if row.topic in self.missing}
        refused = {
            row.topic for row in rows if row.topic not in held_up and any(row.body.startswith(p) for p in self.poison)
        }
        taken = [row for row in rows if row.topic not in held_up and row.topic not in refused]
        self.log += taken
        self.alive = not refused
        return Sent([row.id for row in taken], {r.id: TOO_LARGE for r in rows if r.topic in refused}, held_up)

    async def stop(self) -> None: ...

    def bodies(self, topic: str = "", key: str = "") -> list[bytes]:
        return [row.body for row in self.log if row.topic in (topic or row.topic) and row.key in (key or row.key)]


async def write(store: MemoryStore, *rows: tuple[str, str, bytes]) -> None:
    async with store.begin() as tx:
        await tx.write(Writes(outbox=[OutboxRow(topic, key, b"[]", body) for topic, key, body in rows]))


@asynccontextmanager
async def relaying(
    store: MemoryStore, broker: Sink, advisory: AdvisoryLock | None = None, progress: Progress | None = None
) -> AsyncIterator[Relay]:
    lock = (advisory or AdvisoryLock()).lock("w", store)
    relay = Relay(store, broker, lambda: lock, Metrics("meter", "w"), random.Random(1), progress, idle=0.005)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until_empty(store: MemoryStore, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while store.rows(OUTBOX):
            await asyncio.sleep(0.005)


async def until_in_log(broker: Broker, count: int, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while len(broker.log) < count:
            await asyncio.sleep(0.005)


class TestARecordThatKafkaRefuses:
    async def test_it_becomes_undeliverable_and_everything_else_goes_on(self) -> None:
        store, broker = MemoryStore(), Broker(poison={b"bad"})
        await write(store, *((EVENTS, f"k{n}", b"%d" % n) for n in range(20)), (EVENTS, "poisoned", b"bad"))
        await write(store, (EVENTS, "poisoned", b"later"), (STATUS, "poisoned", b"status"), (EVENTS, "k1", b"more"))
        async with relaying(store, broker):
            await until_empty(store)

        assert sorted(broker.bodies(EVENTS)) == sorted([*(b"%d" % n for n in range(20)), b"more"])
        assert broker.bodies(EVENTS, "k1") == [b"1", b"more"]
        assert broker.bodies(STATUS) == [b"status"]
        (aside,) = await store.undeliverable()
        assert (aside.topic, aside.key, aside.body, aside.reason) == (EVENTS, "poisoned", b"bad", TOO_LARGE)
        assert await store.waiting_behind() == {(EVENTS, "poisoned"): 2}, "the later one waits"

    async def test_what_comes_later_for_its_key_waits_also_under_another_relay(self) -> None:
        store, broker = MemoryStore(), Broker(poison={b"bad"})
        await write(store, (EVENTS, "a", b"bad"))
        async with relaying(store, broker):
            await until_empty(store)
        async with relaying(store, broker):
            await write(store, (EVENTS, "a", b"later"), (EVENTS, "b", b"other"))
            await until_empty(store)
        assert broker.bodies() == [b"other"]

    async def test_sent_again_it_goes_first_and_those_behind_it_follow(self) -> None:
        store, broker = MemoryStore(), Broker(poison={b"bad"})
        async with relaying(store, broker) as relay:
            await write(store, (EVENTS, "a", b"bad"), (EVENTS, "a", b"2"))
            await until_empty(store)
            broker.poison.clear()
            await write(store, (EVENTS, "a", b"3"))
            (aside,) = await store.undeliverable()
            await store.send_again(aside.id, drop=False)
            await write(store, (EVENTS, "a", b"4"))
            relay.wake()
            await until_empty(store)
        assert broker.bodies() == [b"bad", b"2", b"3", b"4"]
        assert not store.rows(UNDELIVERABLE)

    async def test_dropped_it_is_gone_and_those_behind_it_follow(self) -> None:
        store, broker = MemoryStore(), Broker(poison={b"bad"})
        async with relaying(store, broker):
            await write(store, (EVENTS, "a", b"bad"), (EVENTS, "a", b"2"))
            await until_empty(store)
            (aside,) = await store.undeliverable()
            assert await store.send_again(aside.id, drop=True) == 1
            await until_empty(store)
        assert broker.bodies() == [b"2"]
        assert not store.rows(UNDELIVERABLE)


class TestATopicThatIsMissing:
    async def test_its_rows_are_not_walked_over_at_every_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A million of them took two thirds of a core, with nothing else to do."""
        monkeypatch.setattr("shared.shell.relay.marks.SWEEP_SECONDS", 0.05)
        monkeypatch.setattr("shared.shell.relay.marks.LONGEST_HOLD", 0.2)
        store, broker, starts = MemoryStore(), Broker(missing={STATUS}), list[int]()
        head = store.outbox_head

        async def look(reach: Reach) -> Sequence[OutboxRow]:
            starts.append(reach.after)
            return await head(reach)

        monkeypatch.setattr(store, "outbox_head", look)
        await write(store, *((STATUS, f"k{n}", b"1") for n in range(20)))
        async with relaying(store, broker) as relay:
            await asyncio.sleep(0.5)
            starts.clear()
            await asyncio.sleep(1)
            assert starts.count(0) < len(starts) / 3
            await write(store, (EVENTS, "a", b"1"))
            relay.wake()
            await until_in_log(broker, 1)
            broker.missing.clear()
            await until_empty(store)

    async def test_it_holds_up_itself_only_and_catches_up_in_order(self) -> None:
        store, broker = MemoryStore(), Broker(missing={STATUS})
        async with relaying(store, broker) as relay:
            await write(store, *((STATUS, f"k{n % 3}", b"s%d" % n) for n in range(1500)))
            await write(store, *((EVENTS, f"k{n % 3}", b"e%d" % n) for n in range(30)))
            await until_in_log(broker, 30)
            assert broker.bodies() == [b"e%d" % n for n in range(30)]
            assert list(relay.held_up.holds) == [STATUS]

            await write(store, (EVENTS, "k1", b"after"))
            await until_in_log(broker, 31)
            broker.missing.clear()
            await until_empty(store)
            assert not relay.held_up.holds
        for key in range(3):
            assert broker.bodies(STATUS, f"k{key}") == [b"s%d" % n for n in range(1500) if n % 3 == key]

    async def test_it_is_tried_ever_more_seldom(self) -> None:
        store, broker = MemoryStore(), Broker(missing={STATUS})
        async with relaying(store, broker):
            await write(store, (STATUS, "a", b"s"))
            await asyncio.sleep(1.2)
        assert 2 <= len(broker.calls) <= 5


async def test_a_read_is_bounded_in_bytes() -> None:
    store, broker = MemoryStore(), Broker()
    await write(store, *((EVENTS, f"k{n}", b"x" * 1_000_000) for n in range(50)))
    async with relaying(store, broker):
        await until_empty(store)
    assert len(broker.log) == 50
    assert max(sum(len(row.body) for row in call) for call in broker.calls) <= MOST_BYTES + 1_000_000


written = st.tuples(st.sampled_from([EVENTS, STATUS, "dead"]), st.sampled_from("abc"), st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(written, max_size=40), st.integers(0, 2**32))
async def test_order_per_key_holds_whatever_is_refused_missing_away_or_sent_again(
    wanted: list[tuple[str, str, bool]], seed: int
) -> None:
    rng, store, broker = random.Random(seed), MemoryStore(), Broker(poison={b"bad"})
    lines: dict[tuple[str, str], list[bytes]] = {}
    advisory = AdvisoryLock()
    async with relaying(store, broker, advisory) as relay:
        for number, (topic, key, bad) in enumerate(wanted):
            body = (b"bad%d" if bad else b"%d") % number
            lines.setdefault((topic, key), []).append(body)
            await write(store, (topic, key, body))
            broker.missing ^= {topic} if rng.random() < 0.2 else set()
            broker.away = rng.random() < 0.1
            relay.wake()
            for _ in range(rng.randrange(30)):
                await asyncio.sleep(0)
            aside = await store.undeliverable()
            if aside and rng.random() < 0.3:
                await store.send_again(rng.choice(aside).id, drop=False)
        broker.away, broker.missing, broker.poison = False, set(), set()
        async with asyncio.timeout(20):
            while store.rows(OUTBOX) or store.rows(UNDELIVERABLE):
                for row in await store.undeliverable():
                    await store.send_again(row.id, drop=False)
                relay.wake()
                await asyncio.sleep(0.005)
    for (topic, key), bodies in lines.items():
        assert list(dict.fromkeys(broker.bodies(topic, key))) == bodies


class SleepySink(MemorySink):
    """Falls asleep before or after one of its steps, until it is woken."""

    def __init__(self, bus: MemoryBus, fence: str, sleeps_at: int) -> None:
        super().__init__(bus, fence=fence)
        self.woken = asyncio.Event()
        self._steps, self._sleeps_at = 0, sleeps_at

    async def _step(self) -> None:
        self._steps += 1
        if self._steps == self._sleeps_at:
            await self.woken.wait()

    async def start(self) -> None:
        await self._step()
        await super().start()
        await self._step()

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        await self._step()
        sent = await super().send(rows)
        await self._step()
        return sent


@pytest.mark.parametrize("sleeps_at", range(1, 7))
async def test_a_relay_that_slept_publishes_nothing_older_last(sleeps_at: int) -> None:
    """It loses its lock while it sleeps; the next one sends newer records; then it wakes."""
    store, advisory = MemoryStore(), AdvisoryLock()
    bus = MemoryBus(lambda: datetime(2026, 1, 1, tzinfo=UTC), random.Random(1))
    sleepy = SleepySink(bus, "fence", sleeps_at)
    await write(store, *((STATUS, f"k{n}", b"1") for n in range(5)))
    async with relaying(store, sleepy, advisory):
        while advisory.holder is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        advisory.broken()
        async with relaying(store, MemorySink(bus, fence="fence"), advisory):
            await write(store, *((STATUS, f"k{n}", b"2") for n in range(5)))
            await until_empty(store)
            sleepy.woken.set()
            await asyncio.sleep(0.02)
            await until_empty(store)
    last = {record.key: record.value for record in bus.records()}
    assert len(last) == 5 and set(last.values()) == {b"2"}


async def test_troubles_are_counted_again_from_one_after_a_round_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    store, broker = MemoryStore(), Broker(away=True)
    troubles = []

    def back_off(first: float, attempts: int, rng: random.Random, ceiling: float) -> float:
        troubles.append(attempts)
        broker.away = attempts < 3
        return 0.0

    monkeypatch.setattr("shared.shell.relay.relay.back_off", back_off)
    await write(store, (EVENTS, "o-1", b"first"))
    async with relaying(store, broker):
        await until_empty(store)
        broker.away = True
        await write(store, (EVENTS, "o-1", b"second"))
        await until_empty(store)

    assert troubles == [1, 2, 3, 1, 2, 3]
