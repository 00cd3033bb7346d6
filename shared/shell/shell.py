"""The parts of a worker, put together over the ports: what production and the simulation share."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from shared.shell.batch.batcher import Batcher
from shared.shell.batch.own_log import OwnLog
from shared.shell.batch.result import BatchResult
from shared.shell.inbound.message import Inbound
from shared.shell.observability.metrics import UNKNOWN, Metrics
from shared.shell.observability.progress import PARTS, PROJECTOR, STANDSTILL_SECONDS, Progress
from shared.shell.operations import Operations
from shared.shell.parking import Parking
from shared.shell.ports.bus import Sink, Source
from shared.shell.ports.clock import Clock
from shared.shell.ports.read_models import ReadModels
from shared.shell.ports.relay_lock import RelayLock
from shared.shell.ports.store import Reach, Store, StoreUnavailable
from shared.shell.ports.tracer import Tracer
from shared.shell.projection.fold import Fold
from shared.shell.projection.projector import Projector
from shared.shell.reader import Reader
from shared.shell.relay.relay import Relay
from shared.shell.service import Service
from shared.shell.service.registry import HandlerRegistry
from shared.shell.timers import Timers

log = structlog.get_logger(__name__)
DRAIN_SECONDS = 10.0
SETTLED_WITHIN = 20.0
LONGEST_TRY_SECONDS = 50.0
"""By when a relay that cannot send has found out and released its lock."""


@dataclass(frozen=True)
class Projected:
    """What a projection reads, in a group of its own, and where its rows are."""

    source: Source
    read_models: ReadModels


class Shell:
    """The parts of a worker that production and simulation share, over the ports `Store`, `Source`, `Sink`, `Clock`."""

    def __init__(
        self,
        service: Service,
        worker: str,
        *,
        store: Store,
        source: Source,
        sink: Sink,
        lock: Callable[[], RelayLock],
        clock: Clock,
        rng: random.Random,
        batch: int = 300,
        at_once: int = 48,
        poll: float = 0.25,
        tracer: Tracer | None = None,
        metrics: Metrics | None = None,
        own_log: OwnLog | None = None,
        projected: Projected | None = None,
    ) -> None:
        """`poll`: seconds after which a part looks for work without having been woken. `metrics`: of an earlier life in
        this process. `projected`: of a service that has a projection."""
        self.registry, self.poll = HandlerRegistry(service), poll
        self.worker, self.store, self.source, self.sink, self.clock = worker, store, source, sink, clock
        self.progress = _progress(service, with_projector=projected is not None)
        self.metrics = metrics or Metrics(
            service.name, worker, [(gauge.name, gauge.text) for gauge in service.gauges], self.progress
        )
        self.operations = Operations(
            *(self.registry, store, clock, worker),
            at_once=at_once,
            deliver=self._deliver,
            metrics=self.metrics,
            rng=rng,
            progress=self.progress,
            tracer=tracer,
            own_log=own_log,
        )
        self.batcher = Batcher(
            *(self.registry, store, clock, worker),
            batch=batch,
            metrics=self.metrics,
            rng=rng,
            after=self._after,
            capacity=self.operations,
            progress=self.progress,
            tracer=tracer,
            own_log=own_log,
        )
        self.reader = Reader(self.registry, source, store, self.batcher, self.metrics, batch, rng, self.progress)
        self.relay = Relay(store, sink, lock, self.metrics, rng, self.progress, idle=2 * poll)
        self.timers = Timers(self.registry, store, clock, self.batcher, self.progress)
        self.projector = self._projector(service, projected, rng) if projected else None
        self.parking = Parking(self.registry, store, self.batcher, clock, self.projector)
        self._serve_gauges()
        self._outbox_rows = 0.0
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def _projector(self, service: Service, projected: Projected, rng: random.Random) -> Projector:
        assert service.projection is not None
        assert service.storage.read_models is not None
        fold = Fold(service.projection, service.storage.read_models)
        return Projector(fold, projected.source, projected.read_models, self.clock, self.metrics, rng, self.progress)

    def sources(self) -> list[Source]:
        """All that it reads Kafka by."""
        return [self.source, *([self.projector.source] if self.projector else [])]

    def _serve_gauges(self) -> None:
        """Those that need no database: they are true while it is away."""
        self.metrics.lag.set_function(self._lag)
        self.metrics.lag_seconds.set_function(self._lag_seconds)
        self.metrics.topics_held_up.set_function(lambda: len(self.relay.held_up.holds))

    def _deliver(self, outcome: Inbound) -> None:
        self.batcher.put_now(outcome)

    def _after(self, result: BatchResult) -> None:
        """Set in motion what a commit left to be done."""
        if result.published:
            self.relay.wake()
        if result.leased:
            self.operations.start(result.leased)
        if result.unleased or result.finished_serial:
            self.operations.nudge()

    async def start(self) -> None:
        """Take up what an earlier life of this worker left, and begin."""
        self.batcher.own_log.epoch = await self.store.restore_epoch()
        released = await self.store.release(self.worker)
        if released:
            log.info("stale leases released", count=released)
        await self.source.start()
        self._spawn("batcher", self.batcher.run())
        self._spawn("relay", self.relay.run())
        self._spawn("operations", self.operations.run(self.poll))
        if self.batcher.own_log.is_open:  # a restored database: what was parked came before all that is read now
            failed = await self.parking.retry_all()
            log.info("parked keys tried again", still_parked=len(failed))
        self._spawn("timers", self.timers.run(self.poll))
        self._spawn("reader", self.reader.run())
        self._spawn("positions", self.reader.keep_positions(4 * self.poll))
        if self.projector is not None:
            await self.projector.source.start()
            self._spawn("projector", self.projector.run())

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=f"{self.worker}-{name}")

    async def settled(self, seconds: float = SETTLED_WITHIN) -> None:
        """Returns when all that was read is handled and no call is in progress; or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self.batcher.idle() and self.operations.idle()):
                    await asyncio.sleep(0.005)

    async def failed(self) -> None:
        """Returns only by raising, when a part of the worker ended that must not."""
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError(f"{', '.join(task.get_name() for task in done)} ended")

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Finish the batch and what is in progress, relay it, commit positions, leave."""
        self.reader.stop()
        if self.projector is not None:
            self.projector.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._finished("reader")
                await self._finished("projector")
                await self.operations.drain(seconds / 2)
                await self.batcher.drained()
                await self._relayed()
        except TimeoutError:
            log.warning("stopping with work in progress, it continues at the next start")
        await self.reader.commit()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.operations.drain(0)
        for source in self.sources():
            await source.stop()
        await self.sink.stop()

    async def _finished(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait([task])

    async def _relayed(self) -> None:
        """Give the relay a moment to empty the outbox; whatever is left is sent by another worker or later. A worker
        that never started has no relay, and perhaps a database that it must not use."""
        if "relay" not in self._tasks:
            return
        for _ in range(20):
            try:
                if not await self.store.outbox_head(Reach(limit=1)):
                    return
            except StoreUnavailable:
                return
            self.relay.wake()
            await asyncio.sleep(0.05)

    async def measure(self) -> None:
        """Refresh the gauges. Raises StoreUnavailable; those of the tables then say that they are not known."""
        self._lag_seconds()  # looks, so that it knows until when nothing was unread
        try:
            sizes = await self.store.gauge()
        except StoreUnavailable:
            self.metrics.forget_tables()
            raise
        self.metrics.set_tables(sizes)
        self._watch_other_relays(sizes["outbox"], sizes["outbox_age_seconds"], sizes["relay_session_seconds"])
        if sizes["waiting_for_newer"]:
            await self.parking.take_up()

    def _lag(self) -> float:
        sources = self.sources()
        return sum(source.lag() for source in sources) if all(source.ready() for source in sources) else UNKNOWN

    def _lag_seconds(self) -> float:
        """Also of records that were read and wait for the database. Goes on while Kafka is away."""
        unread = [source.oldest_unread() for source in self.sources()]
        waiting = [at for at in (*unread, self.reader.oldest_waiting()) if at is not None]
        return max(0.0, (self.clock.now() - min(waiting)).total_seconds()) if waiting else 0.0

    def _watch_other_relays(self, rows: float, age: float, session: float) -> None:
        """A worker that does not relay sees by the outbox whether another does; or, where that is old because a topic
        is held up, by how long another has been the relay without trouble."""
        moves = age < STANDSTILL_SECONDS or rows < self._outbox_rows
        if not self.relay.holding and (moves or session > LONGEST_TRY_SECONDS):
            self.progress.rests("relay")
        self._outbox_rows = rows

    def notes(self) -> list[str]:
        """What needs attention although the worker is ready."""
        topics = [f"topic {topic} is held up: {hold.error}" for topic, hold in self.relay.held_up.holds.items()]
        return topics + [f"{name} is paused" for name in sorted(self.operations.destinations.pauses)]


def _progress(service: Service, *, with_projector: bool) -> Progress:
    longest = max((it.timeout for it in service.gateways), default=0.0)
    return Progress(allowances={"operations": longest}, parts=(*PARTS, PROJECTOR) if with_projector else PARTS)
