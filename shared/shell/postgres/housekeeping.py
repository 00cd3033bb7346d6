"""Keeping the shell's tables small: inbox partitions by day; ids and replies that can no longer be repeated."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.shell.postgres.schema import day_bounds, partition_name

log = structlog.get_logger(__name__)
DAYS_AHEAD = 3
_LOCK = 0x696E626F  # "inbo": one housekeeper at a time
_LOCK_TIMEOUT = "200ms"
"""All that come later wait behind a waiting table lock; a dump holds one for hours."""
_LOCK_NOT_AVAILABLE = "55P03"
BRIEF = 0.1
"""Seconds of a step after which the next one follows at once."""
RESTS, LONGEST_REST = 4, 10.0
"""After a longer one it waits so many times as long, in seconds at most: writes had to wait for it."""


async def housekeep(engine: AsyncEngine, now: datetime, keep_days: int) -> None:
    """Make the inbox's partitions for today and the coming days; forget ids that were first seen more than `keep_days`
    ago. What needs a lock that another session holds is left to the next time.

    An id lies in the partition of the day that it tells, or in `inbox_other` where there is none. When a day's
    partition is dropped, what was seen in it later than that moves to `inbox_other`.
    """
    names = await partitions_of(engine, "inbox")
    today = now.date()
    for day in (today + timedelta(days=n) for n in range(-1, DAYS_AHEAD + 1)):
        if partition_name(day) not in names:
            await alone(engine, _add_partition, partition_name(day), *day_bounds(day))
    oldest = partition_name(today - timedelta(days=keep_days))
    first_seen = now - timedelta(days=keep_days)
    for name in sorted(name for name in names - {"inbox_other"} if name < oldest):
        await alone(engine, _index_partition, name)
        await alone(engine, _drop_partition, name, first_seen)
    await alone(engine, _forget, first_seen)


async def rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def alone(engine: AsyncEngine, work: Any, *values: Any) -> None:
    """One step, and a pause as it needs it."""
    began = time.monotonic()
    await _step(engine, work, *values)
    if (taken := time.monotonic() - began) > BRIEF:
        await rest(min(RESTS * taken, LONGEST_REST))


async def _step(engine: AsyncEngine, work: Any, *values: Any) -> None:
    """A transaction of its own, by one housekeeper at a time."""
    try:
        async with engine.begin() as connection:
            if await connection.scalar(sa.text("select pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
                await connection.execute(sa.text(f"set local lock_timeout = '{_LOCK_TIMEOUT}'"))
                await work(connection, *values)
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        log.info("housekeeping postponed, table locked", step=work.__name__.lstrip("_"), of=str(values[0]))


async def partitions_of(engine: AsyncEngine, table: str) -> set[str]:
    query = "select relname from pg_class join pg_inherits on oid = inhrelid where inhparent = cast(:name as regclass)"
    async with engine.connect() as connection:
        return set((await connection.execute(sa.text(query), {"name": table})).scalars())


async def _add_partition(connection: AsyncConnection, name: str, low: UUID, high: UUID) -> None:
    """Ids of that day that came early are in the default partition; they move along. One that is being
    claimed at this moment would be left behind, and the new partition refused: that claim finishes first, the next one
    waits."""
    if await is_partition(connection, name):
        return
    await connection.execute(sa.text("lock table inbox_other in access exclusive mode"))
    await connection.execute(sa.text(f"create table if not exists {name} (like inbox including all)"))
    await _move(connection, "inbox_other", name, "message_id >= :low and message_id < :high", low=low, high=high)
    await connection.execute(
        sa.text(f"alter table inbox attach partition {name} for values from ('{low}') to ('{high}')")
    )


async def _index_partition(connection: AsyncConnection, name: str) -> None:
    """While a day's partition is dropped the inbox cannot be read, so what moves out of it must be found quickly. With
    an index from the first day on, claiming would take a fifth longer."""
    if await is_partition(connection, name):
        await connection.execute(sa.text(f"create index if not exists {name}_seen on {name} using brin (seen_at)"))


async def _drop_partition(connection: AsyncConnection, name: str, first_seen: datetime) -> None:
    """Effects of an old cause have its day: they may have been seen just now."""
    if not await is_partition(connection, name):
        return
    await connection.execute(sa.text(f"alter table inbox detach partition {name}"))
    await _move(connection, name, "inbox_other", "seen_at >= :first_seen", first_seen=first_seen)
    await connection.execute(sa.text(f"drop table {name}"))


async def is_partition(connection: AsyncConnection, name: str) -> bool:
    """Asked again under the lock: another worker may have been here since the partitions were listed."""
    query = "select exists (select from pg_inherits where inhrelid = to_regclass(:name))"
    return bool(await connection.scalar(sa.text(query), {"name": name}))


async def _move(connection: AsyncConnection, source: str, target: str, where: str, **values: Any) -> None:
    columns = "message_id, seen_at, content"
    moved = f"with moved as (delete from {source} where {where} returning {columns})"
    await connection.execute(sa.text(f"{moved} insert into {target} ({columns}) select {columns} from moved"), values)


async def _forget(connection: AsyncConnection, first_seen: datetime) -> None:
    """A reply goes with its message's id: without it, a repetition would be told that a refused command was accepted;
    and after it, it would be in the way of the reply to a new one."""
    for statement in (
        """with gone as (delete from inbox_other where seen_at < :first_seen returning message_id)
            delete from replies where id in (select message_id from gone)""",
        """delete from replies where replied_at < :first_seen
            and not exists (select from inbox where message_id = replies.id)""",
    ):
        await connection.execute(sa.text(statement), {"first_seen": first_seen})
