"""Records that Kafka has acknowledged, kept for a while in case it is lost: partitions by the day on which they were
sent, dropped whole. Nothing looks for one of them, so there is no index.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.shell.postgres.housekeeping import DAYS_AHEAD, alone, is_partition, partitions_of
from shared.shell.postgres.schema import PASSING_BYTES

TABLE, OTHER = "outbox_sent", "outbox_sent_other"
COLUMNS = "id, topic, key, headers, body, sent_at"


async def keep_house(engine: AsyncEngine, now: datetime, keep: timedelta) -> None:
    """Make the partitions for today and the coming days; drop days that ended longer ago than `keep`."""
    names, today = await partitions_of(engine, TABLE), now.date()
    if keep:
        for day in (today + timedelta(days=number) for number in range(DAYS_AHEAD + 1)):
            if _name(day) not in names:
                await alone(engine, _add, _name(day), day)
    kept = _name((now - keep).date())
    for name in sorted(name for name in names - {OTHER} if name < kept):
        await alone(engine, _drop, name)
    await alone(engine, _forget, now - keep)


def _name(day: date) -> str:
    return f"{TABLE}_{day:%Y%m%d}"


async def _add(connection: AsyncConnection, name: str, day: date) -> None:
    if await is_partition(connection, name):
        return
    low = datetime.combine(day, time(), UTC)
    high = low + timedelta(days=1)
    await connection.execute(sa.text(f"lock table {OTHER} in access exclusive mode"))
    # Nothing is ever changed in it, and it is dropped whole: neither swept nor compressed.
    unvacuumed = f"with (autovacuum_enabled = false, toast_tuple_target = {PASSING_BYTES})"
    await connection.execute(sa.text(f"create table if not exists {name} (like {TABLE} including all) {unvacuumed}"))
    moved = f"with moved as (delete from {OTHER} where sent_at >= :low and sent_at < :high returning {COLUMNS})"
    statement = f"{moved} insert into {name} ({COLUMNS}) select {COLUMNS} from moved"
    await connection.execute(sa.text(statement), {"low": low, "high": high})
    bounds = f"for values from ('{low.isoformat()}') to ('{high.isoformat()}')"
    await connection.execute(sa.text(f"alter table {TABLE} attach partition {name} {bounds}"))


async def _drop(connection: AsyncConnection, name: str) -> None:
    if await is_partition(connection, name):
        await connection.execute(sa.text(f"alter table {TABLE} detach partition {name}"))
        await connection.execute(sa.text(f"drop table {name}"))


async def _forget(connection: AsyncConnection, sent: datetime) -> None:
    await connection.execute(sa.text(f"delete from {OTHER} where sent_at < :sent"), {"sent": sent})
