"""Workers that are started, killed, frozen and restarted over the same stores and the same bus."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from deploy.simulation.cores import Watch
from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.own_log import OwnLog
from shared.shell.batch.result import BatchResult
from shared.shell.http.api import ShellHttpApi
from shared.shell.inbound.message import Inbound
from shared.shell.observability.metrics import Metrics
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable
from shared.shell.service import Service
from shared.shell.shell import Projected, Shell
from shared.simulation.bus import MemoryBus, MemoryCatchUp, MemorySink, MemorySource
from shared.simulation.loop import OWNER, SeededLoop
from shared.simulation.memory_read_models import MemoryReadModels
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock

T = TypeVar("T")
POLL = 2.0
"""Seconds. Production looks more often; here each look costs real time, and virtual time nothing."""


class Gone(Exception):
    """The worker died while it was being asked."""


@cache
def _metrics(service: str) -> Metrics:
    """They are not read, and making them takes longer than all that a life of a worker does."""
    return Metrics(service, "simulated")


class SkewedClock:
    """The world's time, as one machine sees it."""

    def __init__(self, now: Callable[[], datetime], skew: float) -> None:
        self._now, self._skew = now, timedelta(seconds=skew)

    def now(self) -> datetime:
        return self._now() + self._skew


class Worker:
    """One worker of a service through all its lives."""

    def __init__(
        self,
        service: Service,
        index: int,
        *,
        loop: SeededLoop,
        store: MemoryStore,
        bus: MemoryBus,
        relay_lock: AdvisoryLock,
        now: Callable[[], datetime],
        profile: FaultProfile,
        history: History,
        rng: random.Random,
        watch: Watch,
    ) -> None:
        self.watch = watch
        self.service, self.name = service, f"{service.name}-{index}"
        self.loop, self.store, self.bus, self.relay_lock = loop, store, bus, relay_lock
        self.profile, self.history, self.rng = profile, history, rng
        self.clock = SkewedClock(now, (rng.random() - 0.5) * 0.1)
        self.life = 0
        self.shell: Shell | None = None
        self.up = False
        self._watch: asyncio.Task[None] | None = None
        self.troubles: list[str] = []
        """How lives ended that should not have."""
        self._starting = asyncio.Lock()
        self.at_once = 0
        """Calls of one kind in progress at a time, at most."""
        self.closed = False
        """It must not be started: its database is being restored."""
        self.catch_up: OwnLog | None = None
        """It reads again what came before a restore; what its service's topics say of that time."""

    @property
    def owner(self) -> str:
        return f"{self.name}#{self.life}"

    @property
    def frozen(self) -> bool:
        return self.loop.is_frozen(self.owner)

    async def start(self) -> None:
        """Begin a life, if none is going on: as often as it takes, as a supervisor does."""
        async with self._starting:
            while not self.up:
                await self._opened()
                self.life += 1
                self.shell = self._new_shell()
                try:
                    await self._owned(self.shell.start())
                except (StoreUnavailable, BusUnavailable):
                    await self.loop.kill(self.owner)
                    await asyncio.sleep(0.2)
                else:
                    self.up = True
                    self._watch = self._owned(self._watched(self.shell))

    async def _opened(self) -> None:
        while self.closed:
            await asyncio.sleep(0.1)

    async def _watched(self, shell: Shell) -> None:
        try:
            await shell.failed()
        except Exception as error:
            self.troubles.append(f"{self.name} died of {type(error).__name__}: {error}")

    async def kill(self) -> None:
        """As SIGKILL: whatever is not committed is lost."""
        self.up = False
        await self.loop.kill(self.owner)
        self.relay_lock.gone(self.owner)

    async def stop(self) -> None:
        """As SIGTERM."""
        self.up = False
        assert self.shell is not None and self._watch is not None
        self._watch.cancel()
        await self._owned(self.shell.stop())
        await self.kill()

    def idle(self) -> bool:
        """Nothing is queued, handled or in progress."""
        shell = self.shell
        return self.up and shell is not None and not self.frozen and self._handled_all(shell)

    @staticmethod
    def _handled_all(shell: Shell) -> bool:
        unread = any(source.lag() for source in shell.sources())
        return shell.batcher.idle() and not unread and (shell.projector is None or shell.projector.idle())

    def silent(self) -> bool:
        """Dead or frozen: nothing comes from it until it is woken."""
        return not self.up or self.frozen

    def waits_for(self, destination: str) -> float:
        """Seconds until it calls an outside system again that does not answer; 0: it calls it now."""
        assert self.shell is not None
        circuit = self.shell.operations.destinations.circuits.get(destination)
        return max(circuit.open_until - self.loop.time(), 0.0) if circuit and circuit.is_open else 0.0

    def api(self) -> ShellHttpApi:
        assert self.shell is not None
        shell = self.shell
        no_engine: Any = None
        return ShellHttpApi(shell.registry, shell.store, shell.batcher, shell.clock, no_engine)

    async def resume(self, destination: str) -> None:
        """Staff say that an outside system works again."""
        assert self.shell is not None
        await self.store.resume_destination(destination)
        self.shell.operations.resumed(destination)

    def caught_up(self) -> bool:
        """Whether it has read again all that was there, and nothing follows from it now."""
        source = self.shell.source if self.shell else None
        return self.idle() and isinstance(source, MemoryCatchUp) and source.reached()

    def parking(self) -> Parking:
        assert self.shell is not None
        return self.shell.parking

    async def asked(self, question: Callable[[Worker], Coroutine[Any, Any, T]]) -> T:
        """An HTTP request to this worker. Raises Gone when it dies meanwhile."""
        if not self.up:
            raise Gone(self.name)
        try:
            return await self._owned(question(self))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Gone(self.name) from None

    def _owned(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        context = copy_context()
        context.run(OWNER.set, self.owner)
        return self.loop.create_task(work, context=context)

    def _new_shell(self) -> Shell:
        topics = [topic.name for topic in self.service.consumes]
        self.at_once = self.rng.choice((2, 48))
        source = (MemoryCatchUp if self.catch_up else MemorySource)(
            self.bus, self.service.name, self.name, topics, self.profile.source(self.name)
        )
        shell = Shell(
            self.service,
            self.name,
            store=self.store,
            source=source,
            sink=MemorySink(self.bus, self.profile.sink(self.name), fence=self.service.name),
            lock=lambda: self.relay_lock.lock(self.owner, self.store),
            clock=self.clock,
            rng=random.Random(self.rng.getrandbits(64)),  # noqa: S311
            batch=self.rng.choice((3, 20, 300)),
            at_once=self.at_once,
            poll=POLL,
            metrics=_metrics(self.service.name),
            own_log=self.catch_up,
            projected=None if self.catch_up else self._projected(),
        )
        if isinstance(source, MemoryCatchUp):
            source.settled, shell.timers.until = shell.settled, source.time
        self._watch_commits(shell.batcher)
        return shell

    def _projected(self) -> Projected | None:
        projection, tables = self.service.projection, self.service.storage.read_models
        if projection is None or tables is None:
            return None
        read_models, topics = MemoryReadModels(self.store, tables), [topic.name for topic in projection.topics()]
        group = f"{self.service.name}-projection"
        source = MemorySource(self.bus, group, self.name, topics, self.profile.source(self.name), read_models.positions)
        return Projected(source, read_models)

    def _watch_commits(self, handler: Batcher) -> None:
        told = handler._committed

        def committed(inbounds: Sequence[Inbound], done: BatchResult) -> None:
            self.watch.committed(self.service.name, inbounds, done)
            told(inbounds, done)

        setattr(handler, "_committed", committed)  # noqa: B010  # the one place that knows what a commit contained
