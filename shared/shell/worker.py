"""One worker of a service, put together: reader, batcher, relay, operations, timers, HTTP. Starts and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import random
import signal
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.settings import Settings
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.result import BatchResult
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application, serve
from shared.shell.inbound.message import Inbound
from shared.shell.kafka.catch_up import CatchUpSource
from shared.shell.kafka.sink import KafkaSink
from shared.shell.kafka.source import SEGMENT, KafkaSource, ensure_topics
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import STANDSTILL_SECONDS, Progress
from shared.shell.observability.telemetry import new_tracer
from shared.shell.operations import Operations
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusUnavailable, Sink, Source
from shared.shell.ports.clock import Clock, SystemClock
from shared.shell.ports.relay_lock import RelayLock
from shared.shell.ports.store import Reach, Store, StoreUnavailable
from shared.shell.ports.tracer import Tracer
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore, read_gauges
from shared.shell.reader import Reader
from shared.shell.relay.relay import Relay
from shared.shell.service import Service
from shared.shell.service.registry import HandlerRegistry
from shared.shell.timers import Timers

log = structlog.get_logger(__name__)
DRAIN_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 3600.0
SETTLED_WITHIN = 20.0
LONGEST_TRY_SECONDS = 50.0
"""By when a relay has found out that it can not send, and has let its lock go."""


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
    ) -> None:
        """`poll`: seconds after which a part looks for work that nobody woke it for. `metrics`: of an earlier life in
        this process."""
        self.registry = HandlerRegistry(service)
        self.poll = poll
        self.worker, self.store, self.source, self.sink, self.clock = worker, store, source, sink, clock
        longest_call = max((kind.timeout for kind in service.gateways), default=0.0)
        self.progress = Progress(allowances={"operations": longest_call})
        self.metrics = metrics or Metrics(
            service.name, worker, [(gauge.name, gauge.text) for gauge in service.gauges], self.progress
        )
        self.operations = Operations(
            self.registry,
            store,
            clock,
            worker,
            at_once=at_once,
            deliver=self._deliver,
            metrics=self.metrics,
            rng=rng,
            progress=self.progress,
            tracer=tracer,
        )
        self.batcher = Batcher(
            self.registry,
            store,
            clock,
            worker,
            batch=batch,
            metrics=self.metrics,
            rng=rng,
            after=self._after,
            capacity=self.operations,
            progress=self.progress,
            tracer=tracer,
        )
        self.reader = Reader(self.registry, source, self.batcher, self.metrics, batch, rng, self.progress)
        self.relay = Relay(store, sink, lock, self.metrics, rng, self.progress, idle=2 * poll)
        self.timers = Timers(self.registry, store, clock, self.batcher, self.progress)
        self.parking = Parking(self.registry, store, self.batcher, clock)
        self._outbox_rows = 0.0
        self._tasks: dict[str, asyncio.Task[None]] = {}

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
        released = await self.store.release(self.worker)
        if released:
            log.info("leases of an earlier life released", count=released)
        await self.source.start()
        self._spawn("batcher", self.batcher.run())
        self._spawn("relay", self.relay.run())
        self._spawn("operations", self.operations.run(self.poll))
        self._spawn("timers", self.timers.run(self.poll))
        self._spawn("reader", self.reader.run())
        self._spawn("positions", self.reader.keep_positions(4 * self.poll))

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=f"{self.worker}-{name}")

    async def settled(self, seconds: float = SETTLED_WITHIN) -> None:
        """Returns when all that was read is handled and no call is under way; or after so many seconds."""
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
        """Finish the batch and what is under way, relay it, commit positions, leave."""
        self.reader.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._finished("reader")
                await self.operations.drain(seconds / 2)
                await self.batcher.drained()
                await self._relayed()
        except TimeoutError:
            log.warning("stopping with work under way; it goes on at the next start")
        await self.reader.commit()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.operations.drain(0)
        await self.source.stop()
        await self.sink.stop()

    async def _finished(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait([task])

    async def _relayed(self) -> None:
        """Give the relay a moment to empty the outbox; whatever is left is sent by another worker or later."""
        for _ in range(20):
            try:
                if not await self.store.outbox_head(Reach(limit=1)):
                    return
            except StoreUnavailable:
                return
            self.relay.wake()
            await asyncio.sleep(0.05)

    async def measure(self) -> None:
        """Refresh the gauges."""
        sizes = await self.store.gauge()
        self.metrics.outbox.set(sizes["outbox"])
        self.metrics.outbox_age.set(sizes["outbox_age_seconds"])
        self.metrics.open_operations.set(sizes["operations"])
        self.metrics.late_operations.set(sizes["operations_late"])
        self.metrics.operations_in_doubt.set(sizes["operations_in_doubt"])
        self.metrics.paused_destinations.set(sizes["destinations_paused"])
        self.metrics.timers.set(sizes["timers"])
        self.metrics.late_timers.set(sizes["timers_late"])
        self.metrics.parked.set(sizes["parked"])
        self.metrics.undeliverable.set(sizes["undeliverable"])
        self.metrics.topics_held_up.set(len(self.relay.held_up.holds))
        self.metrics.lag.set(self.source.lag())
        self._watch_other_relays(sizes["outbox"], sizes["outbox_age_seconds"], sizes["relay_session_seconds"])

    def _watch_other_relays(self, rows: float, age: float, session: float) -> None:
        """A worker that does not relay knows of the outbox whether somebody does; or, where that is old because a topic
        is held up, of how long another has been the relay without trouble."""
        moves = age < STANDSTILL_SECONDS or rows < self._outbox_rows
        if not self.relay.holding and (moves or session > LONGEST_TRY_SECONDS):
            self.progress.rests("relay")
        self._outbox_rows = rows

    def notes(self) -> list[str]:
        """What somebody should see to although the worker is ready."""
        topics = [f"topic {topic} is held up: {hold.error}" for topic, hold in self.relay.held_up.holds.items()]
        return topics + [f"{name} is paused" for name in sorted(self.operations.destinations.pauses)]


ServiceFactory = Callable[..., Service]


async def run_worker(
    name: str, factory: ServiceFactory, settings: Settings, index: int, port: int | None, *, catch_up: bool = False
) -> None:
    """Run worker `index` of a service until SIGTERM or SIGINT. `port` replaces the configured HTTP port. `catch_up`:
    read what was read before, as it first happened (`catch_up.py`)."""
    own = settings.service(name)
    worker = f"{name}-{index}"
    engine = create_engine(own.database_url, worker, own.pool)
    service = factory(settings, engine)
    tracer = new_tracer(settings.telemetry, name, worker)
    store = PostgresStore(engine, notify=True, keep=own.pool // 4)
    source = (CatchUpSource if catch_up else KafkaSource)(
        settings.kafka, name, worker, [topic.name for topic in service.consumes]
    )
    shell = Shell(
        service,
        worker,
        store=store,
        source=source,
        sink=KafkaSink(settings.kafka, worker, fence=f"orderbus-{name}-relay"),
        lock=lambda: PostgresRelayLock(own.database_url, worker, store.relaying),
        clock=SystemClock(),
        rng=random.Random(),  # noqa: S311  # jitter, no secrets
        batch=own.batch,
        at_once=own.operations_at_once,
        tracer=tracer,
    )
    if isinstance(source, CatchUpSource):
        source.settled = shell.settled
    shell.metrics.watch_process()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    alive = _Alive()
    edge = ShellHttpApi(shell.registry, shell.store, shell.batcher, shell.clock, engine, tracer)

    def missing() -> list[str]:
        database = ["database"] if alive.missing or shell.batcher.held_up else []
        return database + ([] if shell.source.ready() else ["kafka"]) + shell.progress.standing_still()

    readiness = Readiness(missing, shell.progress.ages, shell.notes)
    token = settings.api_token.get_secret_value()
    app = application(shell.registry, edge, shell.parking, shell.operations, shell.metrics, token, readiness)
    server = await serve(app, own.http_host, own.http_port if port is None else port)
    try:
        await _prepared(shell, settings, name, stopping)
        if not stopping.is_set():
            await shell.start()
            collect_seldom()
            log.info("started", worker=worker)
            await _until(stopping, shell.failed(), _watch(shell, engine, alive, settings))
            log.info("stopping", worker=worker)
    finally:
        await server.cleanup()
        await shell.stop()
        for close in service.resources:
            await close()
        await store.close()
        await engine.dispose()
        if tracer is not None:
            await tracer.close()
        log.info("stopped", worker=worker)


def collect_seldom() -> None:
    """What is there after the start stays for ever, and what a batch makes is freed by counting references: the cycle
    collector, which looks at everything again and again, took a tenth of the CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class _Alive:
    """What readiness knows of the database."""

    def __init__(self) -> None:
        self.missing: list[str] = ["database"]


