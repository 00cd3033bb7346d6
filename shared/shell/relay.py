"""From the outbox to Kafka, in order per key: read the lowest rows, produce, delete those acknowledged.

One worker of a service relays at a time (an advisory lock). There is no cursor that a late commit could slip behind:
each read starts at a low mark that is seconds old, and every few seconds at the very beginning.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import structlog

from shared.shell.bus import BusUnavailable, Sink
from shared.shell.clock import back_off
from shared.shell.metrics import Metrics
from shared.shell.store import RelayLock, Store, StoreUnavailable

log = structlog.get_logger(__name__)
LIMIT = 1000
SWEEP_SECONDS = 2.0


class LowMark:
    """From where to read the outbox: above rows that were sent long enough ago that nothing below can appear but by a
    very late commit, which the next sweep finds. Spares walking over the dead rows of a queue."""

    def __init__(self) -> None:
        self._trusted = 0
        self._next = 0
        """What will be trusted when it is old enough."""
        self._highest = 0
        self._since = 0.0
        self._swept = 0.0

    def start(self, now: float) -> int:
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            return 0
        return self._trusted

    def sent(self, highest: int, now: float) -> None:
        self._highest = max(self._highest, highest)
        if now - self._since >= SWEEP_SECONDS:
            self._trusted, self._next, self._since = self._next, self._highest, now


class Relay:
    def __init__(
        self,
        store: Store,
        sink: Sink,
        lock: Callable[[], RelayLock],
        metrics: Metrics,
        chance: random.Random,
        idle: float = 0.5,
    ) -> None:
        self.store, self.sink, self.metrics, self.chance = store, sink, metrics, chance
        self.idle = idle
        """Seconds between two looks when nobody says that there is something."""
        self._new_lock = lock
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was written to the outbox by this worker."""
        self._wake.set()

    async def run(self) -> None:
        """Be the relay as soon and as long as the lock allows."""
        troubles = 0
        while True:
            lock = self._new_lock()
            try:
                await lock.acquire(self.wake)
                await self._relay(lock)
            except (StoreUnavailable, BusUnavailable) as trouble:
                troubles += 1
                log.warning("relay interrupted, trying again", error=str(trouble))
                await asyncio.sleep(back_off(0.1, min(troubles, 5), self.chance, 2.0))
            finally:
                await lock.close()

    async def _relay(self, lock: RelayLock) -> None:
        mark = LowMark()
        clock = asyncio.get_running_loop()
        while True:
            if not lock.held():
                raise StoreUnavailable("the relay's lock is lost")
            # Clear first, then look: a wake-up in between is not lost.
            self._wake.clear()
            rows = await self.store.outbox_head(mark.start(clock.time()), LIMIT)
            sent = await self.sink.send(rows) if rows else ()
            if sent:
                await self.store.outbox_sent(sent)
                self.metrics.relayed.inc(len(sent))
                mark.sent(max(sent), clock.time())
            if len(sent) < len(rows):
                raise BusUnavailable(f"{len(rows) - len(sent)} of {len(rows)} records were not acknowledged")
            if len(rows) < LIMIT:
                await self._woken()

    async def _woken(self) -> None:
        """Until this worker or another one wrote something, or the time for a look has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.idle):
                await self._wake.wait()
