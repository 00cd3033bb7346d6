"""What is kept under a key besides its state, once the personal data of the key was erased: what each service says of
its own tables, and undeliverable and sent messages. What is parked stays until it is settled: the erasure waits
behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.core.erasure import Erasure
from shared.shell.ports.tables import RecordTable

log = structlog.get_logger(__name__)
LONGER = timedelta(days=3)
"""Than the topics' retention: until then a message may come that was sent before."""
AT_ONCE = 200
EVERY = 10.0
"""Seconds between two looks for what was just erased."""
IN_FLIGHT = "10 minutes"
"""What was decided before an erasure is sent within that time, as a rule."""
SKEW = "10 seconds"
"""By which the clocks of worker and database may differ."""
UNDELIVERABLE = f"""delete from undeliverable u using erased e where u.key = e.key
    and u.created_at < e.at - interval '{SKEW}' and u.topic not like 'payments.%'
    and position('order.erased' in u.headers) = 0"""
"""What tells of money, or of the erasure, stays until staff settle it."""
OF_SENT = f"""delete from outbox_sent s using erased e where s.key = e.key
    and s.sent_at < e.at + interval '{IN_FLIGHT}' and position('order.erased' in s.headers) = 0"""
"""Reads all of it, once for each erasure: there is no index by key, and it is dropped after a day. What is told of the
erasure itself stays; status records can be made again."""
_GIVEN = "with erased as (select * from unnest(cast(:keys as text[]), cast(:times as timestamptz[])) as e (key, at))"


def erasures_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "erasures",
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done", sa.Boolean, nullable=False, server_default="false"),
    )


def erasures_of(table: sa.Table) -> RecordTable:
    return RecordTable(Erasure, table)


async def erase_rows(connection: AsyncConnection, statements: Sequence[str], erased: Mapping[str, datetime]) -> None:
    """`statements`: of `erased` (key, at)."""
    values = {"keys": [*erased], "times": [*erased.values()]}
    for statement in statements:
        await connection.execute(sa.text(f"{_GIVEN} {statement}"), values)


class Erasing:
    """A service's task, and its upkeep: what was just erased at once, and once more what may have come since."""

    def __init__(self, engine: AsyncEngine, own: Sequence[str], retention: timedelta) -> None:
        self._engine, self._again = engine, retention + LONGER
        self.statements = (*own, UNDELIVERABLE)

    async def run(self) -> None:
        while True:
            try:
                while await self.erase_new():
                    pass
            except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as trouble:
                log.warning("erasing failed, retrying later", error=type(trouble).__name__)
            await asyncio.sleep(EVERY)

    async def upkeep(self, now: datetime) -> None:
        after = ""
        while True:
            values = {"since": now - self._again, "after": after}
            rows = await self._erase("at > :since and key > :after", values, self.statements)
            if len(rows) < AT_ONCE:
                return
            after = max(rows)

    async def erase_new(self) -> bool:
        """Whether there may be more."""
        return len(await self._erase("not done", {}, (*self.statements, OF_SENT))) >= AT_ONCE

    async def _erase(
        self, which: str, values: Mapping[str, object], statements: Sequence[str]
    ) -> Mapping[str, datetime]:
        """A key that was erased several times counts from the last time."""
        found = sa.text(f"""select key, max(at) as at from erasures where {which}
            group by key order by key limit {AT_ONCE}""")
        async with self._engine.begin() as connection:
            rows = {row.key: row.at.astimezone(UTC) for row in await connection.execute(found, values)}
            if rows:
                await erase_rows(connection, statements, rows)
                done = (
                    "update erasures x set done = true from erased e where x.key = e.key and x.at <= e.at and not done"
                )
                await erase_rows(connection, [done], rows)
        return rows
