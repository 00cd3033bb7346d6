"""Timers: what is due is handed to the core; a timer that was replaced or cancelled meanwhile finds no row to claim."""

from __future__ import annotations

import asyncio

import structlog

from shared.shell.clock import Clock
from shared.shell.handler import Handler
from shared.shell.inbound import Inbound, Meta
from shared.shell.observability.progress import Progress
from shared.shell.store import Store, StoreUnavailable, TimerRow
from shared.shell.wiring import Wiring

log = structlog.get_logger(__name__)
LIMIT = 300


class Timers:
    def __init__(
        self, wiring: Wiring, store: Store, clock: Clock, handler: Handler, progress: Progress | None = None
    ) -> None:
        self.progress = progress or Progress()
        self.wiring, self.store, self.clock, self.handler = wiring, store, clock, handler
        self._unreadable: set[tuple[str, str]] = set()

    async def run(self, every: float = 0.25) -> None:
        while True:
            try:
                rows = await self.store.due_timers(self.clock.now(), LIMIT)
                self.progress.rests("timers")
            except StoreUnavailable:
                self.progress.waits("timers")
                rows = []
                await asyncio.sleep(1.0)
            inbounds = [inbound for row in rows if (inbound := self._inbound(row))]
            if inbounds:
                self.progress.waits("timers")
                handled = asyncio.Event()
                await self.handler.put(inbounds, handled.set)
                await handled.wait()
                self.progress.rests("timers")
            if len(inbounds) < LIMIT:
                await asyncio.sleep(every)

    def _inbound(self, row: TimerRow) -> Inbound | None:
        try:
            message = self.wiring.names.load(row.kind, row.payload)
        except Exception as error:
            if (row.key, row.name) not in self._unreadable:
                log.error("timer cannot be read", timer=row.name, key=row.key, error=type(error).__name__)
            self._unreadable.add((row.key, row.name))
            return None
        return Inbound(row.id, row.key, message, Meta.load(row.meta), timer=row, occurred=row.occurred)
