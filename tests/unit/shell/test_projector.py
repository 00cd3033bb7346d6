"""The loop that keeps read models in step with Kafka: each record counts once, whatever fails, with any reader."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import PARTS, PROJECTOR, Progress
from shared.shell.ports.bus import BusRecord, BusUnavailable, Positions
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.store import Conflict, StoreUnavailable
from shared.shell.projection.fold import Fold
from shared.shell.projection.projector import Projector
from shared.simulation.memory_read_models import MemoryReadModels
from shared.simulation.memory_store import MemoryStore
from tests.unit.shell.parcels import PACKED, TABLES, ParcelStatus, Scanned, projection, record_of

PLACE = (PACKED.name, 0)


@dataclass
class Log:
    """A source: hands on what is put in, and says what was committed."""

    reads: list[list[BusRecord] | Exception] = field(default_factory=list)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    away: bool = False

    async def read(self, limit: int) -> Sequence[BusRecord]:
        self.asked.append(limit)
        await asyncio.sleep(0)
        found = self.reads.pop(0) if self.reads else []
        if isinstance(found, Exception):
            raise found
        return found

    async def commit(self, positions: Positions) -> None:
        if self.away:
            raise BusUnavailable("away")
        self.committed |= positions

    def lag(self) -> int:
        return len(self.reads)


@dataclass
class Faults:
    """What goes wrong with the statements of the store, in turn, by name."""

    given: dict[str, list[type[Exception]]] = field(default_factory=dict)

    async def __call__(self, statement: str) -> None:
        await asyncio.sleep(0)
        if waiting := self.given.get(statement):
            raise waiting.pop(0)(statement)


class Rig:
    def __init__(self, linger: float = 0.0) -> None:
        self.faults = Faults()
        self.store = MemoryStore(self.faults)
        self.models = MemoryReadModels(self.store, TABLES)
        self.log = Log()
        self.linger = linger
        self.progress = Progress(parts=(*PARTS, PROJECTOR))
        self.metrics = Metrics("toy", "toy-0")
        self.projector = self.worker()

    def worker(self) -> Projector:
        fold = Fold(projection, TABLES)
        source: Any = self.log
        return Projector(
            *(fold, source, self.models, SystemClock(), self.metrics, random.Random(1), self.progress),
            linger=self.linger,
            batch=10,
        )

    async def read_all(self) -> None:
        running = asyncio.create_task(self.projector.run())
        async with asyncio.timeout(5):
            while self.log.reads:
                await asyncio.sleep(0.001)
            self.projector.stop()
            await running

    def rows(self, table: str) -> list[Any]:
        return list(self.store.rows(table).values())


def parcel(revision: int, key: str = "a", offset: int | None = None, state: str = "packed") -> BusRecord:
    status = ParcelStatus(revision=revision, depot="north", state=state, things=("cup",))
    return record_of(status, key, revision if offset is None else offset)


def scan(offset: int) -> BusRecord:
    return record_of(Scanned(place="door"), "a", offset)


async def test_it_writes_what_is_read_and_says_how_far_it_is() -> None:
    rig = Rig()
    rig.log.reads = [[parcel(1), scan(0)], [parcel(2), scan(1)]]

    await rig.read_all()

    assert [row["packed_revision"] for row in rig.rows("parcels")] == [2]
    assert len(rig.rows("scans")) == 2
    assert rig.log.committed == {PLACE: 3, ("toy.scans.v1", 0): 2}
    assert rig.progress.age(PROJECTOR) == 0
    assert rig.metrics.handled._value.get() == 4


@pytest.mark.parametrize("statement", ["begin", "move", "show", "commit"])
@pytest.mark.parametrize("error", [StoreUnavailable, Conflict])
async def test_what_fails_is_written_the_next_time(statement: str, error: type[Exception]) -> None:
    rig = Rig()
    rig.faults.given = {statement: [error]}

    await rig.projector.take([parcel(1), scan(0)])

    assert len(rig.rows("scans")) == 1
    assert [row["count"] for row in rig.rows("parcel_counts")] == [1]
    assert rig.rows("parked") == []


async def test_a_commit_whose_answer_was_lost_counts_once() -> None:
    rig = Rig()
    rig.faults.given = {"committed": [StoreUnavailable]}

    await rig.projector.take([parcel(1), scan(0)])
    await rig.projector.take([parcel(2)])

    assert [row["count"] for row in rig.rows("parcel_counts")] == [1]
    assert rig.store.rows("read_positions")[PLACE] == 3


async def test_two_that_read_the_same_partition_write_each_record_once() -> None:
    rig = Rig()
    other = rig.worker()
    records = [parcel(number) for number in range(1, 60)]

    await asyncio.gather(*(it.take(records[at : at + 7]) for it in (rig.projector, other) for at in range(0, 56, 7)))

    assert [row["count"] for row in rig.rows("parcel_counts")] == [1]
    assert rig.store.rows("read_positions")[PLACE] == 57


async def test_a_record_that_another_worker_parked_is_out_of_date_once_a_later_one_is_shown() -> None:
    rig = Rig()
    await rig.projector.take([parcel(1, state="lost")])
    assert len(rig.rows("parked")) == 1

    await rig.worker().take([parcel(2)])

    assert rig.rows("parked") == []
    assert [row["packed_revision"] for row in rig.rows("parcels")] == [2]


async def test_a_bug_in_one_row_stops_nothing_else() -> None:
    rig = Rig()
    await rig.projector.take([parcel(1), parcel(2, "b", state="lost"), parcel(3, "c")])

    assert {row["parcel"] for row in rig.rows("parcels")} == {"a", "c"}
    assert [(row.key, "ValueError" in row.error) for row in rig.rows("parked")] == [("b", True)]


async def test_what_cannot_be_stored_is_parked_after_the_database_came_back() -> None:
    rig = Rig()
    text = parcel(1, state="nul\u0000")
    rig.faults.given = {"park": [StoreUnavailable]}

    await rig.projector.take([text, parcel(2, "b", 2)])

    assert [(row.key, row.offset) for row in rig.rows("parked")] == [("a", 1)]
    assert {row["parcel"] for row in rig.rows("parcels")} == {"b"}


async def test_under_light_load_it_waits_a_moment_for_more() -> None:
    rig = Rig(linger=0.05)
    rig.log.reads = [[parcel(1)], [parcel(2)], [], [parcel(3)]]

    await rig.read_all()

    assert rig.store.transactions < 3, "written together"
    assert [row["packed_revision"] for row in rig.rows("parcels")] == [3]
    assert rig.log.asked[:2] == [10, 9]


async def test_it_does_not_ask_kafka_for_more_when_there_is_none() -> None:
    """A read waits up to a second for the next record: what is read already must not wait for that."""
    rig = Rig(linger=0.01)
    rig.log.reads = [[parcel(1)]]

    assert len(await rig.projector._read()) == 1
    assert rig.log.asked == [10]


async def test_it_waits_for_kafka_and_for_positions() -> None:
    rig = Rig()
    rig.log.away = True
    rig.log.reads = [BusUnavailable("away"), StoreUnavailable("positions"), [parcel(1)]]

    await rig.read_all()

    assert len(rig.rows("parcels")) == 1
