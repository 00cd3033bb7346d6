"""What a restored database says of itself, and what is noted in it about the restore."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from shared.shell.postgres.connections import translated
from shared.shell.postgres.engine import connect
from shared.shell.postgres.statements import RELAY_LOCK

MARGIN = timedelta(minutes=5)
"""By which reading begins before the restored point: transactions take time, and clocks differ."""
_RELAYS = """
    select coalesce(nullif(a.application_name, ''), 'a session without a name') from pg_locks l
    join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = $1 and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
"""
_OPEN = "select number, restored_to, read_from from restore_epoch where caught_up_at is null order by number desc"
_BEGIN = """
    insert into restore_epoch (number, restored_to, read_from, began_at)
    select greatest($1, coalesce(max(number), 0) + 1), $2, $3, clock_timestamp() from restore_epoch
    returning number
"""
_PARKED = "select distinct on (key) key, error from parked order by key, id"
# The workers that had them run no more: the one that catches up may begin at once.
_RELEASE = "update operations set leased_until = null, lease = lease + 1 where leased_until is not null"


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that was begun and has not ended."""

    epoch: int
    to: datetime
    read_from: datetime


class RestoredDatabase:
    """A connection of its own. Raises StoreUnavailable."""

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver

    @staticmethod
    async def open(url: str) -> RestoredDatabase:
        try:
            return RestoredDatabase(await connect(url))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise translated(error) from error

    async def close(self) -> None:
        await self._driver.close()

    async def relays(self) -> list[str]:
        """Who holds the relay's lock: a worker that runs."""
        return [row[0] for row in await self._driver.fetch(_RELAYS, RELAY_LOCK)]

    async def last_change(self, tables: Iterable[str]) -> datetime | None:
        """When this database handled or wrote something for the last time, by its own records."""
        parts = [f"(select max(changed_at) from {name})" for name in tables]
        parts += ["(select max(seen_at) from inbox)", "(select max(created_at) from outbox)"]
        found: datetime | None = await self._driver.fetchval(f"select greatest({', '.join(parts)})")
        return found

    async def positions(self) -> dict[tuple[str, int], int]:
        """Up to where it had handled each partition, by topic and partition."""
        rows = await self._driver.fetch("select topic, partition, next_offset from read_positions")
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def read_from(self, positions: Iterable[tuple[str, int, int]]) -> None:
        """Note where its group goes on reading: topic, partition, offset."""
        async with self._driver.transaction():
            await self._driver.execute("delete from read_positions")
            await self._driver.executemany("insert into read_positions values ($1, $2, $3)", positions)

    async def begun(self) -> Restored | None:
        """The restore that was begun here and broken off, if there is one."""
        row = await self._driver.fetchrow(_OPEN)
        return Restored(*row) if row else None

    async def begin(self, epoch: int, to: datetime, read_from: datetime) -> Restored:
        """`epoch`: at least this one. What was leased when the database was saved is free again."""
        async with self._driver.transaction():
            number = await self._driver.fetchval(_BEGIN, epoch, to, read_from)
            await self._driver.execute(_RELEASE)
        return Restored(number, to, read_from)

    async def widen(self, restored: Restored, to: datetime, read_from: datetime) -> Restored:
        """Go on with another point."""
        statement = "update restore_epoch set restored_to = $2, read_from = $3 where number = $1"
        await self._driver.execute(statement, restored.epoch, to, read_from)
        return Restored(restored.epoch, to, read_from)

    async def parked(self) -> dict[str, str]:
        """Why each parked key is, by key."""
        return {row["key"]: row["error"] for row in await self._driver.fetch(_PARKED)}

    async def caught_up(self, restored: Restored) -> None:
        """Calls that are left may have been made in the time that it has forgotten."""
        statement = "update restore_epoch set caught_up_at = clock_timestamp() where number = $1"
        async with self._driver.transaction():
            await self._driver.execute("update operations set abandoned = true")
            await self._driver.execute(statement, restored.epoch)