async def _prepared(shell: Shell, settings: Settings, name: str, stopping: asyncio.Event) -> None:
    """Wait until database and Kafka are there; make topics and inbox partitions."""
    while not stopping.is_set():
        try:
            await ensure_topics(settings.kafka, [name])
            await shell.store.housekeep(shell.clock.now(), _keep_days(settings))
            return
        except (BusUnavailable, StoreUnavailable) as trouble:
            log.warning("waiting for what this service needs", error=str(trouble))
            await asyncio.sleep(1.0)


def _keep_days(settings: Settings) -> int:
    """For how many days an id is known after it was first seen: as long as its record can be read again."""
    return math.ceil((settings.kafka.retention + SEGMENT) / timedelta(days=1)) + 1


async def _watch(shell: Shell, engine: AsyncEngine, alive: _Alive, settings: Settings) -> None:
    """Gauges every five seconds, housekeeping every hour."""
    loop = asyncio.get_running_loop()
    housekept = loop.time()
    while True:
        try:
            await shell.measure()
            shell.metrics.set_own(await read_gauges(engine, shell.registry.service.gauges))
            alive.missing = []
            if loop.time() - housekept > HOUSEKEEPING_SECONDS:
                await _housekept(shell, settings)
                housekept = loop.time()
        except StoreUnavailable:
            alive.missing = ["database"]
        await asyncio.sleep(5.0 if not alive.missing else 0.5)


async def _housekept(shell: Shell, settings: Settings) -> None:
    """What goes wrong with it is no reason to stop."""
    try:
        await shell.store.housekeep(shell.clock.now(), _keep_days(settings))
    except StoreUnavailable:
        raise
    except Exception as bug:
        log.exception("housekeeping failed, left for later", error=type(bug).__name__)


async def _until(stopping: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(stopping.wait()), *(asyncio.create_task(item) for item in work)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
