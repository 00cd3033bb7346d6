"""The loop that reads topics into read models. Its positions are written with the rows, so each record counts once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from shared.contracts.envelope import BadBody, BadMessage
from shared.shell.batch.result import RetryFailed, StillWaits, TryLater
from shared.shell.inbound.errors import describe, printable
from shared.shell.inbound.parked_rows import record_of
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import PROJECTOR, Progress
from shared.shell.ports.bus import BusRecord, BusUnavailable, Source
from shared.shell.ports.clock import Clock, back_off
from shared.shell.ports.read_models import Folded, MovedOn, Place, ReadModels
from shared.shell.ports.rows import NEWER, ParkedRow
from shared.shell.ports.store import BatchRefused, Conflict, StoreUnavailable
from shared.shell.projection.fold import Counts, Fold, is_newer

log = structlog.get_logger(__name__)
BATCH = 1000
LINGER_SECONDS = 0.1
"""How long a batch that is not full waits for more: written together, an order's messages cost less."""


class Projector:
    """Reads until it is stopped. One that reads a partition which another has read further meanwhile goes on from
    there."""

    def __init__(
        self,
        fold: Fold,
        source: Source,
        read_models: ReadModels,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
        progress: Progress,
        *,
        batch: int = BATCH,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self.fold, self.source, self.read_models = fold, source, read_models
        self.clock, self.metrics, self.rng, self.progress = clock, metrics, rng, progress
        self.batch, self.linger = batch, linger
        self._positions: dict[Place, int] = {}
        self._parked: set[tuple[str, str]] = set()
        """Topic and key of what is parked of the partitions whose positions are known."""
        self._stopping = self._in_hand = False
        self._unknown: set[tuple[str, int]] = set()

    async def run(self) -> None:
        while not self._stopping:
            if records := await self._read():
                self.progress.waits(PROJECTOR)
                await self.take(records)
                await self._commit()
            self._in_hand = False
            if not self.source.lag():
                self.progress.rests(PROJECTOR)

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True

    def idle(self) -> bool:
        """All that was read is written."""
        return not self._in_hand

    async def _read(self) -> Sequence[BusRecord]:
        """What is there; where that is no full batch, also what comes within a moment."""
        records: list[BusRecord] = []
        lingered, troubles = False, 0
        while not self._stopping and len(records) < self.batch:
            try:
                found = await self.source.read(self.batch - len(records))
                troubles = 0
            except (BusUnavailable, StoreUnavailable) as trouble:
                troubles += 1
                self.progress.waits(PROJECTOR)
                if troubles in (1, 10, 100):
                    log.warning("read models wait for kafka", error=str(trouble), times=troubles)
                await asyncio.sleep(back_off(0.1, troubles, self.rng, 5.0))
                continue
            records += found
            self._in_hand = bool(records)
            if not records or not self.linger:
                break
            if not lingered:
                await asyncio.sleep(self.linger)
                lingered = True
            if not self.source.lag():  # a read would wait for what comes later
                break
        return records

    async def take(self, records: Sequence[BusRecord]) -> None:
        """Write what some records come to; those that the database refuses are parked."""
        conflicts = troubles = 0
        while True:
            try:
                await self._write(records)
                return
            except MovedOn:
                self._positions.clear()
            except Conflict:
                conflicts += 1
                self.metrics.conflicts.inc()
                await asyncio.sleep(back_off(0.005, conflicts, self.rng, 1.0))
            except StoreUnavailable as trouble:
                troubles += 1
                if troubles in (1, 10, 100):
                    log.warning("database unavailable, retrying", error=str(trouble), times=troubles)
                await asyncio.sleep(back_off(0.05, troubles, self.rng, 2.0))
            except Exception as bug:
                if not isinstance(bug, BatchRefused):
                    log.exception("records cannot be projected", size=len(records), error=type(bug).__name__)
                if len(records) > 1:
                    middle = len(records) // 2
                    await self.take(records[:middle])
                    await self.take(records[middle:])
                else:
                    await self._park(records[0], str(bug) if isinstance(bug, BatchRefused) else describe(bug))
                return

    async def _write(self, records: Sequence[BusRecord]) -> None:
        await self._know_positions(records)
        with self.metrics.transaction_seconds.time():
            folded, counts = self.fold.fold(
                records, self._positions, self.clock.now(), self._parked, self._note_unknown
            )
            if folded.moves:
                await self.read_models.write(folded)
        self._written(folded, counts)

    async def _know_positions(self, records: Sequence[BusRecord]) -> None:
        new = {(record.topic, record.partition) for record in records} - self._positions.keys()
        if new:  # another worker may have read them until now
            positions = await self.read_models.positions(new)
            self._parked = set(await self.read_models.parked_keys(self.fold.topics()))
            self._positions |= dict.fromkeys(new, 0) | dict(positions)

    def _written(self, folded: Folded, counts: Counts) -> None:
        self._positions |= {place: to for place, (_, to) in folded.moves.items()}
        self.progress.advanced(PROJECTOR)
        metrics = self.metrics
        metrics.handled.inc(counts.shown + counts.kept)
        metrics.duplicates.inc(counts.repeated)
        metrics.unknown.inc(counts.unknown)
        metrics.unreadable.inc(counts.unreadable)
        self._parked -= set(folded.caught_up)
        for row in folded.parked:
            self._parked.add((row.topic, row.key))
            if row.reason == NEWER:
                log.warning("status record waits for a newer build", key=row.key, type=row.kind, reason=row.error)
            else:
                metrics.parked_total.inc()
                log.error("status record parked", key=row.key, type=row.kind)

    async def _park(self, record: BusRecord, error: str) -> None:
        troubles, place = 0, _place(record)
        while True:
            try:
                await self._know_positions([record])
                if record.offset < self._positions[place]:
                    return  # another worker was first
                folded = self.fold.parking(record, self._positions, printable(error), self.clock.now())
                await self.read_models.write(folded)
                self._written(folded, Counts())
                return
            except MovedOn:
                self._positions.clear()
            except (Conflict, StoreUnavailable):
                troubles += 1
                await asyncio.sleep(back_off(0.05, troubles, self.rng, 2.0))

    async def retry_parked(self, row: ParkedRow) -> None:
        """Write what a parked record comes to, in a transaction of its own. Raises RetryFailed and leaves it parked."""
        record = record_of(row)
        try:
            await self.read_models.write(self.fold.again(record, row.id))
        except MovedOn:
            return  # it is parked no more: a later record was shown
        except (Conflict, StoreUnavailable) as trouble:
            raise TryLater(str(trouble)) from None
        except BadBody as wrong:
            raise (StillWaits if is_newer(record, wrong) else RetryFailed)(str(wrong)) from None
        except (BatchRefused, BadMessage) as refused:
            raise RetryFailed(str(refused)) from None
        except Exception as bug:
            raise RetryFailed(describe(bug)) from None

    async def _commit(self) -> None:
        """Kafka is told for those who look at the group; the positions that count are in the database."""
        try:
            await self.source.commit(dict(self._positions))
        except BusUnavailable as trouble:
            log.info("offsets not committed", error=str(trouble))

    def _note_unknown(self, type: str, version: int) -> None:
        if (type, version) not in self._unknown and len(self._unknown) < BATCH:
            self._unknown.add((type, version))
            log.warning("unknown status record skipped", type=printable(type, 100), version=version)


def _place(record: BusRecord) -> Place:
    return record.topic, record.partition
