"""The zones in which stores' days are counted: a store's sums are made again when its time zone was changed."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.storage import read_models
from shared.shell.postgres.day_sums import sum_again
from shared.shell.postgres.housekeeping import alone

log = structlog.get_logger(__name__)
CHANGED = sa.text("""
    select store, coalesce(time_zone, 'UTC') as zone from stores where coalesce(time_zone, 'UTC') <> sums_zone
    order by store
""")
KNOWN = sa.text("select exists(select from pg_timezone_names where name = :zone)")
ADOPT = sa.text("update stores set sums_zone = :zone where store = :store and coalesce(time_zone, 'UTC') = :zone")


async def adopt_zones(engine: AsyncEngine, now: datetime) -> None:
    """Until then reports say in which zone a store's days are counted, and are right in that one. A zone that the
    database does not know is not adopted."""
    async with engine.connect() as connection:
        changed = (await connection.execute(CHANGED)).all()
        unknown = {zone for _, zone in changed if not await connection.scalar(KNOWN, {"zone": zone})}
    for store, zone in changed:
        if zone in unknown:
            log.warning("time zone unknown to the database, reports keep the one before", store=store, zone=zone)
        else:
            await alone(engine, _adopt, store, zone)


async def _adopt(connection: AsyncConnection, store: str, zone: str) -> None:
    """The row first, as the projection does: who holds the sums needs no row any more."""
    await connection.execute(sa.text("set local lock_timeout = '10s'"))
    if (await connection.execute(ADOPT, {"store": store, "zone": zone})).rowcount:
        await sum_again(connection, read_models, store)
        log.info("sums of reports made again for another time zone", store=store, zone=zone)
