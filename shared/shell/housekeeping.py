"""Keeping the shell's tables small: inbox partitions by day, answers and stray ids that nobody can repeat any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.shell.schema import day_bounds, partition_name

DAYS_AHEAD = 3
_LOCK = 0x696E626F  # "inbo": one housekeeper at a time


async def housekeep(connection: AsyncConnection, now: datetime, keep_days: int) -> None:
    """Make the inbox's partitions for today and the coming days; drop those older than `keep_days`.

    Ids that are not of the day they claim (or no UUIDv7) live in the default partition and stay.
    """
    await connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = await connection.execute(
        sa.text("select relname from pg_class join pg_inherits on oid = inhrelid where inhparent = 'inbox'::regclass")
    )
    names = {row.relname for row in found}
    today = now.date()
    for day in (today + timedelta(days=n) for n in range(-1, DAYS_AHEAD + 1)):
        if partition_name(day) not in names:
            await _add_partition(connection, partition_name(day), *day_bounds(day))
    oldest = partition_name(today - timedelta(days=keep_days))
    for name in sorted(names - {"inbox_other"}):
        if name < oldest:
            await connection.execute(sa.text(f"drop table {name}"))
    await connection.execute(
        sa.text("delete from answers where answered_at < cast(:now as timestamptz) - make_interval(days => :days)"),
        {"now": now, "days": keep_days},
    )


async def _add_partition(connection: AsyncConnection, name: str, low: UUID, high: UUID) -> None:
    """Ids of that day that came early are in the default partition; they move along."""
    await connection.execute(sa.text(f"create table {name} (message_id uuid primary key)"))
    bounds = {"low": low, "high": high}
    await connection.execute(
        sa.text(
            f"with early as (delete from inbox_other where message_id >= :low and message_id < :high "
            f"returning message_id) insert into {name} select message_id from early"
        ),
        bounds,
    )
    await connection.execute(
        sa.text(f"alter table inbox attach partition {name} for values from ('{low}') to ('{high}')")
    )
