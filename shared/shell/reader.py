"""Reads Kafka continuously, passes the messages on, and remembers how far this worker has read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter

import structlog

from shared.shell.batch.batcher import Batcher
from shared.shell.inbound.errors import printable
from shared.shell.inbound.records import inbound_of
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.ports.bus import BusRecord, BusUnavailable, Source
from shared.shell.ports.clock import back_off
from shared.shell.ports.store import Store, StoreUnavailable
from shared.shell.service.registry import HandlerRegistry

log = structlog.get_logger(__name__)
MOST_TOLD = 1000
"""So many unknown types and versions are told of in the log, each once; the metric counts all."""
UNKNOWN_TIME = datetime.max.replace(tzinfo=UTC)
"""Of records that could not be parsed."""
MOST_WAITING = 32_000_000
"""Bytes of records: nothing more is read while so many wait to be handled."""


def _size(record: BusRecord) -> int:
    return len(record.value or b"") + sum(map(len, filter(None, map(_value_of, record.headers))))


_value_of: Callable[[tuple[str, bytes | None]], bytes | None] = itemgetter(1)


class Reader:
    """Reads until it is stopped; commits offsets once a second and at the end."""

    def __init__(
        self,
        registry: HandlerRegistry,
        source: Source,
        store: Store,
        batcher: Batcher,
        metrics: Metrics,
        limit: int,
        rng: random.Random,
        progress: Progress | None = None,
    ) -> None:
        self.registry, self.source, self.store = registry, source, store
        self.batcher, self.metrics = batcher, metrics
        self.limit = limit
        self.rng = rng
        self.progress = progress or Progress()
        self._handled: dict[tuple[str, int], int] = {}
        self._waiting = 0
        """Bytes of the records that were read and are not handled yet."""
        self._oldest: dict[int, datetime] = {}
        """By number of a read whose records are not all handled yet: the time of the oldest of them."""
        self._reads = 0
        self._fewer = asyncio.Event()
        self._stopping = False
        self._unknown: set[tuple[str, int]] = set()

    async def run(self) -> None:
        troubles = 0
        while not self._stopping:
            try:
                records = await self.source.read(self.limit)
                troubles = 0
            except BusUnavailable as trouble:
                troubles += 1
                self.progress.waits("reader")
                if troubles in (1, 10, 100):
                    log.warning("kafka unavailable, retrying", error=str(trouble), times=troubles)
                await asyncio.sleep(back_off(0.1, troubles, self.rng, 5.0))
                continue
            if records:
                self.progress.rests("reader")  # the next step is the batcher's
                await self._take(records)
            elif self.source.lag():
                self.progress.waits("reader")
            else:
                self.progress.rests("reader")

    async def _take(self, records: Sequence[BusRecord]) -> None:
        note = self._note_unknown
        inbounds = [inbound for record in records if (inbound := inbound_of(self.registry, record, note))]
        self.metrics.skipped.inc(len(records) - len(inbounds))
        for record in records:
            if record.unreadable:
                self.metrics.unreadable.inc()
                place = f"{record.topic}/{record.partition}/{record.offset}"
                log.error("record cannot be parsed, skipped", record=place, error=record.unreadable)
        positions = {(record.topic, record.partition): record.offset + 1 for record in records}
        size = sum(map(_size, records))

        self._reads += 1
        read = self._reads
        self._oldest[read] = min((record.at for record in records if not record.unreadable), default=UNKNOWN_TIME)

        def handled() -> None:
            self._handled.update(positions)
            self._oldest.pop(read)
            self._waiting -= size
            self._fewer.set()

        self._waiting += size
        await self.batcher.put(inbounds, handled)
        while self._waiting > MOST_WAITING:
            self._fewer.clear()
            await self._fewer.wait()
        await self.batcher.until_low()

    def oldest_waiting(self) -> datetime | None:
        """The time of the oldest record that was read and is not handled yet."""
        return min((at for at in self._oldest.values() if at != UNKNOWN_TIME), default=None)

    def _note_unknown(self, type: str, version: int) -> None:
        """A newer build publishes events that this one does not know: it has no use for them."""
        self.metrics.unknown.inc()
        if (type, version) not in self._unknown and len(self._unknown) < MOST_TOLD:
            self._unknown.add((type, version))
            log.warning("unknown event skipped", type=printable(type, 100), version=version)

    async def keep_positions(self, every: float = 1.0) -> None:
        while True:
            await asyncio.sleep(every)
            await self.commit()

    async def commit(self) -> None:
        """Tell the database, and then Kafka, how far this worker has read: so the database never knows less than Kafka,
        unless it was restored. After a failure the inbox drops the repetitions."""
        if self._handled:
            positions, self._handled = self._handled, {}
            try:
                await self.store.keep_positions(positions)
                await self.source.commit(positions)
            except (BusUnavailable, StoreUnavailable) as trouble:
                self._handled = positions | self._handled
                log.info("offsets not committed", error=str(trouble))

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True
