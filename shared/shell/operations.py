"""Calls to the outside: lease a row, let the gateway perform it, and give the outcome to the core as a message.

A row is leased when it is written (by the worker that wrote it), or later when it is due again. An attempt whose
answer never came leaves the row in doubt: before it is repeated, the gateway is asked what became of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog

from shared.contracts.values import Attempt
from shared.shell import spans
from shared.shell.clock import Clock, back_off
from shared.shell.core import NoOutcome, NotDone, NotTried, Operation, OperatorFault, Outcome, Retry, Unknown
from shared.shell.handler import Handler
from shared.shell.inbound import Inbound, Meta
from shared.shell.metrics import Metrics
from shared.shell.service import Gateway
from shared.shell.store import OperationRow, Store, StoreUnavailable
from shared.shell.tracing import CURRENT, Tracer, trace_of
from shared.shell.wiring import Wiring
from shared.swift import replace

log = structlog.get_logger(__name__)
LEASE_SECONDS = 90.0
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
RECENT = timedelta(seconds=10)
SWEEP_SECONDS = 2.0
NEVER = float("-inf")


class Operations:
    """Performs operations, a bounded number of each kind at a time: a hanging mail server holds no charge up."""

    def __init__(
        self,
        wiring: Wiring,
        store: Store,
        clock: Clock,
        worker: str,
        *,
        at_once: int,
        metrics: Metrics,
        chance: random.Random,
        tracer: Tracer | None = None,
    ) -> None:
        self.wiring, self.store, self.clock, self.worker = wiring, store, clock, worker
        self.gateways: Mapping[type[Operation], Gateway] = wiring.service.gateways
        self.metrics = metrics
        self.chance = chance
        self.tracer = tracer
        self.handler: Handler | None = None
        """Set when the shell is put together: the two need each other."""
        self.held = 16 * at_once
        self.kinds = frozenset(kind.__qualname__ for kind in self.gateways)
        self._slots = {kind: asyncio.Semaphore(at_once) for kind in self.kinds}
        self._held: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._nudge = asyncio.Event()
        self._swept = NEVER
        self._stopping = False

    def room(self, kind: str) -> int:
        """How many more leases of a kind this worker takes."""
        return 0 if self._stopping else max(0, self.held - self._held[kind])

    def start(self, leased: Sequence[tuple[OperationRow, Operation]]) -> None:
        """Perform operations that this worker holds the lease of."""
        for row, operation in leased:
            self._begin(row, operation, doubt=False)

    def _begin(self, row: OperationRow, operation: Operation, *, doubt: bool) -> None:
        task = asyncio.create_task(self._perform(row, operation, doubt=doubt))
        self._held[row.kind] += 1
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, row.kind))

    def _ended(self, task: asyncio.Task[None], kind: str) -> None:
        self._tasks.discard(task)
        self._held[kind] -= 1

    def nudge(self) -> None:
        """There are due operations that nobody holds."""
        self._nudge.set()

    async def run(self, every: float = 0.25) -> None:
        """Lease what is due, for ever."""
        while True:
            full = False
            rooms = {kind: room for kind in self.kinds if (room := self.room(kind))}
            if rooms:
                try:
                    full = await self._lease(min(*rooms.values(), 200), rooms)
                except StoreUnavailable:
                    await asyncio.sleep(1.0)
            if not full:
                self._nudge.clear()
                try:
                    async with asyncio.timeout(every):
                        await self._nudge.wait()
                except TimeoutError:
                    pass
            else:
                await asyncio.sleep(0)

    async def drain(self, seconds: float) -> None:
        """Take nothing more, and give what is under way some time to end."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lease(self, limit: int, kinds: Collection[str]) -> bool:
        now = self.clock.now()
        since = now - RECENT if self._swept_lately() else LONG_AGO
        rows = await self.store.lease_operations(self.worker, now, limit, LEASE_SECONDS, kinds, since=since)
        for row in rows:
            try:
                operation = self.wiring.operations.load(row.kind, row.payload)
            except Exception as error:
                await self._postpone(row, type(error).__name__, 60.0, doubt=row.doubt)
                log.error("operation cannot be read", operation=row.kind, id=str(row.id), error=type(error).__name__)
                continue
            self._begin(row, operation, doubt=row.doubt)
        full = len(rows) == limit
        if full or len(kinds) < len(self.kinds):
            self._swept = NEVER  # older ones may be left
        return full

    def _swept_lately(self) -> bool:
        """Every few seconds all that is due is looked through, in between what became due lately. Spares walking over
        the dead rows of a queue, which stay there as long as anybody's old snapshot could see them."""
        now = asyncio.get_running_loop().time()
        if now - self._swept < SWEEP_SECONDS:
            return True
        self._swept = now
        return False

    async def _perform(self, row: OperationRow, operation: Operation, *, doubt: bool) -> None:
        async with self._slots[row.kind]:
            if self._lapsed(row, operation):
                return
            CURRENT.set(spans.attempt_context(row))
            began = self.clock.now()
            started = asyncio.get_running_loop().time()
            answer = await self._ask(row, operation, doubt=doubt)
            seconds = asyncio.get_running_loop().time() - started
        self.metrics.operation(row.kind, type(answer).__name__.lower(), seconds)
        if self.tracer is not None:
            self.tracer.record(spans.of_attempt(row, operation, answer, began, self.clock.now()))
        await self._settle(row, operation, answer)

    def _lapsed(self, row: OperationRow, operation: Operation) -> bool:
        """Whether the lease could end before the attempt does: then it is somebody else's."""
        ends = row.leased_until
        return ends is not None and ends < self.clock.now() + timedelta(seconds=operation.patience)

    async def _ask(self, row: OperationRow, operation: Operation, *, doubt: bool) -> Outcome | NoOutcome:
        gateway = self.gateways[type(operation)]
        key = str(row.id)
        try:
            async with asyncio.timeout(operation.patience):
                if doubt:
                    found = await gateway.find(operation, key)
                    if not isinstance(found, NotDone):
                        return found
                return await gateway.perform(operation, key)
        except TimeoutError:
            return Unknown(f"no answer within {operation.patience:g} s")
        except Exception as bug:
            log.exception("gateway raised", operation=row.kind, id=str(row.id), error=type(bug).__name__)
            return Unknown(f"{type(bug).__name__}")

    async def _settle(self, row: OperationRow, operation: Operation, answer: Outcome | NoOutcome) -> None:
        if isinstance(answer, OperatorFault):
            answer = NotTried(answer.text, after=60.0)
        if isinstance(answer, Outcome):
            self._deliver(row, operation, answer, self._history(row))
            return
        history = [*self._history(row), Attempt(at=self.clock.now(), error=answer.error[:500])]
        if row.attempts >= operation.max_attempts:
            kind: Any = type(operation)
            if isinstance(answer, Unknown):
                self.metrics.unresolved.inc()
            last = (
                kind.Failed("gave_up", f"given up after {row.attempts} attempts: {answer.error}"[:1000])
                if isinstance(answer, Retry | NotTried)
                else kind.Unresolved(answer.error[:1000])
            )
            self._deliver(row, operation, last, history)
            return
        wait = answer.after if isinstance(answer, Retry | NotTried) else None
        if wait is None:
            wait = back_off(operation.first_retry, row.attempts, self.chance)
        await self._postpone(row, answer.error, wait, doubt=isinstance(answer, Unknown))
        log.info(
            "operation to be retried",
            operation=row.kind,
            key=row.key,
            trace=trace_of(Meta.load(row.meta).traceparent),
            attempts=row.attempts,
            wait=round(wait, 2),
        )

    async def _postpone(self, row: OperationRow, error: str, seconds: float, *, doubt: bool) -> None:
        now = self.clock.now()
        history = orjson.dumps([*orjson.loads(row.history), {"at": now.isoformat(), "error": error[:500]}][-20:])
        try:
            await self.store.postpone(row, now + timedelta(seconds=seconds), history, doubt=doubt)
        except StoreUnavailable:
            return  # The lease runs out by itself, and the row stays in doubt.
        if seconds < 0.25:
            asyncio.get_running_loop().call_later(seconds, self.nudge)

    def _deliver(self, row: OperationRow, operation: Operation, outcome: Outcome, attempts: Sequence[Attempt]) -> None:
        assert self.handler is not None
        meta = replace(Meta.load(row.meta), traceparent=spans.attempt_context(row))
        inbound = Inbound(row.id, row.key, outcome, meta, operation=(row, operation), attempts=tuple(attempts))
        self.handler.put_now(inbound)

    def _history(self, row: OperationRow) -> list[Attempt]:
        return [Attempt.model_validate(entry, strict=False) for entry in orjson.loads(row.history)]
