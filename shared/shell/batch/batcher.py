"""The loop that takes what is queued, handles it in one transaction, and goes on. One per worker."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import structlog

from shared.core import Command, Refused
from shared.core.fast_dataclasses import replace
from shared.shell.batch.batch import Batch
from shared.shell.batch.leases import Capacity, NoCapacity
from shared.shell.batch.own_log import OwnLog
from shared.shell.batch.result import BatchResult, RetryFailed, TryLater
from shared.shell.batch.state_cache import StateCache
from shared.shell.inbound.errors import describe, printable
from shared.shell.inbound.message import Inbound, Undecodable
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.observability.spans import batch_spans
from shared.shell.observability.tracing import context_of, trace_of
from shared.shell.ports.clock import Clock, back_off
from shared.shell.ports.rows import NEWER, OperationRow
from shared.shell.ports.store import BatchRefused, Conflict, Store, StoreUnavailable, ValueTaken
from shared.shell.ports.tracer import Tracer
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)
Mark = Callable[[], None]
CONFLICTS_BEFORE_HALVING = 5
CANDIDATES = 8
"""For a value that must be unique; if other rows have them all, the message is parked."""


class Duplicate:
    """The reply to an HTTP command whose id was known: its first reply is in the store."""


class Batcher:
    """Queues messages of all sources and handles them in batches.

    `put` waits while the queue is full: a slow database stops the reading, and memory stays bounded.
    """

    def __init__(
        self,
        registry: HandlerRegistry,
        store: Store,
        clock: Clock,
        worker: str,
        *,
        batch: int,
        metrics: Metrics,
        rng: random.Random,
        after: Callable[[BatchResult], None],
        capacity: Capacity,
        progress: Progress | None = None,
        tracer: Tracer | None = None,
        own_log: OwnLog | None = None,
    ) -> None:
        """`batch`: the most messages of one transaction. `after` is called after each commit."""
        self.progress = progress or Progress()
        self.registry, self.store, self.clock, self.worker = registry, store, clock, worker
        self.batch = batch
        self.metrics = metrics
        self.rng = rng
        self.after = after
        self.capacity = capacity
        self.tracer = tracer
        self.own_log = own_log or OwnLog()
        self._cache = StateCache()
        self._queue: deque[Inbound | Mark] = deque()
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()
        self._taken.set()
        self._busy = False
        self.database_away = False
        """The database does not take the current batch: it is away, or it answers but cannot write (a full disk)."""

    async def put(self, inbounds: Sequence[Inbound], mark: Mark | None = None) -> None:
        """Queue messages in their order; `mark` is called when all before it are committed."""
        while len(self._queue) >= 2 * self.batch:
            self._taken.clear()
            await self._taken.wait()
        self._queue.extend(inbounds)
        if mark:
            self._queue.append(mark)
        self._filled.set()

    async def until_low(self) -> None:
        """Until less than a batch is queued. What is read before that only takes memory: parsed, a message takes ten
        times as much as its record."""
        while len(self._queue) >= self.batch:
            self._taken.clear()
            await self._taken.wait()

    def put_now(self, inbound: Inbound) -> None:
        """Queue without waiting: outcomes, whose number is bounded by the operations in flight."""
        self._queue.append(inbound)
        self._filled.set()

    async def run(self) -> None:
        while True:
            self._filled.clear()
            if not self._queue:
                await self._filled.wait()
            inbounds, marks = self._take()
            self._busy = True
            if inbounds:
                self.progress.waits("batcher")
                await self.handle(inbounds)
            self._busy = False
            if not self._queue:
                self.progress.rests("batcher")
            for mark in marks:
                mark()

    def idle(self) -> bool:
        """Nothing waits and nothing is in progress."""
        return not (self._queue or self._busy)

    async def drained(self) -> None:
        """Returns when nothing waits and nothing is in progress."""
        while not self.idle():
            await asyncio.sleep(0.01)

    def _take(self) -> tuple[list[Inbound], list[Mark]]:
        inbounds: list[Inbound] = []
        marks: list[Mark] = []
        while self._queue and len(inbounds) < self.batch:
            entry = self._queue.popleft()
            if isinstance(entry, Inbound):
                inbounds.append(entry)
            else:
                marks.append(entry)
        self._taken.set()
        return inbounds, marks

    async def handle(self, inbounds: Sequence[Inbound]) -> None:
        """Handle a batch to its end: try again what can be, halve what the database refuses, park what remains."""
        conflicts = troubles = 0
        unanswered: dict[UUID, OperationRow] = {}
        while True:
            try:
                await self._transact(inbounds, unanswered)
                self.database_away = False
                await self._release(unanswered)
                return
            except Conflict:
                conflicts += 1
                self.metrics.conflicts.inc()
                if conflicts > CONFLICTS_BEFORE_HALVING and len(inbounds) > 1:
                    await self._halve(inbounds)
                    return
                await asyncio.sleep(back_off(0.005, conflicts, self.rng, 1.0))
            except StoreUnavailable as trouble:
                troubles += 1
                self.database_away = True
                if troubles in (1, 10, 100):
                    log.warning("database unavailable, retrying", error=str(trouble), times=troubles)
                await asyncio.sleep(back_off(0.05, troubles, self.rng, 2.0))
            except BatchRefused as refused:
                if len(inbounds) > 1:
                    await self._halve(inbounds)
                elif isinstance(refused, ValueTaken) and (following := _next_candidate(inbounds[0])):
                    await self.handle([following])
                else:
                    await self._park(inbounds[0], str(refused))
                return
            except Exception as bug:
                log.exception("batch failed", size=len(inbounds), error=type(bug).__name__)
                if len(inbounds) == 1:
                    await self._park(inbounds[0], describe(bug))
                else:
                    await self._halve(inbounds)
                return

    async def _halve(self, inbounds: Sequence[Inbound]) -> None:
        middle = len(inbounds) // 2
        await self.handle(inbounds[:middle])
        await self.handle(inbounds[middle:])

    async def _release(self, unanswered: Mapping[UUID, OperationRow]) -> None:
        """End leases that came with a commit whose answer was lost: no part of this worker performs them."""
        if unanswered:
            with suppress(StoreUnavailable):  # then it waits for the end of its lease, in doubt
                await self.store.postpone(list(unanswered.values()))

    async def _transact(self, inbounds: Sequence[Inbound], unanswered: dict[UUID, OperationRow] | None = None) -> None:
        """One transaction. `unanswered` gathers its operations where it is unknown whether it was committed, until
        they are decided again."""
        began = self.clock.now()
        batch = Batch(self.registry, self.worker, began, self.capacity, self._cache, self.own_log)
        with self.metrics.transaction_seconds.time():
            try:
                async with self.store.begin() as tx:
                    result = await batch.run(tx, inbounds)
            except StoreUnavailable:
                if unanswered is not None:
                    unanswered |= {row.id: row for row, _ in batch.result.leased}
                raise
        if unanswered:
            for row, _ in result.leased:
                unanswered.pop(row.id, None)
        batch.cache_states()
        self._trace(result, began)
        self._committed(inbounds, result)

    def _trace(self, result: BatchResult, began: datetime) -> None:
        if self.tracer is None:
            return
        try:
            for span in batch_spans(self.registry, result.decided, result.new_keys, began, self.clock.now()):
                self.tracer.record(span)
        except Exception as bug:  # the batch is committed: what comes after must not undo that
            log.exception("batch cannot be traced", error=type(bug).__name__)

    async def retry_parked(self, inbound: Inbound) -> None:
        """Handle one parked message again, in a transaction of its own. Raises RetryFailed and leaves it parked."""
        try:
            await self._transact([inbound])
        except RetryFailed:
            raise
        except ValueTaken as taken:
            following = _next_candidate(inbound)
            if following is None:
                raise RetryFailed(str(taken)) from None
            await self.retry_parked(following)
        except (Conflict, StoreUnavailable) as trouble:
            raise TryLater(str(trouble)) from None
        except BatchRefused as refused:
            raise RetryFailed(str(refused)) from None
        except Exception as bug:
            raise RetryFailed(describe(bug)) from None

    async def _park(self, inbound: Inbound, error: str) -> None:
        """Here a message is parked that the database refuses; what the core cannot handle, `Batch` parks."""
        if inbound.reply is not None and isinstance(inbound.message, Command):
            with suppress(asyncio.InvalidStateError):
                inbound.reply.set_result(Refused("internal", error))
            return
        if isinstance(inbound.message, Undecodable):
            error = f"{inbound.message.error}; {error}"
        whole = True
        while True:
            began = self.clock.now()
            batch = Batch(self.registry, self.worker, began, NoCapacity())
            try:
                async with self.store.begin() as tx:
                    result = await (batch.park if whole else batch.park_place)(tx, inbound, error)
                self.database_away = False
                break
            except StoreUnavailable:
                self.database_away = True
                await asyncio.sleep(1.0)
            except Exception as refused:
                error = printable(f"{error}; it cannot be stored whole: {describe(refused)}")
                if not whole:
                    self.database_away = True
                    log.error("message cannot be parked, retrying", id=str(inbound.id), error=error)
                    await asyncio.sleep(1.0)
                whole = False
        self._trace(result, began)
        self._committed([inbound], result)

    def _committed(self, inbounds: Sequence[Inbound], result: BatchResult) -> None:
        self.progress.advanced("batcher")
        self.metrics.batch_size.observe(len(inbounds))
        self.metrics.handled.inc(result.handled)
        self.metrics.duplicates.inc(result.duplicates)
        for inbound in result.reworded:
            self.metrics.reworded.inc()
            log.warning("message id reused with different content", key=inbound.key, message=str(inbound.id))
        self.metrics.refused.inc(result.refused)
        if result.parked:
            self._report_parked(inbounds, result)
        for inbound, answer in result.replies:
            if inbound.reply is not None and not inbound.reply.done():
                inbound.reply.set_result(answer)
        if result.duplicates:
            for inbound in inbounds:
                if inbound.reply is not None and not inbound.reply.done():
                    inbound.reply.set_result(result.passing.get(inbound.identity) or Duplicate())
        self.after(result)

    def _report_parked(self, inbounds: Sequence[Inbound], result: BatchResult) -> None:
        traces = {inbound.id: trace_of(context_of(inbound.meta.traceparent, inbound.key)) for inbound in inbounds}
        for row in result.parked:
            about = {"key": row.key, "trace": traces.get(row.message_id, ""), "message": str(row.message_id)}
            if row.reason == NEWER:
                log.warning("message waits for a newer build", type=row.kind, reason=row.error, **about)
                continue
            self.metrics.parked_total.inc()
            log.error("message parked", type=row.kind, **about)


def _next_candidate(inbound: Inbound) -> Inbound | None:
    """The message, to be decided again with the next candidate for a value that must be unique; None after the last."""
    candidate = inbound.candidate + 1
    return replace(inbound, candidate=candidate) if candidate < CANDIDATES else None
