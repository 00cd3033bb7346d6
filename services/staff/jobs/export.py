"""Carries out exports: all orders of one moment, read in one transaction and written as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.export import COLUMNS, file_name
from services.staff.jobs.export_query import ExportedOrders
from services.staff.jobs.file import JobFile
from services.staff.jobs.lease import JobFailed, JobRun
from services.staff.jobs.requests import ExportRequest
from services.staff.jobs.rights import TO_EXPORT, may, rights_now
from services.staff.jobs.selection import selection_of
from services.staff.jobs.xlsx import Workbook
from shared.contracts.times import zone_of

BOM = b"\xef\xbb\xbf"
"""By it, spreadsheets know that CSV is UTF-8."""
ROWS = 500
"""Of XLSX that are fetched at once."""
SETTINGS = """set local statement_timeout to 0; set local idle_in_transaction_session_timeout to '5min';
    set local enable_seqscan to on; set local work_mem to '32MB'; set local plan_cache_mode to force_custom_plan"""
"""An export takes as long as it takes, and reads most of a table."""


@dataclass(frozen=True, slots=True)
class Exporter:
    engine: AsyncEngine

    async def __call__(self, run: JobRun) -> None:
        request = ExportRequest.model_validate(run.job.request)
        rights = await rights_now(self.engine, run.job.actor, run.job.token)
        if not all(may(rights, TO_EXPORT, store) for store in run.job.stores):
            raise JobFailed("Who started this export may not make it any more.")
        orders = await self._orders(run, request)
        file = JobFile(run)
        await file.begin()
        async with snapshot(self.engine) as driver:
            moment = await driver.fetchval("select clock_timestamp()")
            count = orders.count()
            run.total, run.done = await driver.fetchval(count.sql, *count.values), 0
            export = _Export(run, request, orders, file, moment)
            written = await (export.csv(driver) if request.format == "csv" else export.xlsx(driver))
        name = file_name(sorted(run.job.stores), request.zone, moment.astimezone(zone_of(request.zone)), request.format)
        await file.end(name, written)

    async def _orders(self, run: JobRun, request: ExportRequest) -> ExportedOrders:
        async with self.engine.connect() as connection:
            return ExportedOrders(await selection_of(connection, run.job.stores, request))


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """Everything that is read is of one moment."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        async with driver.transaction(isolation="repeatable_read", readonly=True):
            await driver.execute(SETTINGS)
            yield driver


@dataclass(frozen=True, slots=True)
class _Export:
    run: JobRun
    request: ExportRequest
    orders: ExportedOrders
    file: JobFile
    moment: datetime

    async def csv(self, driver: asyncpg.Connection) -> int:
        """PostgreSQL writes it."""
        statement, lines = self.orders.csv(self.request.columns, self.request.zone), 0
        await self.file.write(BOM)

        async def take(data: bytes) -> None:
            nonlocal lines
            self.run.check()
            lines += data.count(b"\n")
            self.run.done = max(0, min(lines - 1, self.run.total or 0))
            await self.file.write(data)

        told = await driver.copy_from_query(
            statement.sql, *statement.values, output=take, format="csv", header=True, encoding="utf-8"
        )
        return int(told.split()[-1])

    async def xlsx(self, driver: asyncpg.Connection) -> int:
        statement = self.orders.xlsx(self.request.columns, self.request.zone)
        book = Workbook("Orders", [COLUMNS[name].title for name in self.request.columns])
        written, cursor = 0, await driver.cursor(statement.sql, *statement.values)
        while True:
            self.run.check()
            rows = [row[0] for row in await cursor.fetch(ROWS)]
            await self.file.write(await asyncio.to_thread(book.rows, rows))
            written += len(rows)
            self.run.done = written
            if len(rows) < ROWS:
                break
        await self.file.write(await asyncio.to_thread(book.end, self._about(written)))
        return written

    def _about(self, written: int) -> list[tuple[str, str]]:
        local = self.moment.astimezone(zone_of(self.request.zone))
        asked = self.request.filter.model_dump(mode="json", exclude_defaults=True)
        filters = [(f"Filter: {name}", _shown(value)) for name, value in asked.items()]
        return [
            ("Time zone", self.request.zone),
            ("As of", local.strftime("%Y-%m-%d %H:%M:%S")),
            ("Stores", ", ".join(sorted(self.run.job.stores))),
            ("Orders", str(written)),
            *([("Selected orders", str(len(self.request.orders)))] if self.request.orders else []),
            *filters,
        ]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
