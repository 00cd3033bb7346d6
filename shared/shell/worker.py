"""One worker of a service in production: over PostgreSQL and Kafka, with an HTTP server, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import linecache
import math
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.plurals import counted
from shared.settings import Settings
from shared.shell.batch.own_log import OwnLog
from shared.shell.database_clock import DatabaseClock
from shared.shell.event_loop import until
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import STOPPING, Readiness, application
from shared.shell.http.assertions import assertion_reader
from shared.shell.http.limits import Limits
from shared.shell.http.principals import Principals
from shared.shell.http.problems import ProblemResponse
from shared.shell.http.server import serve
from shared.shell.kafka.catch_up import CatchUpSource
from shared.shell.kafka.cluster import cluster_id, committed
from shared.shell.kafka.sink import KafkaSink
from shared.shell.kafka.source import KafkaSource
from shared.shell.kafka.topic_retention import SEGMENT
from shared.shell.kafka.topics import ensure_topics
from shared.shell.observability.telemetry import new_tracer
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.clock import Clock
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.store import Store, StoreUnavailable
from shared.shell.ports.tracer import Tracer
from shared.shell.postgres.attention import attention
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.engine import create_engine, create_read_engine
from shared.shell.postgres.identity import enter_cluster, identity
from shared.shell.postgres.read_models import PostgresReadModels
from shared.shell.postgres.refusals import checked, fits
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.restored import check_caught_up
from shared.shell.postgres.store import KeptRecords, PostgresStore, read_gauges
from shared.shell.service import OwnReport, Service
from shared.shell.shell import Projected, Shell

log = structlog.get_logger(__name__)
HOUSEKEEPING_SECONDS = 3600.0
HOUSEKEEPING_RETRY_SECONDS = 60.0
ATTENTION_SECONDS = 30.0
CLUSTER_SECONDS = 5.0
"""How often a worker asks Kafka which cluster it is."""
CATCH_UP_SECONDS = 60.0
"""How long calls may take that follow from what was read again."""
QUIET_LOOKS = 3
"""Seconds for which nothing comes, goes out or is called at the end of catching up."""


ServiceFactory = Callable[..., Service]


async def run_worker(
    name: str,
    factory: ServiceFactory,
    settings: Settings,
    index: int,
    port: int | None,
    *,
    catch_up: OwnLog | None = None,
) -> str:
    """Run worker `index` of a service until SIGTERM or SIGINT. `port` replaces the configured HTTP port. `catch_up`:
    read again what was read before a restore, in the order in which it happened (`kafka/catch_up.py`), and end then.
    Returns what had not ended by then, in words."""
    own = settings.service(name)
    worker = f"{name}-{index}"
    url = own.database_url.get_secret_value()
    engine = create_engine(url, worker, own.pool)
    reads = create_read_engine(url, f"{worker} reads", own.read_pool)
    tracer = new_tracer(settings.telemetry, name, worker)
    service = factory(settings, engine)
    kept = KeptRecords([topic.name for topic in service.emits if not topic.compacted], settings.kafka.keep_sent)
    store = PostgresStore(engine, notify=True, keep=own.pool // 4, sent=kept)
    clock = DatabaseClock(store.now)
    shell = _shell(service, worker, settings, store, clock, tracer, catch_up=catch_up)
    unfinished, stopping = "", _told_to_stop()
    shell.metrics.watch_process()
    database = _DatabaseHealth(clock)
    api = ShellHttpApi(shell.registry, shell.store, shell.batcher, shell.clock, reads, tracer)
    limits = Limits(settings.http)
    principals = Principals.of(settings, service.identify, service.known, assertion_reader(settings, service))
    ready = _readiness(shell, database, stopping)
    shell.metrics.serve_ready(("database", "clock", "kafka", *shell.progress.parts), ready.missing)
    app = application(shell.registry, api, shell.parking, shell.operations, shell.metrics, principals, ready, limits)
    server = await serve(app, own.http_host, own.http_port if port is None else port, limits)
    _tell_place(shell, own.http_host, server.addresses[0][1])
    try:
        await _prepared(shell, engine, clock, settings, name, stopping, catching_up=catch_up is not None)
        if not stopping.is_set():
            await shell.start()
            collect_seldom()
            log.info("started", worker=worker)
            watches = [_watch(shell, engine, database), _watch_attention(shell, reads)]
            house = keep_house(shell.store, clock, _keep_days(settings), clock.agrees)
            upkeep = keep_up([*service.upkeep, *(partial(report_own, api, it) for it in service.own_reports)], clock)
            more = own_tasks(shell)
            await until(stopping, shell.failed(), *watches, house, upkeep, _same_cluster(engine, settings, name), *more)
            unfinished = await _unfinished(shell) if catch_up else ""
            log.info("stopping", worker=worker)
            await asyncio.sleep(settings.http.drain_seconds)
    finally:
        await server.cleanup()
        await shell.stop()
        for close in shell.registry.service.resources:
            await close()
        await store.close()
        await engine.dispose()
        await reads.dispose()
        if tracer is not None:
            await tracer.close()
        log.info("stopped", worker=worker)
    return unfinished


def own_tasks(shell: Shell) -> list[Coroutine[Any, Any, None]]:
    """What the worker does besides: the service's tasks; or, where it catches up, what ends it then."""
    if isinstance(shell.source, CatchUpSource):
        return [caught_up(shell, shell.source)]
    return [task() for task in shell.registry.service.tasks]


