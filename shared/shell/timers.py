"""Timers: what is due is handed to the core; a timer that was replaced or cancelled meanwhile finds no row to claim."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from shared.shell.batch.batcher import Batcher
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.observability.progress import Progress
from shared.shell.ports.clock import Clock
from shared.shell.ports.rows import FIRST_TIMER, TimerPlace, TimerRow
from shared.shell.ports.store import Store, StoreUnavailable
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)
LIMIT = 300
MOST_TOLD = 1000
"""So many unreadable timers are told of in the log, each once; the metric counts all."""


class Timers:
    def __init__(
        self, registry: HandlerRegistry, store: Store, clock: Clock, batcher: Batcher, progress: Progress | None = None
    ) -> None:
        self.registry, self.store, self.clock, self.batcher = registry, store, clock, batcher
        self.progress = progress or Progress()
        self.until: Callable[[], datetime] = clock.now
        """Timers that are due later wait. While messages of an earlier time are read again, it is that time."""
        self._unreadable: set[TimerPlace] = set()

    async def run(self, every: float = 0.25) -> None:
        while True:
            try:
                await self.hand_over()
                self.progress.rests("timers")
            except StoreUnavailable:
                self.progress.waits("timers")
                await asyncio.sleep(1.0)
            await asyncio.sleep(every)

    async def hand_over(self) -> None:
        """Hand all that is due to the core, page by page. What cannot be read stays where it is and holds nothing up:
        another version of the service may know it."""
        now, after = min(self.clock.now(), self.until()), FIRST_TIMER
        while rows := await self.store.due_timers(now, LIMIT, after):
            inbounds = [inbound for row in rows if (inbound := self._inbound(row))]
            if inbounds:
                self.progress.waits("timers")
                handled = asyncio.Event()
                await self.batcher.put(inbounds, handled.set)
                await handled.wait()
                self.progress.advanced("timers")
            if len(rows) < LIMIT:
                return
            after = (rows[-1].due, rows[-1].key, rows[-1].name)

    def _inbound(self, row: TimerRow) -> Inbound | None:
        try:
            message = self.registry.internal.load(row.kind, row.payload)
            return Inbound(row.id, row.key, message, Meta.load(row.meta), timer=row, occurred=row.occurred)
        except Exception as error:
            place = (row.due, row.key, row.name)
            if place not in self._unreadable and len(self._unreadable) < MOST_TOLD:
                self._unreadable.add(place)
                log.error("timer cannot be read", timer=row.name, key=row.key, error=type(error).__name__)
            return None
