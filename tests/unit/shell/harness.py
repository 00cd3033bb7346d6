"""The shell's parts over a store in memory, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from shared.contracts.envelope import Envelope, decode, from_headers, message_type
from shared.core import Context, Decision, Event, Refused, codec, derived_id
from shared.shell.batch.batch import Batch
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.leases import NoCapacity
from shared.shell.batch.result import BatchResult
from shared.shell.inbound.message import Inbound, Meta, RecordSource
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.operations import Operations
from shared.shell.ports.rows import OperationRow, OutboxRow, TimerRow
from shared.shell.ports.store import LONG_AGO, LeaseRequest
from shared.shell.service.registry import HandlerRegistry
from shared.simulation.memory_database import OPERATIONS, OUTBOX, PARKED, TIMERS
from shared.simulation.memory_store import MemoryStore
from tests.unit.shell.meter import Count, Decide, FakeGateway, Meter, Total, meter_service, meters, totals

EITHER = (LeaseRequest("Call", 10, 90.0), LeaseRequest("SerialCall", 10, 90.0))
START = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)


@dataclass
class HandClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at


async def breathe(statement: str) -> None:
    """Every statement lets the others run."""
    await asyncio.sleep(0)


@dataclass
class FixedCapacity:
    """Of leases, and of calls at once."""

    leases: int = 0
    calls: int = 0

    def lease_budget(self, kind: str, destination: str) -> int:
        return self.leases

    def call_budget(self, kind: str) -> int:
        return self.calls


@dataclass
class Sent:
    """A record on its way to Kafka, read."""

    envelope: Envelope
    message: Any


@dataclass
class Harness:
    store: MemoryStore = field(default_factory=lambda: MemoryStore(breathe))
    clock: HandClock = field(default_factory=HandClock)
    gateway: FakeGateway = field(default_factory=FakeGateway)
    answers: dict[str, Decide] = field(default_factory=dict)
    numbers: int = 0

    def __post_init__(self) -> None:
        self.registry = HandlerRegistry(meter_service(self.answers, self.gateway))
        self.metrics = Metrics("meter", "meter-0")

    def when(self, what: str, answer: Decision[Meter] | Refused | Exception | Decide) -> None:
        """What the core answers to `Count(what=…)`."""

        def given(meter: Meter, message: Count, context: Context) -> Decision[Meter] | Refused:
            if isinstance(answer, Exception):
                raise answer
            return answer(meter, message, context) if callable(answer) else answer

        self.answers[what] = given

    def message(self, key: str, message: object, **more: Any) -> Inbound:
        self.numbers += 1
        identity = derived_id(UUID(int=1), self.numbers, self.clock.at)
        return Inbound(identity, key, message, Meta(store="s"), **{"occurred": self.clock.at} | more)

    def record(self, key: str, message: object) -> Inbound:
        """A message that came by Kafka."""
        source = RecordSource("meter.commands.v1", 0, self.numbers, b"k", (("ce_type", b"meter.count"),), b"{}")
        return self.message(key, message, record=source)

    def due(self, row: TimerRow) -> Inbound:
        message = self.registry.internal.load(row.kind, row.payload)
        return Inbound(row.id, row.key, message, Meta.load(row.meta), timer=row, occurred=row.occurred)

    async def batch(self, *inbounds: Inbound, worker: str = "meter-0", leases: int = 100) -> BatchResult:
        """One batch that is committed; `leases`: how many of a kind the worker takes."""
        async with self.store.begin() as tx:
            return await Batch(self.registry, worker, self.clock.now(), FixedCapacity(leases)).run(tx, inbounds)

    async def counts(self, key: str, *whats: str, **more: Any) -> BatchResult:
        return await self.batch(*(self.message(key, Count(what=what, **more)) for what in whats or ("one more",)))

    def batcher(
        self, operations: Operations | None = None, batch: int = 100, progress: Progress | None = None
    ) -> Batcher:
        self.done: list[BatchResult] = []
        batcher = Batcher(
            self.registry,
            self.store,
            self.clock,
            "meter-0",
            batch=batch,
            metrics=self.metrics,
            rng=random.Random(1),
            after=self.done.append,
            capacity=operations or NoCapacity(),
            progress=progress,
        )
        if operations:
            operations.deliver = batcher.put_now
        return batcher

    def operations(self, worker: str = "meter-0", at_once: int = 4) -> Operations:
        return Operations(
            self.registry,
            self.store,
            self.clock,
            worker,
            at_once=at_once,
            deliver=lambda inbound: None,
            metrics=self.metrics,
            rng=random.Random(1),
        )

    async def leased(self, worker: str = "meter-1") -> list[OperationRow]:
        """What a worker leases a second later."""
        self.later(seconds=1)
        return [*await self.store.lease_operations(worker, self.clock.at, EITHER, since=LONG_AGO)]

    def later(self, **time: float) -> None:
        self.clock.at += timedelta(**time)

    # What is there now

    def meter(self, key: str) -> Meter | None:
        stored = self.store.states(meters).get(key)
        return codec.load(Meter, stored.row.data) if stored and stored.row.data else None

    def total(self, key: str) -> int:
        stored = self.store.states(totals).get(key)
        return int(codec.load(Total, stored.row.data).sum) if stored and stored.row.data else 0

    def sent(self, key: str | None = None) -> list[Sent]:
        rows = [row for row, _ in self.store.rows(OUTBOX).values() if key in (None, row.key)]
        return [_read(row) for row in sorted(rows, key=lambda row: row.id)]

    def events(self, key: str | None = None) -> list[Event]:
        return [one.message for one in self.sent(key)]

    def timers(self) -> dict[str, TimerRow]:
        return {row.name: row for row in self.store.rows(TIMERS).values()}

    def open_operations(self) -> list[OperationRow]:
        return sorted(self.store.rows(OPERATIONS).values(), key=lambda row: row.id)

    def parked(self) -> list[tuple[str, str]]:
        return [(row.key, row.reason) for row in self.store.rows(PARKED).values()]

    def everything(self) -> str:
        """All committed rows, to see that nothing changed."""
        return repr({name: rows for name, rows in sorted(self.store.tables.items()) if rows})


def _read(row: OutboxRow) -> Sent:
    headers = [(name, value.encode()) for name, value in orjson.loads(row.headers)]
    envelope = from_headers(headers, row.key.encode())
    return Sent(envelope, decode(message_type(envelope), row.body))


def notes(rows: Sequence[OperationRow]) -> list[str]:
    return [orjson.loads(row.payload)["note"] for row in rows]
