"""The relay: everything in the outbox reaches Kafka, in order per key, also what commits late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.shell.ports.bus import BusUnavailable, Sent
from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach, Running, StoreUnavailable
from shared.shell.relay import marks
from shared.shell.relay.marks import SWEEP_SECONDS, LowMark
from shared.shell.relay.relay import Relay
from shared.simulation.memory_database import OUTBOX
from shared.simulation.memory_store import MemoryStore
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.meter import Count


@dataclass
class Topic:
    """A sink: keeps what it gets. `trouble` says what goes wrong with a call: nothing, half of it, all of it."""

    trouble: list[str] = field(default_factory=list)
    records: list[OutboxRow] = field(default_factory=list)

    async def start(self) -> None: ...

    def started(self) -> bool:
        return True

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        await breathe("")
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "away":
            raise BusUnavailable("away")
        taken = rows[: len(rows) // 2] if trouble == "half" else rows
        self.records += taken
        if trouble == "unheard":
            raise BusUnavailable("the answer was lost")
        return Sent([row.id for row in taken], trouble="half" if trouble == "half" else "")

    async def stop(self) -> None: ...


@dataclass
class FreeLock:
    store: MemoryStore

    async def acquire(self, wake: Callable[[], None]) -> None: ...

    def held(self) -> bool:
        return True

    async def head(self, reach: Reach) -> Sequence[OutboxRow]:
        return await self.store.outbox_head(reach)

    async def close(self) -> None: ...


async def relayed(store: MemoryStore, topic: Topic, *, seconds: float = 2) -> None:
    """Relay until the outbox is empty."""
    relay = Relay(store, topic, lambda: FreeLock(store), Harness().metrics, random.Random(1), idle=0.005)
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(seconds):
        while store.rows(OUTBOX):
            await asyncio.sleep(0.005)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_everything_is_sent_in_order_and_deleted() -> None:
    harness, topic = Harness(), Topic()
    for _ in range(5):
        await harness.batch(*(harness.message(f"t-{n}", Count()) for n in range(4)))
    await relayed(harness.store, topic)

    assert [row.id for row in topic.records] == list(range(1, 21))


async def test_troubles_repeat_but_never_skip_or_swap() -> None:
    harness, topic = Harness(), Topic(["away", "half", "unheard", "half", ""])
    for _ in range(5):
        await harness.batch(*(harness.message(f"t-{n}", Count()) for n in range(4)))
    await relayed(harness.store, topic, seconds=10)

    for key in ("t-0", "t-1", "t-2", "t-3"):
        ids = [row.id for row in topic.records if row.key == key]
        first = list(dict.fromkeys(ids))
        assert first == sorted(first)
        assert len(first) == 5


async def test_a_row_that_commits_late_is_never_skipped() -> None:
    """Ids are given out at insertion: one transaction holds a low id while higher ones are long sent."""
    harness, topic = Harness(), Topic()
    go_on = asyncio.Event()

    async def hold(statement: str) -> None:
        if statement == "commit" and asyncio.current_task() is slow:
            await go_on.wait()

    harness.store.pause = hold
    slow = asyncio.create_task(harness.batch(harness.message("slow", Count())))
    for _ in range(10):
        await asyncio.sleep(0)
    await harness.batch(*(harness.message("quick", Count()) for _ in range(3)))
    await relayed(harness.store, topic)
    assert [row.key for row in topic.records] == ["quick"] * 3
    assert min(row.id for row in topic.records) == 2

    go_on.set()
    await slow
    await relayed(harness.store, topic)
    assert topic.records[-1].key == "slow"
    assert topic.records[-1].id == 1


class SlowLock(FreeLock):
    """Reads take long, so sweeps are rare."""

    async def head(self, reach: Reach) -> Sequence[OutboxRow]:
        await asyncio.sleep(0.02)
        return await super().head(reach)


async def test_what_commits_late_is_sent_before_later_rows_of_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that sleeps before its commit keeps its key's next rows from being written, and nothing else."""
    monkeypatch.setattr(marks, "SWEEP_SECONDS", 0.02)
    harness, topic, go_on = Harness(), Topic(), asyncio.Event()
    await harness.counts("slow")

    async def hold(statement: str) -> None:
        if statement == "commit" and asyncio.current_task() is slow:
            await go_on.wait()

    slow = asyncio.create_task(harness.counts("slow"))
    harness.store.pause = hold
    relay = Relay(harness.store, topic, lambda: SlowLock(harness.store), harness.metrics, random.Random(1), idle=0.005)
    running = asyncio.create_task(relay.run())
    for _ in range(10):
        await asyncio.sleep(0.02)
        await harness.counts("quick")
    go_on.set()
    await slow
    await harness.counts("slow")
    async with asyncio.timeout(2):
        while harness.store.rows(OUTBOX):
            await asyncio.sleep(0.005)
    running.cancel()

    assert [row.id for row in topic.records if row.key == "slow"] == [1, 2, 13]


