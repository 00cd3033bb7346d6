"""From the outbox to Kafka, in order per key: read the lowest rows, produce, delete those acknowledged.

One worker of a service relays at a time (an advisory lock). There is no cursor that a late commit could slip behind:
each read starts at a low mark below which no transaction can commit any more, and every few seconds at the very
beginning.

Three things can go wrong, and each stops no more than it must: Kafka refuses a record for good (it is undeliverable,
and later ones of its topic and key wait behind it), a topic takes nothing (it is left out and tried again), or Kafka
does not answer (everything waits).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.ports.bus import BusUnavailable, Sink
from shared.shell.ports.clock import back_off
from shared.shell.ports.relay_lock import RelayLock
from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach, Store, StoreUnavailable
from shared.shell.relay.marks import HeldTopics, LowMark

log = structlog.get_logger(__name__)
LIMIT, MOST_BYTES = 1000, 4_000_000
"""Rows, and bytes, of one read."""
Line = tuple[str, str]
"""Topic and key: what must stay in order."""
ALONE_AT_ONCE = 50
"""Suspected rows that are sent one by one before other rows are sent again."""


class Relay:
    def __init__(
        self,
        store: Store,
        sink: Sink,
        lock: Callable[[], RelayLock],
        metrics: Metrics,
        rng: random.Random,
        progress: Progress | None = None,
        idle: float = 0.5,
    ) -> None:
        self.progress = progress or Progress()
        self.holding = False
        """Whether this worker is its service's relay."""
        self.store, self.sink, self.metrics, self.rng = store, sink, metrics, rng
        self.idle = idle
        """Seconds between two reads when no worker says that it wrote something."""
        self._new_lock = lock
        self._wake = asyncio.Event()
        self.held_up = HeldTopics(rng)
        """Of the term that goes on, or of the last one."""
        self.troubles = 0
        """Interruptions since the last round without one."""

    def wake(self) -> None:
        """Something was written to the outbox by this worker."""
        self._wake.set()

    async def run(self) -> None:
        """Be the relay as soon and as long as the lock allows."""
        while True:
            lock = self._new_lock()
            try:
                await lock.acquire(self.wake)
                self.holding = True
                await self.sink.start()
                await _Term(self, lock).serve()
            except (StoreUnavailable, BusUnavailable) as trouble:
                self.troubles += 1
                self.progress.waits("relay")
                log.warning("relay interrupted, retrying", error=str(trouble))
                await asyncio.sleep(back_off(0.1, min(self.troubles, 5), self.rng, 2.0))
            finally:
                self.holding = False
                self.held_up = HeldTopics(self.rng)
                await lock.close()

    def clear(self) -> None:
        """Forget wake-ups so far."""
        self._wake.clear()

    async def woken(self) -> None:
        """Until this worker or another one wrote something, or the time for a look has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.idle):
                await self._wake.wait()


class _Term:
    """What a relay knows from winning the lock until it loses it.

    The order of steps keeps a relay that slept from publishing an older record after a newer one: the lock is won, then
    the producer started, then rows are read by the session that holds the lock. A later holder starts its producer
    after this one's last read. Kafka takes nothing of an older producer where a newer one has written, and the later
    holder sends everything again that this one had not deleted.
    """

    def __init__(self, relay: Relay, lock: RelayLock) -> None:
        self.relay, self.store, self.sink, self.lock = relay, relay.store, relay.sink, lock
        self.clock = asyncio.get_running_loop()
        self.mark = LowMark()
        self.held_up = relay.held_up = HeldTopics(relay.rng)
        self.blocked: set[Line] = set()
        """Those whose next record is undeliverable."""
        self.remaining = False
        """The last read left rows in the outbox that no topic holds up."""
        self.suspects: set[int] = set()
        """Rows of refused batches: each is sent alone, to find the one that Kafka refuses."""

    async def serve(self) -> None:
        self.blocked = set(await self.store.waiting_behind())
        while True:
            if not self.lock.held():
                raise StoreUnavailable("the relay's lock is lost")
            if not self.sink.started():
                await self.sink.start()
            # Clear first, then look: a wake-up in between is not lost.
            self.relay.clear()
            began = self.clock.time()
            if self.mark.is_old(began):
                self.mark.rise(await self.store.running(), began)
            due = self.held_up.due(began)
            highest = await self.store.outbox_highest() if self.held_up.holds else 0
            start = 0 if due else self.mark.start(began)
            rows = await self.lock.head(Reach(start, LIMIT, MOST_BYTES, self.held_up.without(began)))
            self.mark.read(self.clock.time() - began, whole=not _full(rows))
            if due and not _full(rows):
                self._release(due - {row.topic for row in rows})  # nothing waits for them any more
            if not rows:
                self.mark.sent(highest)  # below are rows of topics that are held up alone
            self.remaining = False
            again = bool(rows) and await self._relay(rows)
            self.relay.troubles = 0
            if not again:
                if not self.remaining:
                    self.relay.progress.rests("relay")
                await self.relay.woken()

    async def _relay(self, rows: Sequence[OutboxRow]) -> bool:
        """Send what can be sent. Returns whether to read again at once."""
        self.relay.progress.waits("relay")
        unsent = {row.id: row for row in rows}
        holds, suspects = self.held_up.count, len(self.suspects)
        ready = await self._ready(rows, unsent) if self.blocked or self.suspects else rows
        if ready:
            await self._send(ready, unsent)
        if self.suspects:
            await self._one_by_one(rows, unsent)
        gone = len(rows) - len(unsent)
        if gone:
            self.relay.progress.advanced("relay")
        unsent = {id: row for id, row in unsent.items() if row.topic not in self.held_up.holds}
        self.remaining = bool(unsent)
        if unsent:
            self.mark.not_sent(min(unsent))
        else:
            self.mark.sent(rows[-1].id)
        news = self.held_up.count > holds or len(self.suspects) > suspects
        return news or (gone > 0 and (bool(unsent) or _full(rows)))

    async def _ready(self, rows: Sequence[OutboxRow], unsent: dict[int, OutboxRow]) -> Sequence[OutboxRow]:
        """Without those that must wait for another one of their line; moves those behind an undeliverable one."""
        behind = [row for row in rows if _line(row) in self.blocked]
        if behind:
            moved = await self.store.wait_behind([row.id for row in behind])
            self.suspects -= moved
            for row in behind:
                if row.id in moved:
                    del unsent[row.id]
                elif _line(row) in self.blocked:  # staff had it sent again: first what was undeliverable, then this
                    self.blocked.discard(_line(row))
                    self.mark.reset()
        wait = {_line(row) for row in rows if row.id in self.suspects} | {_line(row) for row in behind}
        return [row for row in rows if _line(row) not in wait]

    async def _one_by_one(self, rows: Sequence[OutboxRow], unsent: dict[int, OutboxRow]) -> None:
        """Send suspects alone: innocent ones pass, and a refused one is found for certain."""
        alone = [row for row in rows if row.id in self.suspects and row.id in unsent]
        for row in alone[:ALONE_AT_ONCE]:
            if not self.sink.started():
                return  # rows that were read before the next start must be read again
            if _line(row) in self.blocked or row.topic in self.held_up.holds:
                continue
            await self._send([row], unsent)

    async def _send(self, rows: Sequence[OutboxRow], unsent: dict[int, OutboxRow]) -> None:
        sent = await self.sink.send(rows)
        if sent.acknowledged:
            await self.store.outbox_sent(sent.acknowledged)
            self.relay.metrics.relayed.inc(len(sent.acknowledged))
            for id in sent.acknowledged:
                del unsent[id]
            self.suspects.difference_update(sent.acknowledged)
            if self.held_up.holds:
                self._release({row.topic for row in rows if row.id not in unsent})
        if len(rows) == 1 and sent.refused:
            await self._mark_undeliverable(rows[0], sent.refused[rows[0].id], unsent)
        else:
            self.suspects.update(sent.refused)
        for topic, error in sent.held_up.items():
            self._hold(topic, error)
        if sent.trouble or not (sent.acknowledged or sent.refused or sent.held_up):
            raise BusUnavailable(sent.trouble or f"{len(rows)} records were not acknowledged")

    async def _mark_undeliverable(self, row: OutboxRow, error: str, unsent: dict[int, OutboxRow]) -> None:
        await self.store.mark_undeliverable({row.id: error})
        self.blocked.add(_line(row))
        self.suspects.discard(row.id)
        del unsent[row.id]
        size = len(row.headers) + len(row.body)
        log.error("record undeliverable", topic=row.topic, key=row.key, id=row.id, bytes=size, error=error)

    def _hold(self, topic: str, error: str) -> None:
        hold = self.held_up.hold(topic, error, self.clock.time())
        if hold.tries in (2, 10, 100, 1000):  # a new topic is often not there for a moment
            log.error("topic held up, retrying", topic=topic, error=error, times=hold.tries)

    def _release(self, topics: set[str]) -> None:
        for topic in topics:
            if self.held_up.release(topic):
                self.mark.reset()
                log.info("topic accepts records again", topic=topic)


def _line(row: OutboxRow) -> Line:
    return row.topic, row.key


def _full(rows: Sequence[OutboxRow]) -> bool:
    """Whether a read ended because it had enough, so that there may be more."""
    return len(rows) == LIMIT or sum(len(row.headers) + len(row.body) for row in rows) >= MOST_BYTES
