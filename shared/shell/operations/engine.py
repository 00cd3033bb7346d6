"""Leases operations, lets their gateways perform them, and hands the outcomes to the cores as messages.

A row is leased when it is written (by the worker that wrote it), or later when it is due again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from shared.core import NoOutcome, NotDone, Operation, OperatorFault, Outcome, Unknown, UnresolvedOutcome
from shared.core.fast_dataclasses import replace
from shared.shell.batch.batch import lease_seconds
from shared.shell.batch.handler import Handler
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.observability import spans
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.observability.tracing import CURRENT, trace_of
from shared.shell.operations import rules
from shared.shell.operations.destinations import Destinations
from shared.shell.operations.grouped import Grouped
from shared.shell.operations.rules import Ended, Find, Perform, Waits
from shared.shell.ports.clock import Clock
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.store import LONG_AGO, OperationRow, Store, StoreUnavailable, Wanted
from shared.shell.ports.tracer import Tracer
from shared.shell.service.registry import HandlerRegistry

Answer = TypeVar("Answer", bound=Outcome | NotDone | NoOutcome)
log = structlog.get_logger(__name__)
RECENT = timedelta(seconds=10)
SWEEP_SECONDS = 2.0
UNREADABLE_SECONDS = 60.0
NEVER = float("-inf")
MOST_LEASED = 200
"""Rows of a kind per statement."""
QUEUE_SECONDS = 20.0
"""How long what is leased should wait for its turn, by how long calls took lately."""


class Operations:
    """Performs operations, a bounded number of each kind at a time: a hanging mail server holds no charge up."""

    def __init__(
        self,
        registry: HandlerRegistry,
        store: Store,
        clock: Clock,
        worker: str,
        *,
        at_once: int,
        metrics: Metrics,
        rng: random.Random,
        progress: Progress | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self.registry, self.store, self.clock, self.worker = registry, store, clock, worker
        self.gateways: Mapping[type[Operation], Gateway] = registry.service.gateways
        self.metrics = metrics
        self.rng = rng
        self.tracer = tracer
        self.handler: Handler | None = None
        """Set when the shell is put together: the two need each other."""
        self.kinds: Mapping[str, type[Operation]] = {kind.__qualname__: kind for kind in self.gateways}
        self._budgets = {kind: LeaseBudget(at_once) for kind in self.kinds}
        self._at_once = at_once
        self._slots = {kind: asyncio.Semaphore(at_once) for kind in self.kinds}
        self._held: Counter[str] = Counter()
        self._short: set[str] = set()
        """Kinds of which more may be due than there was room for."""
        self._queued: dict[int, OperationRow] = {}
        """Leased, and not begun, by `id()`: hashing a UUID takes longer."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._nudge = asyncio.Event()
        self._swept = NEVER
        self._stopping = False
        self.destinations = Destinations(store, clock, worker, metrics, rng)
        self._begin_calls = Grouped(store.begin_calls)
        self._give_back = Grouped(store.postpone)

    def lease_budget(self, kind: str, destination: str = "") -> int:
        """How many more leases of a kind this worker takes; none for a destination that is not called right now."""
        if self._stopping or (destination and self.destinations.held(destination)):
            return 0
        return max(0, self._budgets[kind].leases - self._held[kind])

    def call_budget(self, kind: str) -> int:
        """How many more calls of a kind can begin at once."""
        return 0 if self._stopping else max(0, self._at_once - self._held[kind])

    def start(self, leased: Sequence[tuple[OperationRow, Operation]], *, probe: bool = False) -> None:
        """Perform operations that this worker holds the lease of. `probe`: whether their destination answers again."""
        if leased:
            self.progress.waits("operations")
        for row, operation in leased:
            task = asyncio.create_task(self._take_turn(row, operation, probe=probe))
            self._held[row.kind] += 1
            self._queued[id(row)] = row
            self._tasks.add(task)
            task.add_done_callback(lambda ended, row=row: self._ended(ended, row))  # type: ignore[misc]

    def _ended(self, task: asyncio.Task[None], row: OperationRow) -> None:
        self._tasks.discard(task)
        self._held[row.kind] -= 1
        if self._queued:
            self.progress.advanced("operations")
        else:
            self.progress.rests("operations")  # calls that were begun end by themselves
        if row.kind in self._short and self._has_room(row.kind):
            self._short.discard(row.kind)
            self._swept = NEVER  # they may have been due for long
            self.nudge()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an operation's task failed", operation=row.kind, id=str(row.id), error=type(error).__name__)

    def idle(self) -> bool:
        """No call is under way or waits for its turn here."""
        return not self._tasks

    def resumed(self, destination: str) -> None:
        """A person says that a destination is well again."""
        self.destinations.forget(destination)
        self._swept = NEVER
        self.nudge()

    def nudge(self) -> None:
        """There are due operations that nobody holds."""
        self._nudge.set()

    async def run(self, every: float = 0.25) -> None:
        """Lease what is due, for ever."""
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
        """Take nothing more, give back what was not begun, and give what is under way some time to end."""
        self._stopping = True
        await self._give_queued_back()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_queued_back(self) -> None:
        """So that they go on elsewhere at once, and nobody has to wonder whether they were begun."""
        queued, self._queued = list(self._queued.values()), {}
        if queued:
            try:
                await self.store.postpone(queued)
            except StoreUnavailable:
                return  # Their leases end at the next start, or by themselves.

    # Leasing

    async def lease(self) -> bool:
        """Lease what is due and perform it. Returns whether more may be due that there is room for."""
        wanted = [self._wanted(kind) for kind in self.kinds if self._has_room(kind)]
        self._short = {kind for kind in self.kinds if not self._has_room(kind)}
        if not wanted or self._stopping:
            return False
        now = self.clock.now()
        since = now - RECENT
        if not self._swept_lately():
            since = LONG_AGO
            await self.destinations.refresh()
        await self._probe(now, wanted)
        avoid = self.destinations.avoided()
        rows = await self.store.lease_operations(self.worker, now, wanted, since=since, avoid=avoid)
        self.start([(row, operation) for row in rows if (operation := await self._read(row)) is not None])
        got = Counter(row.kind for row in rows)
        full = {each.kind for each in wanted if got[each.kind] == each.limit}
        if full:
            self._swept = NEVER  # older ones may be left
        self._short |= {kind for kind in full if not self._has_room(kind)}
        return bool(full - self._short)

    async def _probe(self, now: datetime, wanted: Sequence[Wanted]) -> None:
        """Try one operation of each destination whose pause may be over."""
        for destination in self.destinations.to_probe():
            row = await self.store.lease_probe(self.worker, now, wanted, destination)
            operation = await self._read(row) if row is not None else None
            if row is None or operation is None:
                continue
            if await self.destinations.may_probe(destination):
                self.start([(row, operation)], probe=True)
            else:
                await self._postpone(row)

    def _has_room(self, kind: str) -> bool:
        """Not for every place that becomes free: a statement should bring many rows."""
        return self.lease_budget(kind) >= max(1, self._budgets[kind].leases // 4)

    def _wanted(self, kind: str) -> Wanted:
        return Wanted(kind, min(self.lease_budget(kind), MOST_LEASED), lease_seconds(self.kinds[kind]))

    async def _read(self, row: OperationRow) -> Operation | None:
        """None for what this version of the service cannot read: it waits for one that can."""
        try:
            operation: Operation = self.registry.operations.load(row.kind, row.payload)
        except Exception as error:
            log.error("operation cannot be read", operation=row.kind, id=str(row.id), error=type(error).__name__)
            due = self.clock.now() + timedelta(seconds=UNREADABLE_SECONDS)
            await self._postpone(replace(row, due=due, error=f"cannot be read: {type(error).__name__}"))
            return None
        return operation

    def _swept_lately(self) -> bool:
        """Every few seconds all that is due is looked through, in between what became due lately. Spares walking over
        the dead rows of a queue, which stay there as long as anybody's old snapshot could see them."""
        now = asyncio.get_running_loop().time()
        if now - self._swept < SWEEP_SECONDS:
            return True
        self._swept = now
        return False

    # Calling

    async def _take_turn(self, row: OperationRow, operation: Operation, *, probe: bool) -> None:
        try:
            async with self._slots[row.kind]:
                if self._queued.pop(id(row), None) is None:
                    return  # It was given back.
                meta = spans.attempt_meta(row)
                if held := "" if probe else self._held_up(row):
                    step: Ended | Waits = Waits(replace(row, error=held))
                elif self._lapsed(row, operation):
                    step = Waits(row)
                else:
                    CURRENT.set(meta.traceparent)
                    step = await self._try(row, operation, probe=probe)
        finally:
            if probe:
                self.destinations.probed(row.destination)
        if isinstance(step, Waits):
            await self._postpone(step.row)
        else:
            self._deliver(step, operation, meta)

    def _held_up(self, row: OperationRow) -> str:
        """Why it has to wait, where its destination is not called now. At a strict deadline nobody waits any more."""
        if row.expires is not None and self.clock.now() >= row.expires:
            return ""
        return self.destinations.held(row.destination)

    def _lapsed(self, row: OperationRow, operation: Operation) -> bool:
        """Whether the lease could end before the call does: then it is somebody else's."""
        ends = row.leased_until
        return ends is not None and ends < self.clock.now() + timedelta(seconds=operation.timeout)

    async def _try(self, row: OperationRow, operation: Operation, *, probe: bool) -> Ended | Waits:
        """One try: what the rules ask for, until it has ended or waits."""
        gateway, key = self.gateways[type(operation)], self._key(row, operation)
        began = self.clock.now()
        started = asyncio.get_running_loop().time()
        answer: Outcome | NotDone | NoOutcome | None = None
        step: rules.Step = rules.first_step(row, operation, began)
        while isinstance(step, Perform | Find):
            if isinstance(step, Find):
                answer = await self._ask(step.row, operation, gateway.find(operation, key), probe=probe)
                step = rules.after_find(step.row, operation, answer, self.clock.now(), self.rng, last=step.last)
            elif not operation.safe_to_repeat and not await self._begun(step.row, operation):
                step = Waits(step.row)
            else:
                called = await self._ask(step.row, operation, gateway.perform(operation, key), probe=probe)
                answer = called
                step = rules.after_perform(step.row, operation, called, self.clock.now(), self.rng)
        if answer is not None:
            said = step.outcome if isinstance(answer, NotDone) and isinstance(step, Ended) else answer
            self._tell(row, operation, said, began, asyncio.get_running_loop().time() - started)
        return step

    def _key(self, row: OperationRow, operation: Operation) -> str:
        return operation.idempotency_key(row.id)

    async def _begun(self, row: OperationRow, operation: Operation) -> bool:
        """Commit that a call is being begun. False where the lease does not last for it any more: no call is made."""
        if row.begun:
            return not self._lapsed(row, operation)
        begun = replace(row, attempts=row.attempts + 1)
        while not self._lapsed(row, operation):
            try:
                held = await self._begin_calls.add(begun)
            except StoreUnavailable:
                await asyncio.sleep(1.0)
                continue
            return row.id in held and not self._lapsed(row, operation)
        return False

    async def _ask(
        self, row: OperationRow, operation: Operation, call: Awaitable[Answer], *, probe: bool
    ) -> Answer | Unknown:
        answer: Answer | Unknown | None = None
        self.destinations.began(row.destination)
        try:
            async with asyncio.timeout(operation.timeout):
                answer = await call
        except TimeoutError:
            answer = Unknown(f"no answer within {operation.timeout:g} s")
        except Exception as bug:
            log.exception("gateway raised", operation=row.kind, id=str(row.id), error=type(bug).__name__)
            answer = Unknown(type(bug).__name__)
        finally:
            self.destinations.answered(row.destination, answer)
        if isinstance(answer, OperatorFault):
            await self.destinations.pause(row.destination, answer.text)
        elif probe and isinstance(answer, Outcome):
            await self.destinations.resume(row.destination)
        return answer

    def _tell(
        self, row: OperationRow, operation: Operation, said: Outcome | NoOutcome | NotDone, began: datetime, took: float
    ) -> None:
        self._budgets[row.kind].took(took)
        self.metrics.operation(row.kind, type(said).__name__.lower(), took)
        if self.tracer is not None and not isinstance(said, NotDone):
            self.tracer.record(spans.of_attempt(row, operation, said, began, self.clock.now()))

    # What comes of it

    async def _postpone(self, row: OperationRow) -> None:
        """Give a row back: once in any case, since nobody may have taken it up after its lease, and again and again as
        long as that lives."""
        while True:
            try:
                await self._give_back.add(row)
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
            doubt=row.doubt,
            wait=round(wait, 2),
        )

    def _deliver(self, ended: Ended, operation: Operation, meta: Meta) -> None:
        assert self.handler is not None
        row = ended.row
        if isinstance(ended.outcome, UnresolvedOutcome):
            self.metrics.unresolved.inc()
        attempts = tuple(rules.failed_calls(row)) if len(row.history) > 2 else ()
        self.handler.put_now(
            Inbound(
                *(row.id, row.key, ended.outcome, meta),
                operation=(row, operation),
                attempts=attempts,
                occurred=row.occurred,
            )
        )


class LeaseBudget:
    """How many operations of a kind a worker holds: as many as get their turn within QUEUE_SECONDS by how long calls
    took lately, so that slow ones do not wait here until their lease is over. Between one and sixteen per place."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._seconds = 0.0
        self.leases = 16 * at_once

    def took(self, seconds: float) -> None:
        self._seconds += (seconds - self._seconds) / 16
        call_budget = 16.0 if self._seconds * 16 <= QUEUE_SECONDS else max(1.0, QUEUE_SECONDS / self._seconds)
        self.leases = int(self._at_once * call_budget)