def _tell_place(shell: Shell, host: str, port: int) -> None:
    """To the group, when the worker joins."""
    if isinstance(shell.source, KafkaSource):
        shell.source.place = host, port


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _shell(
    service: Service,
    worker: str,
    settings: Settings,
    store: PostgresStore,
    clock: Clock,
    tracer: Tracer | None,
    *,
    catch_up: OwnLog | None,
) -> Shell:
    own = settings.service(service.name)
    topics = [topic.name for topic in service.consumes]
    source = (CatchUpSource if catch_up else KafkaSource)(settings.kafka, service.name, worker, topics)
    shell = Shell(
        service,
        worker,
        store=store,
        source=source,
        sink=KafkaSink(settings.kafka, worker, fence=f"orderbus-{service.name}-relay", clock=clock),
        lock=lambda: PostgresRelayLock(own.database_url.get_secret_value(), worker, store.relaying),
        clock=clock,
        rng=random.Random(),  # noqa: S311  # jitter, no secrets
        batch=own.batch,
        at_once=own.operations_at_once,
        tracer=tracer,
        own_log=catch_up,
        projected=None if catch_up else _projected(service, worker, settings, store.engine),
    )
    if isinstance(source, CatchUpSource):
        source.settled, shell.timers.until = shell.settled, source.time
    return shell


def _projected(service: Service, worker: str, settings: Settings, engine: AsyncEngine) -> Projected | None:
    """What a projection reads. While a restored database catches up, it waits: its positions are of that database."""
    if service.projection is None:
        return None
    assert service.storage.read_models is not None
    read_models = PostgresReadModels(engine, service.storage.read_models)
    topics = [topic.name for topic in service.projection.topics()]
    group = f"{service.name}-projection"
    return Projected(KafkaSource(settings.kafka, group, worker, topics, read_models.positions), read_models)


class _DatabaseHealth:
    """Whether the last look at the database succeeded, and what its clock said."""

    def __init__(self, clock: DatabaseClock) -> None:
        self.well = False
        self.clock = clock


def _readiness(shell: Shell, database: _DatabaseHealth, stopping: asyncio.Event) -> Readiness:
    def missing() -> list[str]:
        if stopping.is_set():
            return [STOPPING]
        away = ["database"] if shell.batcher.database_away or not database.well else []
        away += [] if database.clock.agrees() else ["clock"]
        reads = all(source.ready() for source in shell.sources())
        return away + ([] if reads else ["kafka"]) + shell.progress.standing_still()

    def notes() -> list[str]:
        taken = shell.source.note() if isinstance(shell.source, KafkaSource) else ""
        return [*([taken] if taken else []), *shell.notes()]

    return Readiness(missing, shell.progress.ages, notes)


def collect_seldom() -> None:
    """What is there after the start stays forever, and what a batch makes is freed by counting references: the cycle
    collector, which looks at everything again and again, took a tenth of the CPU time. The sources that pydantic read
    the docstrings of fields from are of no more use."""
    linecache.clearcache()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _prepared(
    shell: Shell,
    engine: AsyncEngine,
    clock: DatabaseClock,
    settings: Settings,
    name: str,
    stopping: asyncio.Event,
    *,
    catching_up: bool,
) -> None:
    """Wait until database and Kafka are there; make topics and inbox partitions. Raises DatabaseRefused,
    WrongGeneration, WrongDatabase, ClocksDiffer, WrongCluster, WrongTopics, NotCaughtUp: what is wrong with one of the
    two is said even while the other cannot be reached."""

    async def allowed() -> None:
        await enter_cluster(Connections(engine).fetch, name, await cluster_id(settings.kafka))

    async def kafka() -> None:
        await ensure_topics(settings.kafka, [name], allowed)
        if not catching_up:
            read_on = await committed(settings.kafka, name)
            await check_caught_up(Connections(engine).fetch, name, read_on)

    async def database() -> None:
        own = settings.service(name)
        await checked(name, own.database_url.get_secret_value(), engine)
        if problem := await fits(name, own, engine, shell.worker):
            log.warning("too few database connections", problem=problem)
        await clock.start(name)
        await shell.store.housekeep(clock.now(), _keep_days(settings))

    while not stopping.is_set():
        missing = []
        for prepare in (database, kafka):
            try:
                await prepare()
            except BusUnavailable as trouble:
                missing.append(str(trouble))
            except StoreUnavailable as trouble:
                missing = missing or [str(trouble)]  # both need the database: it is named once
        if not missing:
            return
        log.warning("waiting for dependencies", error="; ".join(missing))
        await asyncio.sleep(1.0)


