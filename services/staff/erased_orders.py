"""What staff keep of an order besides its rows, once the personal data of its customer was erased: the archive, texts
of jobs' results, and files of exports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.archive import RECORDS
from shared.contracts.erasure import OrderErased
from shared.shell.postgres.erasure import EVERY, LONGER, UNDELIVERABLE, erase_rows

log = structlog.get_logger(__name__)
AT_ONCE = 200
JUST_NOW = timedelta(minutes=15)
_RECORDS = ", ".join(f"'{topic.name}'" for topic in RECORDS)
ARCHIVE = f"""delete from events v using erased e where v.key = e.key and v.type <> '{OrderErased.type}'
    and not (v.topic in ({_RECORDS}) and v.at >= e.at and not exists (
        select from events l where l.key = v.key and l.topic = v.topic and l.at > v.at
    ))"""
"""What is left: that it was erased, and the latest records since."""
RESULTS = "update job_orders j set text = null from erased e where j.order_id = e.key and j.text is not null"
FILES = """with old as (
        select distinct j.id from jobs j join orders o on o.store = any(j.stores) join erased e on e.key = o.order_id
        where j.file is not null and j.created_at < e.at and j.ended_at is not null
    ), gone as (delete from job_parts p using old where p.job = old.id)
    update jobs j set file = null, file_size = null, expires_at = least(j.expires_at, now()) from old
    where j.id = old.id"""
"""Every file with orders of the store: which of them are in it is not known."""
PARKED = "delete from parked p using erased e where p.key = e.key and p.parked_at < e.at"
"""Records that a projection could not read: newer ones have come."""
ERASED = (ARCHIVE, RESULTS, FILES.replace("with old", ", old", 1), PARKED, UNDELIVERABLE)
_FOUND = sa.text(f"""select order_id, erased_at from orders where erased_at > :since and order_id > :after
    order by order_id limit {AT_ONCE}""")


class ErasedOrders:
    """Staff's task, and its upkeep: what was just erased at once, and once more what may have come since."""

    def __init__(self, engine: AsyncEngine, retention: timedelta) -> None:
        self._engine, self._again = engine, retention + LONGER

    async def run(self) -> None:
        while True:
            try:
                await self.erase(datetime.now(UTC) - JUST_NOW)
            except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as trouble:
                log.warning("erasing failed, retrying later", error=type(trouble).__name__)
            await asyncio.sleep(EVERY)

    async def upkeep(self, now: datetime) -> None:
        await self.erase(now - self._again)

    async def erase(self, since: datetime) -> None:
        after = ""
        while True:
            async with self._engine.begin() as connection:
                found = await connection.execute(_FOUND, {"since": since, "after": after})
                rows: Mapping[str, datetime] = {row.order_id: row.erased_at for row in found}
                if rows:
                    await erase_rows(connection, ERASED, rows)
            if len(rows) < AT_ONCE:
                return
            after = max(rows)