async def test_an_outbox_that_cannot_be_read_or_emptied_is_tried_again() -> None:
    harness, topic = Harness(), Topic()
    await harness.counts("t-1")
    troubles = iter(["outbox_head", "outbox_sent"])
    failing = next(troubles)

    async def pause(statement: str) -> None:
        nonlocal failing
        if statement == failing:
            failing = next(troubles, "")
            raise StoreUnavailable("gone")

    harness.store.pause = pause
    await relayed(harness.store, topic, seconds=5)
    assert [row.id for row in topic.records] == [1, 1], "sent again, since it was unknown"


@dataclass
class Outbox:
    """As PostgreSQL has it: ids are given out while rows are written, and seen once their transactions end."""

    ids: int = 0
    transactions: int = 0
    open: dict[int, int] = field(default_factory=dict)
    """The row that each transaction in progress has written."""

    def write(self) -> None:
        self.ids, self.transactions = self.ids + 1, self.transactions + 1
        self.open[self.transactions] = self.ids

    def end(self, which: int) -> int:
        return self.open.pop(sorted(self.open)[which % len(self.open)])

    def running(self) -> Running:
        return Running(min(self.open, default=self.transactions + 1), self.transactions + 1)


class TestLowMark:
    def test_it_sweeps_from_the_very_beginning_every_few_seconds(self) -> None:
        mark = LowMark()
        starts = []
        for step in range(200):
            now = 100 + step * 0.1
            start = mark.start(now)
            mark.read(0.0, whole=True)
            starts.append((now, start))
            mark.sent(1000 + step * 10)
            if mark.is_old(now):
                mark.rise(Running(step, step), now)
        sweeps = [now for now, start in starts if start == 0]
        assert max(b - a for a, b in pairwise(sweeps)) <= 2 * SWEEP_SECONDS
        assert len(sweeps) < len(starts) / 2 + 5

    @given(st.lists(st.tuples(st.floats(0.001, 3), st.integers(1, 500)), min_size=1, max_size=200))
    def test_it_never_starts_above_what_was_sent_a_sweep_ago(self, steps: list[tuple[float, int]]) -> None:
        mark, now, highest = LowMark(), 1000.0, 0
        sent: list[tuple[float, int]] = []
        for seconds, rows in steps:
            now += seconds
            start = mark.start(now)
            mark.read(0.0, whole=True)
            old = [high for at, high in sent if at <= now - SWEEP_SECONDS]
            assert start <= max(old, default=0)
            highest += rows
            mark.sent(highest)
            if mark.is_old(now):
                mark.rise(Running(rows, rows), now)
            sent.append((now, highest))

    @given(st.lists(st.tuples(st.floats(0.001, 3), st.sampled_from("wwwe"), st.integers(0, 9)), max_size=200))
    def test_it_never_starts_above_a_row_that_is_not_committed_yet(self, steps: list[tuple[float, str, int]]) -> None:
        """However long its transaction takes: once it is committed, later rows of its key may come above."""
        mark, outbox, now = LowMark(), Outbox(), 1000.0
        for seconds, what, which in steps:
            now += seconds
            if what == "w" or not outbox.open:
                outbox.write()
            else:
                mark.sent(outbox.end(which))
            if mark.is_old(now):
                mark.rise(outbox.running(), now)
            assert all(mark.start(now) < id for id in outbox.open.values())
            mark.read(0.0, whole=True)

    def test_it_rises_again_once_all_have_committed(self) -> None:
        mark, outbox = LowMark(), Outbox()
        for now in range(100, 200, 3):
            outbox.write()
            mark.sent(outbox.end(0))
            mark.rise(outbox.running(), now)
            mark.read(0.0, whole=True)
        mark.start(200)
        assert mark.start(200.1) == outbox.ids - 1

    def test_it_rises_only_after_all_was_read_once_more(self) -> None:
        """What the last transaction wrote may have been committed after the last read."""
        mark = LowMark()
        mark.start(100.0)
        mark.sent(10)
        mark.rise(Running(1, 1), 100.0)
        mark.rise(Running(1, 1), 100.5)
        assert mark.start(100.6) == 0
        mark.read(0.0, whole=False)
        assert mark.start(100.7) == 0
        mark.read(0.0, whole=True)
        assert mark.start(100.8) == 10