async def _same_cluster(engine: AsyncEngine, settings: Settings, name: str) -> None:
    """Raises WrongCluster when the brokers have become another cluster's."""
    while True:
        await asyncio.sleep(CLUSTER_SECONDS)
        with suppress(BusUnavailable, StoreUnavailable):  # readiness says so
            known = await identity(Connections(engine).fetch)
            known.check_cluster(name, await cluster_id(settings.kafka))


async def caught_up(shell: Shell, source: CatchUpSource) -> None:
    """Returns when all that was there is handled, what follows from it is published, and its calls have ended; or some
    time after the first of these, for calls may wait for an outside system that is away. What is parked by then is
    tried once more: what it lacked may be there now."""
    began, quiet, tried = 0.0, 0, False
    while quiet < QUIET_LOOKS:
        await asyncio.sleep(1.0)
        if not source.reached():
            continue
        now = asyncio.get_running_loop().time()
        began = began or now
        with suppress(StoreUnavailable):
            quiet = 0 if source.lag() or await _unfinished(shell) else quiet + 1
            if quiet == QUIET_LOOKS and not tried and await shell.store.parked(limit=1, brief=True):
                await shell.parking.retry_all()
                quiet, tried = 0, True
        if now - began > CATCH_UP_SECONDS:
            return


async def _unfinished(shell: Shell) -> str:
    sizes = await shell.store.gauge()
    calls, rows = int(sizes["operations"]), int(sizes["outbox"])
    found = [counted(calls, "call")] if calls else []
    found += [counted(rows, "record") + " in the outbox"] if rows else []
    return " and ".join(found) or ("messages" if not shell.batcher.idle() else "")


def _keep_days(settings: Settings) -> int:
    """For how many days an id is known after it was first seen: as long as its record can be read again."""
    return math.ceil((settings.kafka.retention + SEGMENT) / timedelta(days=1)) + 1


async def _watch(shell: Shell, engine: AsyncEngine, database: _DatabaseHealth) -> None:
    """Gauges and clocks every five seconds."""
    while True:
        try:
            await shell.measure()  # first: it says when it cannot
            await database.clock.compare()
            shell.metrics.set_own(await read_gauges(engine, shell.registry.service.gauges))
            database.well = True
        except StoreUnavailable:
            database.well = False
        await asyncio.sleep(5.0 if database.well else 0.5)


async def _watch_attention(shell: Shell, engine: AsyncEngine) -> None:
    """What waits for staff, less often: it is read by more statements than the gauges."""
    while True:
        try:
            async with engine.connect() as connection:
                found = await attention(connection, shell.registry.service)
                shell.metrics.attention.set(found.attention)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError):
            shell.metrics.attention.forget()
        await asyncio.sleep(ATTENTION_SECONDS)


async def keep_house(store: Store, clock: Clock, keep_days: int, agrees: Callable[[], bool] = lambda: True) -> None:
    """Every hour, or sooner after a failure. A failure is no reason to stop, and says nothing about the worker. Without
    `agrees`, it is not known what time it is, and nothing is erased."""
    pause = HOUSEKEEPING_SECONDS
    while True:
        await asyncio.sleep(pause)
        if not agrees():
            log.warning("no housekeeping while the clocks of machine and database differ")
            continue
        try:
            await store.housekeep(clock.now(), keep_days)
            pause = HOUSEKEEPING_SECONDS
        except StoreUnavailable as trouble:
            pause = min(HOUSEKEEPING_SECONDS, 2 * pause if pause < HOUSEKEEPING_SECONDS else HOUSEKEEPING_RETRY_SECONDS)
            log.warning("housekeeping failed, retrying later", error=str(trouble), seconds=pause)
        except Exception as bug:
            pause = HOUSEKEEPING_SECONDS
            log.exception("housekeeping failed, retrying later", error=type(bug).__name__, seconds=pause)


async def report_own(api: HttpApi, find: Callable[[datetime], Awaitable[Sequence[OwnReport]]], now: datetime) -> None:
    """Hand each report that is found to the service's own core. One that is not taken now holds no other up."""
    for it in await find(now):
        try:
            await api.submit(it.report, it.key, identity=it.identity, actor="system")
        except ProblemResponse as refused:
            log.warning("report not taken, retrying later", key=it.key, error=refused.code)


async def keep_up(upkeep: Sequence[Callable[[datetime], Awaitable[None]]], clock: Clock) -> None:
    """At once and every hour. What fails is done the next time."""
    while True:
        for task in upkeep:
            try:
                await task(clock.now())
            except (sa.exc.SQLAlchemyError, OSError, TimeoutError, ProblemResponse) as trouble:
                log.warning("upkeep failed, retrying later", error=type(trouble).__name__)
            except Exception as bug:
                log.exception("upkeep failed, retrying later", error=type(bug).__name__)
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
