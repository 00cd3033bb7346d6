"""The store in memory: operations, destinations and timers here, the outbox and batches in `memory_outbox.py` and
`memory_transaction.py`.
See `shell.ports.store`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from shared.shell.ports.rows import FIRST_TIMER, NEWER, DestinationPause, OperationRow, TimerPlace, TimerRow
from shared.shell.ports.store import LeaseRequest
from shared.simulation.memory_database import (
    DESTINATIONS,
    INBOX,
    OPERATIONS,
    OUTBOX,
    PARKED,
    POSITIONS,
    REPLIES,
    RESTORES,
    TIMERS,
    UNDELIVERABLE,
    Where,
)
from shared.simulation.memory_outbox import MemoryOutbox
from shared.simulation.memory_transaction import MemoryTransaction, leased_by

POSTPONED = ("due", "attempts", "in_doubt", "abandoned", "error", "history")


class MemoryStore(MemoryOutbox):
    """One service's database."""

    async def lease_operations(
        self,
        worker: str,
        now: datetime,
        requests: Collection[LeaseRequest],
        *,
        since: datetime,
        avoid: Collection[str] = (),
        without: Collection[UUID] = (),
    ) -> Sequence[OperationRow]:
        def reachable(row: OperationRow) -> bool:
            if row.id in without:
                return False
            held = row.destination in avoid or row.destination in self.rows(DESTINATIONS)
            return not held or (row.expires is not None and row.expires <= now)

        async with self.begin() as tx:
            await self.pause("lease")
            leased = list(self._leased(tx, worker, now, requests, lambda row: row.due > since and reachable(row)))
        return sorted(leased, key=lambda row: (row.due, row.id))

    async def lease_probe(
        self,
        worker: str,
        now: datetime,
        requests: Collection[LeaseRequest],
        destination: str,
        without: Collection[UUID] = (),
    ) -> OperationRow | None:
        async with self.begin() as tx:
            await self.pause("lease_probe")
            those: Where = lambda row: row.destination == destination and row.id not in without  # noqa: E731
            found = self._leased(tx, worker, now, requests, those)
            return next(found, None)

    def _leased(
        self, tx: MemoryTransaction, worker: str, now: datetime, requests: Collection[LeaseRequest], where: Where
    ) -> Iterator[OperationRow]:
        """Lease one after the other, as far as they are asked for."""
        rows = sorted(tx.scan(OPERATIONS), key=lambda row: row.due)
        for each in requests:
            due = (row for row in rows if row.kind == each.kind and _is_due(row, now) and where(row))
            ready = (row for row in due if not self._waits(row, rows, now))
            free = (row for row in ready if self.locks.try_take((OPERATIONS, row.id), tx))
            until = now + timedelta(seconds=each.seconds)
            for row in itertools.islice(free, each.limit):
                taken = _taken(row, worker, until)
                tx.put(OPERATIONS, row.id, taken)
                yield taken

    async def paused_destinations(self) -> Sequence[DestinationPause]:
        await self.pause("paused_destinations")
        return sorted(self.rows(DESTINATIONS).values(), key=lambda pause: (pause.at, pause.destination))

    async def pause_destination(self, pause: DestinationPause) -> bool:
        async with self.begin() as tx:
            await self.pause("pause_destination")
            return await tx.insert(DESTINATIONS, pause.destination, pause)

    async def claim_probe(self, pause: DestinationPause, probe_at: datetime) -> bool:
        async with self.begin() as tx:
            await self.pause("claim_probe")
            found = await tx.locked(DESTINATIONS, pause.destination, lambda row: row.probe_at == pause.probe_at)
            if found:
                changed = dataclasses.replace(found, probe_at=probe_at, probes=found.probes + 1)
                tx.put(DESTINATIONS, pause.destination, changed)
            return found is not None

    async def resume_destination(self, destination: str) -> bool:
        async with self.begin() as tx:
            await self.pause("resume_destination")
            found = await tx.locked(DESTINATIONS, destination)
            tx.delete(DESTINATIONS, destination)
            return found is not None

    def _waits(self, row: OperationRow, others: Sequence[OperationRow], now: datetime) -> bool:
        """A serial operation waits for every earlier one of its key, and for one that is in progress wherever it is."""
        return row.serial and any(
            other.serial
            and other.key == row.key
            and other.id != row.id
            and (
                self.positions[other.id] < self.positions[row.id]
                or (other.leased_until is not None and other.leased_until >= now)
            )
            for other in others
        )

    async def begin_calls(self, rows: Sequence[OperationRow]) -> set[UUID]:
        begun = set()
        async with self.begin() as tx:
            await self.pause("begin_calls")
            for row in rows:
                if found := await tx.locked(OPERATIONS, row.id, leased_by(row.leased_by, row.lease)):
                    tx.put(OPERATIONS, row.id, dataclasses.replace(found, attempts=row.attempts, in_doubt=True))
                    begun.add(row.id)
        return begun

    async def postpone(self, rows: Sequence[OperationRow]) -> None:
        async with self.begin() as tx:
            await self.pause("postpone")
            for row in rows:
                if found := await tx.locked(OPERATIONS, row.id, leased_by(row.leased_by, row.lease)):
                    given = {name: getattr(row, name) for name in POSTPONED}
                    tx.put(OPERATIONS, row.id, dataclasses.replace(found, **given, leased_until=None, leased_by=""))

    async def release(self, worker: str) -> int:
        released = 0
        async with self.begin() as tx:
            await self.pause("release")
            for row in tx.scan(OPERATIONS):
                if found := await tx.locked(OPERATIONS, row.id, _held_by(worker)):
                    tx.put(OPERATIONS, row.id, dataclasses.replace(found, leased_until=None, lease=found.lease + 1))
                    released += 1
        return released

    async def restore_epoch(self) -> int:
        await self.pause("restore_epoch")
        return len(self.rows(RESTORES))

    async def keep_positions(self, positions: Mapping[tuple[str, int], int]) -> None:
        async with self.begin() as tx:
            await self.pause("keep_positions")
            for place, offset in positions.items():
                tx.put(POSITIONS, place, max(offset, self.rows(POSITIONS).get(place, 0)))

    async def due_timers(self, now: datetime, limit: int, after: TimerPlace = FIRST_TIMER) -> Sequence[TimerRow]:
        await self.pause("due_timers")
        places = {(row.due, row.key, row.name): row for row in self.rows(TIMERS).values() if row.due <= now}
        return [places[place] for place in sorted(places) if place > after][:limit]

    async def gauge(self) -> Mapping[str, float]:
        await self.pause("gauge")
        ages = [(self.now() - at).total_seconds() for _, at in self.rows(OUTBOX).values()]
        paused = self.rows(DESTINATIONS)
        rows = [row for row in self.rows(OPERATIONS).values() if row.destination not in paused]
        late = [row for row in rows if row.due < self.now() - timedelta(minutes=1)]
        held = [row for row in self.rows(OPERATIONS).values() if row.leased_until and row.leased_until >= self.now()]
        in_doubt = [row for row in self.rows(OPERATIONS).values() if row.in_doubt and row not in held]
        sizes = {name: float(len(self.rows(name))) for name in (OUTBOX, OPERATIONS, TIMERS, UNDELIVERABLE)}
        parked = self.rows(PARKED).values()
        waiting = float(sum(row.reason == NEWER for row in parked))
        return sizes | {
            PARKED: len(parked) - waiting,
            "waiting_for_newer": waiting,
            "relay_session_seconds": 0.0,
            "outbox_age_seconds": max(ages, default=0.0),
            "operations_late": float(len(late)),
            "timers_late": float(
                sum(row.due < self.now() - timedelta(minutes=1) for row in self.rows(TIMERS).values())
            ),
            "operations_in_doubt": float(len(in_doubt)),
            "destinations_paused": float(len(self.rows(DESTINATIONS))),
        }

    async def housekeep(self, now: datetime, keep_days: int) -> None:
        """Forget what was first seen too long ago, at once: production keeps an id of a younger day a little longer."""
        await self.pause("housekeep")
        inbox, replies = self.rows(INBOX), self.rows(REPLIES)
        first_seen = now - timedelta(days=keep_days)
        for id in [id for id, (at, _) in inbox.items() if at < first_seen]:
            del inbox[id]
            replies.pop(id, None)
        for id in [id for id, (_, at) in replies.items() if at < first_seen and id not in inbox]:
            del replies[id]

    async def ping(self) -> None:
        await self.pause("ping")


def _held_by(worker: str) -> Where:
    return lambda row: row.leased_by == worker and row.leased_until is not None


def _taken(row: OperationRow, worker: str, until: datetime) -> OperationRow:
    abandoned = row.abandoned or row.leased_by != ""
    return dataclasses.replace(row, lease=row.lease + 1, leased_by=worker, leased_until=until, abandoned=abandoned)


def _is_due(row: OperationRow, now: datetime) -> bool:
    return row.due <= now and (row.leased_until is None or row.leased_until < now)
