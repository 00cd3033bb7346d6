"""The store on PostgreSQL: operations, timers and destinations here, the outbox in `outbox.py`, batches in
`transaction.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.ports.rows import FIRST_TIMER, DestinationPause, OperationRow, TimerPlace, TimerRow
from shared.shell.ports.store import LONG_AGO, LeaseRequest
from shared.shell.ports.tables import TableGauge
from shared.shell.postgres import sent_records, statements
from shared.shell.postgres.connections import fetch, translated
from shared.shell.postgres.housekeeping import housekeep
from shared.shell.postgres.outbox import OutboxOnPostgres
from shared.shell.postgres.transaction import PostgresTransaction, as_text, grouped


@dataclass(frozen=True, slots=True)
class KeptRecords:
    """Which records are kept for how long after Kafka has acknowledged them; none by default."""

    topics: Sequence[str] = ()
    time: timedelta = timedelta(0)


class PostgresStore(OutboxOnPostgres):
    """One service's database. See `ports.store`."""

    def __init__(
        self, engine: AsyncEngine, notify: bool = False, keep: int = 0, sent: KeptRecords | None = None
    ) -> None:
        super().__init__(engine, keep)
        self._sent = sent or KeptRecords()
        self._kept_topics = self._sent.topics if self._sent.time else ()
        self.notify = notify
        """Tell the relay in another process that something was written."""
        self._relays = False

    def relaying(self, held: bool) -> None:
        """Whether this worker is the relay itself: its own commits wake it without the database's help."""
        self._relays = held

    def tells_relay(self) -> bool:
        return self.notify and not self._relays

    def begin(self) -> AbstractAsyncContextManager[PostgresTransaction]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[PostgresTransaction]:
        async with self.driver() as driver, driver.transaction():
            yield PostgresTransaction(driver, self.tells_relay)

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
        values = _asked(requests, without) | {"worker": worker, "since": since, "now": now, "avoid": list(avoid)}
        rows = [OperationRow(*row) for row in await self.fetch(statements.LEASE, values)]
        return sorted(rows, key=lambda row: (row.due, row.id))

    async def lease_probe(
        self,
        worker: str,
        now: datetime,
        requests: Collection[LeaseRequest],
        destination: str,
        without: Collection[UUID] = (),
    ) -> OperationRow | None:
        values = _asked(requests, without) | {
            "worker": worker,
            "since": LONG_AGO,
            "now": now,
            "destination": destination,
        }
        rows = await self.fetch(statements.LEASE_PROBE, values)
        return OperationRow(*rows[0]) if rows else None

    async def paused_destinations(self) -> Sequence[DestinationPause]:
        return [DestinationPause(*row) for row in await self.fetch(statements.PAUSED, {})]

    async def pause_destination(self, pause: DestinationPause) -> bool:
        values = {field.name: getattr(pause, field.name) for field in dataclasses.fields(pause)}
        return bool(await self.execute(statements.PAUSE, values))

    async def claim_probe(self, pause: DestinationPause, probe_at: datetime) -> bool:
        values = {"destination": pause.destination, "probe_at": pause.probe_at, "next": probe_at}
        return bool(await self.execute(statements.CLAIM_PROBE, values))

    async def resume_destination(self, destination: str) -> bool:
        return bool(await self.execute(statements.RESUME, {"destination": destination}))

    async def begin_calls(self, rows: Sequence[OperationRow]) -> set[UUID]:
        groups = grouped(((row.leased_by, row.lease, row.attempts), row.id) for row in rows)
        begun = set[UUID]()
        async with self.driver() as driver:
            for (worker, lease, attempts), ids in groups.items():
                values = {"ids": ids, "worker": worker, "lease": lease, "attempts": attempts}
                begun |= {row[0] for row in await fetch(driver, statements.BEGIN_CALLS, values)}
        return begun

    async def postpone(self, rows: Sequence[OperationRow]) -> None:
        values = _fenced(rows) | {
            "dues": [row.due for row in rows],
            "attempts": [row.attempts for row in rows],
            "in_doubt": [row.in_doubt for row in rows],
            "abandoned": [row.abandoned for row in rows],
            "errors": [row.error for row in rows],
            "histories": [as_text(row.history) for row in rows],
        }
        await self.execute(statements.POSTPONE, values)

    async def release(self, worker: str) -> int:
        return await self.execute(statements.RELEASE, {"worker": worker})

    async def restore_epoch(self) -> int:
        ((number,),) = await self.fetch(statements.RESTORE_EPOCH, {})
        return int(number)

    async def keep_positions(self, positions: Mapping[tuple[str, int], int]) -> None:
        values = {
            "topics": [topic for topic, _ in positions],
            "partitions": [partition for _, partition in positions],
            "offsets": list(positions.values()),
        }
        await self.execute(statements.KEEP_POSITIONS, values)

    async def due_timers(self, now: datetime, limit: int, after: TimerPlace = FIRST_TIMER) -> Sequence[TimerRow]:
        due, key, name = after
        values = {"now": now, "limit": limit, "due": due, "key": key, "name": name}
        return [TimerRow(*row) for row in await self.fetch(statements.DUE_TIMERS, values)]

    async def gauge(self) -> Mapping[str, float]:
        (row,) = await self.fetch(statements.GAUGE, {"relay_lock": statements.RELAY_LOCK})
        return {name: float(value) for name, value in row.items()}

    async def housekeep(self, now: datetime, keep_days: int) -> None:
        try:
            await housekeep(self.engine, now, keep_days)
            await sent_records.keep_house(self.engine, now, self._sent.time)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            raise translated(error) from error

    async def now(self) -> datetime:
        """What the server's clock says."""
        ((now,),) = await self.fetch(statements.NOW, {})
        assert isinstance(now, datetime)
        return now

    async def ping(self) -> None:
        await self.execute(statements.PING, {})


async def read_gauges(engine: AsyncEngine, gauges: Sequence[TableGauge]) -> dict[str, float]:
    """What a service's own gauges say now. Raises StoreUnavailable."""
    if not gauges:
        return {}
    try:
        async with engine.connect() as connection:
            return {one.name: float(await connection.scalar(sa.text(one.query)) or 0) for one in gauges}
    except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
        raise translated(error) from error


def _asked(requests: Collection[LeaseRequest], without: Collection[UUID]) -> dict[str, Any]:
    return {
        "without": list(without),
        "kinds": [each.kind for each in requests],
        "limits": [each.limit for each in requests],
        "seconds": [each.seconds for each in requests],
    }


def _fenced(rows: Sequence[OperationRow]) -> dict[str, Any]:
    """What says that a lease still holds."""
    return {
        "ids": [row.id for row in rows],
        "workers": [row.leased_by for row in rows],
        "leases": [row.lease for row in rows],
    }
