"""Leases operations, has them performed, and delivers their outcomes to the cores as messages.

A row is leased when it is written (by the worker that wrote it), or later when it is due again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from shared.core import Operation, UnresolvedOutcome
from shared.core.fast_dataclasses import replace
from shared.shell.batch.leases import lease_seconds
from shared.shell.batch.own_log import OwnLog
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.observability.spans import attempt_meta
from shared.shell.observability.tracing import CURRENT, trace_of
from shared.shell.operations import rules
from shared.shell.operations.attempts import Attempts
from shared.shell.operations.budget import LeaseBudget
from shared.shell.operations.destinations import Destinations
from shared.shell.operations.grouped import Grouped
from shared.shell.operations.recall import Recollection
from shared.shell.operations.rules import Ended, Waits
from shared.shell.ports.clock import Clock
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import LONG_AGO, LeaseRequest, Store, StoreUnavailable
from shared.shell.ports.tracer import Tracer
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)
RECENT = timedelta(seconds=10)
SWEEP_SECONDS = 2.0
UNREADABLE_SECONDS = 60.0
MOST_REMEMBERED = 1000
"""Of the operations that this build cannot read. Further ones are tried again every UNREADABLE_SECONDS."""
NEVER = float("-inf")
MOST_LEASED = 200
"""Rows of a kind per statement."""


class Operations:
    """Performs operations, a bounded number of each kind at a time: a mail server that hangs delays no charge."""

    def __init__(
        self,
        registry: HandlerRegistry,
        store: Store,
        clock: Clock,
        worker: str,
        *,
        at_once: int,
        deliver: Callable[[Inbound], None],
        metrics: Metrics,
        rng: random.Random,
        progress: Progress | None = None,
        tracer: Tracer | None = None,
        own_log: OwnLog | None = None,
    ) -> None:
        """`at_once`: calls of one kind in progress at a time. `deliver` takes the outcomes, as messages."""
        self.progress = progress or Progress()
        self.registry, self.store, self.clock, self.worker = registry, store, clock, worker
        self.deliver = deliver
        self.metrics = metrics
        gateways = registry.service.gateways
        self.kinds: Mapping[str, type[Operation]] = {kind.__qualname__: kind for kind in gateways}
        self._budgets = {kind: LeaseBudget(at_once) for kind in self.kinds}
        self._at_once = at_once
        self._places = {kind: asyncio.Semaphore(at_once) for kind in self.kinds}
        self._leased: Counter[str] = Counter()
        self._unreadable: set[UUID] = set()
        self._short: set[str] = set()
        """Kinds of which more may be due than there was room for."""
        self._queued: dict[int, OperationRow] = {}
        """Leased, and not begun, by `id()`: hashing a UUID takes longer."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._nudge = asyncio.Event()
        self._swept = NEVER
        self._stopping = False
        self.destinations = Destinations(store, clock, worker, metrics, rng)
        self.attempts = Attempts(
            gateways,
            store,
            clock,
            self.destinations,
            metrics=metrics,
            rng=rng,
            tracer=tracer,
            took=lambda kind, seconds: self._budgets[kind].took(seconds),
            recollection=Recollection(registry.service, own_log),
        )
        self._released = Grouped(store.postpone)

    # Capacity

    def lease_budget(self, kind: str, destination: str = "") -> int:
        """How many more leases of a kind this worker takes; none for a destination that is not called now."""
        if self._stopping or (destination and self.destinations.held(destination)):
            return 0
        return max(0, self._budgets[kind].leases - self._leased[kind])

    def call_budget(self, kind: str) -> int:
        """How many more calls of a kind can begin at once."""
        return 0 if self._stopping else max(0, self._at_once - self._leased[kind])

    def _has_room(self, kind: str) -> bool:
        """Whether several places are free: they are waited for, so that one statement leases many rows."""
        return self.lease_budget(kind) >= max(1, self._budgets[kind].leases // 4)

    # Starting and stopping

    def start(self, leased: Sequence[tuple[OperationRow, Operation]], *, probe: bool = False) -> None:
        """Perform operations whose lease this worker holds. `probe`: whether their destination answers again."""
        if leased:
            self.progress.waits("operations")
        for row, operation in leased:
            task = asyncio.create_task(self._perform(row, operation, probe=probe))
            self._leased[row.kind] += 1
            self._queued[id(row)] = row
            self._tasks.add(task)
            task.add_done_callback(lambda ended, row=row: self._ended(ended, row))  # type: ignore[misc]

    def _ended(self, task: asyncio.Task[None], row: OperationRow) -> None:
        self._tasks.discard(task)
        self._leased[row.kind] -= 1
        if self._queued:
            self.progress.advanced("operations")
        else:
            self.progress.rests("operations")  # calls that were begun end by themselves
        if row.kind in self._short and self._has_room(row.kind):
            self._short.discard(row.kind)
            self._swept = NEVER  # they may have been due for long
            self.nudge()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("operation task failed", operation=row.kind, id=str(row.id), error=type(error).__name__)

    def idle(self) -> bool:
        """No call is in progress or waits for a free place here."""
        return not self._tasks

    def resumed(self, destination: str) -> None:
        """Staff say that a destination works again."""
        self.destinations.forget(destination)
        self._swept = NEVER
        self.nudge()

    def nudge(self) -> None:
        """There are due operations without a lease."""
        self._nudge.set()

    async def run(self, every: float = 0.25) -> None:
        """Lease what is due, until it is stopped."""
        while True:
            more = False
            try:
                more = await self.lease()
                if not self._queued:
                    self.progress.rests("operations")
            except StoreUnavailable:
                self.progress.waits("operations")
                await asyncio.sleep(1.0)
            if more:
                await asyncio.sleep(0)
                continue
            self._nudge.clear()
            try:
                async with asyncio.timeout(every):
                    await self._nudge.wait()
            except TimeoutError:
                pass

    async def drain(self, seconds: float) -> None:
        """Take nothing more, release what was not begun, and give calls that are in progress some time to end."""
        self._stopping = True
        await self._release_queued()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _release_queued(self) -> None:
        """So that another worker takes them up at once, and it is known that they were not begun."""
        queued, self._queued = list(self._queued.values()), {}
        if queued:
            try:
                await self.store.postpone(queued)
            except StoreUnavailable:
                return  # Their leases end at the next start, or by themselves.

    # Leasing

    async def lease(self) -> bool:
        """Lease what is due and perform it. Returns whether more may be due and there is room for it."""
        requests = [self._request(kind) for kind in self.kinds if self._has_room(kind)]
        self._short = {kind for kind in self.kinds if not self._has_room(kind)}
        if not requests or self._stopping:
            return False
        now = self.clock.now()
        since = now - RECENT
        if not self._swept_lately():
            since = LONG_AGO
            await self.destinations.refresh()
        await self._probe(now, requests)
        avoid = self.destinations.avoided()
        rows = await self.store.lease_operations(
            self.worker, now, requests, since=since, avoid=avoid, without=self._unreadable
        )
        self.start([(row, operation) for row in rows if (operation := await self._read(row)) is not None])
        got = Counter(row.kind for row in rows)
        full = {each.kind for each in requests if got[each.kind] == each.limit}
        if full:
            self._swept = NEVER  # older ones may be left
        self._short |= {kind for kind in full if not self._has_room(kind)}
        return bool(full - self._short)

    def _request(self, kind: str) -> LeaseRequest:
        return LeaseRequest(kind, min(self.lease_budget(kind), MOST_LEASED), lease_seconds(self.kinds[kind]))

    async def _probe(self, now: datetime, requests: Sequence[LeaseRequest]) -> None:
        """Try one operation of each destination whose pause may be over."""
        for destination in self.destinations.to_probe():
            row = await self.store.lease_probe(self.worker, now, requests, destination, self._unreadable)
            operation = await self._read(row) if row is not None else None
            if row is None or operation is None:
                continue
            if await self.destinations.may_probe(destination):
                self.start([(row, operation)], probe=True)
            else:
                await self._postpone(row)

    async def _read(self, row: OperationRow) -> Operation | None:
        """None for what this version of the service cannot read: it waits for one that can."""
        try:
            operation: Operation = self.registry.operations.load(row.kind, row.payload)
        except Exception as error:
            log.error("operation cannot be read", operation=row.kind, id=str(row.id), error=type(error).__name__)
            due = row.due
            if len(self._unreadable) < MOST_REMEMBERED:
                self._unreadable.add(row.id)  # due as it is: a newer build takes it at once
            else:
                due = self.clock.now() + timedelta(seconds=UNREADABLE_SECONDS)
            await self._postpone(replace(row, due=due, error=f"cannot be read by this build: {type(error).__name__}"))
            return None
        return operation

    def _swept_lately(self) -> bool:
        """Every few seconds all that is due is looked through, in between what became due lately. Spares walking over
        the dead rows of a queue, which stay there as long as any old snapshot could see them."""
        now = asyncio.get_running_loop().time()
        if now - self._swept < SWEEP_SECONDS:
            return True
        self._swept = now
        return False

    # Performing

    async def _perform(self, row: OperationRow, operation: Operation, *, probe: bool) -> None:
        """Wait for a free place, attempt it, and deliver the outcome or release the row. The lease ends when the row is
        released, or with the batch that takes the outcome."""
        try:
            async with self._places[row.kind]:
                if self._queued.pop(id(row), None) is None:
                    return  # It was released.
                meta = attempt_meta(row)
                if held := "" if probe else self._why_not_called(row):
                    step: Ended | Waits = Waits(replace(row, error=held))
                elif self.attempts.would_lapse(row, operation):
                    step = Waits(row)
                else:
                    CURRENT.set(meta.traceparent)
                    step = await self.attempts.make(row, operation, probe=probe)
        finally:
            if probe:
                self.destinations.probed(row.destination)
        if isinstance(step, Waits):
            await self._postpone(step.row)
        else:
            self._deliver(step, operation, meta)

    def _why_not_called(self, row: OperationRow) -> str:
        """Why it has to wait, where its destination is not called now. After a strict deadline it no longer waits."""
        if row.expires is not None and self.clock.now() >= row.expires:
            return ""
        return self.destinations.held(row.destination)

    async def _postpone(self, row: OperationRow) -> None:
        """Release a row. Try at least once, even after the lease has ended: no other worker may have taken the row.
        While the lease lasts, keep trying."""
        while True:
            try:
                await self._released.add(row)
                break
            except StoreUnavailable:
                if row.leased_until is not None and row.leased_until < self.clock.now():
                    break
                await asyncio.sleep(1.0)
        wait = (row.due - self.clock.now()).total_seconds()
        if wait < 0.25:
            asyncio.get_running_loop().call_later(max(wait, 0.0), self.nudge)
        log.info(
            "operation waits",
            operation=row.kind,
            key=row.key,
            trace=trace_of(Meta.load(row.meta).traceparent),
            attempts=row.attempts,
            in_doubt=row.in_doubt,
            wait=round(wait, 2),
        )

    def _deliver(self, ended: Ended, operation: Operation, meta: Meta) -> None:
        row = ended.row
        if isinstance(ended.outcome, UnresolvedOutcome):
            self.metrics.unresolved.inc()
        attempts = tuple(rules.failed_calls(row)) if len(row.history) > 2 else ()
        self.deliver(
            Inbound(
                *(row.id, row.key, ended.outcome, meta),
                operation=(row, operation),
                attempts=attempts,
                occurred=row.occurred,
            )
        )
