"""The archive's partitions: a month's events lie together, so that what is too old can be dropped as a whole."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.shell.postgres.housekeeping import alone, is_partition

OTHER = "events_other"
"""Holds what came before its month had a partition, and events with a time far off."""
MOST_AT_ONCE = 12
"""Months that are made at one time: reading old topics again brings many."""
YEARS_BACK = 20


def month_of(at: datetime) -> datetime:
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def month_after(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def partition_of(month: datetime) -> str:
    return f"events_{month:%Y_%m}"


async def keep_months(engine: AsyncEngine, now: datetime) -> None:
    """Make the partitions of this month and the next, and of months whose events lie in `events_other`; those move."""
    this = month_of(now)
    following = month_after(this)
    earlier = await _months_without(engine, month_of(now.replace(year=now.year - YEARS_BACK, day=1)), this)
    for month in (this, following, *earlier):
        await alone(engine, _add_month, month)


async def _months_without(engine: AsyncEngine, since: datetime, until: datetime) -> list[datetime]:
    query = (
        f"select distinct date_trunc('month', at, 'UTC') from {OTHER} where at >= :since and at < :until limit :most"
    )
    values = {"since": since, "until": until, "most": MOST_AT_ONCE}
    async with engine.connect() as connection:
        return [month.astimezone(UTC) for month in (await connection.execute(sa.text(query), values)).scalars()]


async def _add_month(connection: AsyncConnection, month: datetime) -> None:
    """What is written to `events_other` meanwhile would be left behind, and the new partition refused: it waits."""
    name, until = partition_of(month), month_after(month)
    if await is_partition(connection, name):
        return
    await connection.execute(sa.text(f"lock table {OTHER} in access exclusive mode"))
    await connection.execute(sa.text(f"create table if not exists {name} (like events including all)"))
    moved = f"with moved as (delete from {OTHER} where at >= :since and at < :until returning *)"
    values = {"since": month, "until": until}
    await connection.execute(sa.text(f"{moved} insert into {name} select * from moved"), values)
    bounds = f"from ('{month.isoformat()}') to ('{until.isoformat()}')"
    await connection.execute(sa.text(f"alter table events attach partition {name} for values {bounds}"))
