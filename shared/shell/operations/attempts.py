"""One attempt of an operation: `rules.py` says the next step, this takes it, until the operation has ended or waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from shared.core import NoOutcome, NotDone, Operation, OperatorFault, Outcome, Unknown
from shared.core.fast_dataclasses import replace
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.spans import attempt_span
from shared.shell.operations import rules
from shared.shell.operations.destinations import Destinations
from shared.shell.operations.grouped import Grouped
from shared.shell.operations.recall import Recollection
from shared.shell.operations.rules import Ended, Find, Perform, Waits
from shared.shell.ports.clock import Clock
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import Store, StoreUnavailable
from shared.shell.ports.tracer import Tracer

Said = TypeVar("Said", bound=Outcome | NotDone | NoOutcome)
log = structlog.get_logger(__name__)


class Attempts:
    def __init__(
        self,
        gateways: Mapping[type[Operation], Gateway],
        store: Store,
        clock: Clock,
        destinations: Destinations,
        *,
        metrics: Metrics,
        rng: random.Random,
        tracer: Tracer | None,
        took: Callable[[str, float], None],
        recollection: Recollection,
    ) -> None:
        """`took` is told the kind and the seconds of each attempt."""
        self.gateways, self.clock, self.destinations = gateways, clock, destinations
        self.metrics, self.rng, self.tracer = metrics, rng, tracer
        self._took, self._recollection = took, recollection
        self._begin_calls = Grouped(store.begin_calls)

    async def make(self, row: OperationRow, operation: Operation, *, probe: bool) -> Ended | Waits:
        """`probe`: whether the destination answers again."""
        if self._recollection.is_on:
            if known := self._recollection.ended(row, operation):
                return known
            row = self._recollection.perhaps_called(row, operation)
        gateway, key = self.gateways[type(operation)], self._key(row, operation)
        began = self.clock.now()
        started = asyncio.get_running_loop().time()
        said: Outcome | NotDone | NoOutcome | None = None
        step: rules.Step = rules.first_step(row, operation, began)
        while isinstance(step, Perform | Find):
            if isinstance(step, Find):
                said = await self._ask(step.row, operation, gateway.find(operation, key), probe=probe)
                step = rules.after_find(step.row, operation, said, self.clock.now(), self.rng, last=step.last)
            elif not operation.safe_to_repeat and not await self._begin(step.row, operation):
                step = Waits(step.row)
            else:
                performed = await self._ask(step.row, operation, gateway.perform(operation, key), probe=probe)
                said = performed
                step = rules.after_perform(step.row, operation, performed, self.clock.now(), self.rng)
        if said is not None:
            outcome = step.outcome if isinstance(said, NotDone) and isinstance(step, Ended) else said
            self._report(row, operation, outcome, began, asyncio.get_running_loop().time() - started)
        return step

    def would_lapse(self, row: OperationRow, operation: Operation) -> bool:
        """Whether the lease could end before the call does: by then, another worker may have the operation."""
        ends = row.leased_until
        return ends is not None and ends < self.clock.now() + timedelta(seconds=operation.timeout)

    def _key(self, row: OperationRow, operation: Operation) -> str:
        return operation.idempotency_key(row.id)

    async def _begin(self, row: OperationRow, operation: Operation) -> bool:
        """Commit that a call is being begun. False where the lease does not last for it any more: no call is made."""
        if row.begun:
            return not self.would_lapse(row, operation)
        begun = replace(row, attempts=row.attempts + 1)
        while not self.would_lapse(row, operation):
            try:
                held = await self._begin_calls.add(begun)
            except StoreUnavailable:
                await asyncio.sleep(1.0)
                continue
            return row.id in held and not self.would_lapse(row, operation)
        return False

    async def _ask(
        self, row: OperationRow, operation: Operation, call: Awaitable[Said], *, probe: bool
    ) -> Said | Unknown:
        said: Said | Unknown | None = None
        self.destinations.began(row.destination)
        try:
            async with asyncio.timeout(operation.timeout):
                said = await call
        except TimeoutError:
            said = Unknown(f"no answer within {operation.timeout:g} s")
        except Exception as bug:
            log.exception("gateway raised", operation=row.kind, id=str(row.id), error=type(bug).__name__)
            said = Unknown(type(bug).__name__)
        finally:
            self.destinations.answered(row.destination, said)
        if isinstance(said, OperatorFault):
            await self.destinations.pause(row.destination, said.text)
        elif probe and isinstance(said, Outcome):
            await self.destinations.resume(row.destination)
        return said

    def _report(
        self, row: OperationRow, operation: Operation, said: Outcome | NoOutcome | NotDone, began: datetime, took: float
    ) -> None:
        self._took(row.kind, took)
        self.metrics.operation(row.kind, type(said).__name__.lower(), took)
        if self.tracer is not None and not isinstance(said, NotDone):
            self.tracer.record(attempt_span(row, operation, said, began, self.clock.now()))
