"""However large records are, a worker holds few bytes of them at a time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from shared.shell.inbound.records import inbound_of
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusRecord, Positions
from shared.shell.reader import MOST_WAITING, Reader
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import NOTICES

LARGE = bytes(5_000_000)


def records(first: int = 0) -> list[BusRecord]:
    """Garbage that is parked: half of it in the body, half in a header."""
    place = (NOTICES.name, 0)
    return [
        BusRecord(*place, first, b"t-1", (), LARGE, START),
        BusRecord(*place, first + 1, b"t-1", (("x", LARGE),), None, START),
    ]


@dataclass
class Endless:
    """A source that always has more."""

    offsets: itertools.count[int] = field(default_factory=lambda: itertools.count(0, 2))
    reads: int = 0

    async def start(self) -> None: ...
    async def read(self, limit: int) -> Sequence[BusRecord]:
        await asyncio.sleep(0)
        self.reads += 1
        return records(next(self.offsets))

    async def commit(self, positions: Positions) -> None: ...
    def lag(self) -> int:
        return 1

    def oldest_unread(self) -> None:
        return None

    def ready(self) -> bool:
        return True

    async def stop(self) -> None: ...


async def test_nothing_more_is_read_while_many_bytes_wait() -> None:
    harness, source = Harness(), Endless()
    batcher = harness.batcher()
    reader = Reader(harness.registry, source, harness.store, batcher, harness.metrics, 100, random.Random(1))
    tasks = [asyncio.create_task(reader.run())]
    try:
        for _ in range(3):
            await asyncio.sleep(0.05)
            waiting = source.reads
            assert 2 * len(LARGE) * (waiting - 1) <= MOST_WAITING
        tasks.append(asyncio.create_task(batcher.run()))
        async with asyncio.timeout(60):
            while source.reads < waiting + 3:
                await asyncio.sleep(0.01)
    finally:  # whatever happened: they would read and park without end
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Small(Endless):
    """As many records as are asked for, each of a line of its own."""

    async def read(self, limit: int) -> Sequence[BusRecord]:
        await asyncio.sleep(0)
        self.reads += 1
        places = ((NOTICES.name, 0, next(self.offsets)) for _ in range(limit))
        return [BusRecord(*place, b"t-%d" % place[2], (), b"", START) for place in places]


async def test_no_more_is_read_than_the_next_batch_needs() -> None:
    """What waits is parsed, and takes ten times the memory of its record."""
    harness, source = Harness(), Small()
    batcher = harness.batcher(batch=20)
    reader = Reader(harness.registry, source, harness.store, batcher, harness.metrics, 20, random.Random(1))
    tasks = [asyncio.create_task(reader.run())]
    try:
        await asyncio.sleep(0.05)
        assert source.reads == 1
        tasks.append(asyncio.create_task(batcher.run()))
        async with asyncio.timeout(60):
            while source.reads < 5:
                await asyncio.sleep(0.001)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_parked_messages_are_listed_without_their_contents_and_read_a_few_at_a_time() -> None:
    harness = Harness()
    parking = Parking(harness.registry, harness.store, harness.batcher(), harness.clock)
    garbage = [inbound_of(harness.registry, record) for first in (0, 2, 4) for record in records(first)]
    await harness.batch(*filter(None, garbage))

    assert [(row.headers, row.body) for row in await parking.list()] == [(b"", None)] * 6
    assert len(await parking.show("t-1")) == 2
    assert len(await harness.store.parked("t-1", most_bytes=1)) == 1

    harness.registry.foreign = frozenset({(NOTICES.name, None)})  # type: ignore[arg-type]
    released = await parking.retry("t-1")
    assert (released.handled, harness.parked()) == (6, [])
