"""A job's file: parts in a table, compressed, so that any worker can send it, and that it ends with its job."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.jobs.job import Job
from services.staff.jobs.lease import JobRun
from services.staff.jobs.tables import job_parts, jobs

PART = 1_048_576
"""Bytes of a part."""
LEVEL = 1


class JobFile:
    """Is written. No one sees a part of it before its end."""

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._waiting = bytearray()
        self._number = 0
        self.size = 0

    async def begin(self) -> None:
        """What an earlier runner has left is removed. Raises LeaseLost."""
        async with self._run.hold() as connection:
            await connection.execute(sa.delete(job_parts).where(job_parts.c.job == self._run.job.id))

    async def write(self, data: bytes) -> None:
        self._waiting += data
        self.size += len(data)
        while len(self._waiting) >= PART:
            await self._part(bytes(self._waiting[:PART]))
            del self._waiting[:PART]

    async def end(self, name: str, orders: int) -> None:
        if self._waiting:
            await self._part(bytes(self._waiting))
        self._run.done = self._run.total = orders
        values = {"file": name, "file_size": self.size, "done": orders, "total": orders}
        async with self._run.hold() as connection:
            await connection.execute(sa.update(jobs).where(jobs.c.id == self._run.job.id).values(values))

    async def _part(self, data: bytes) -> None:
        packed = await asyncio.to_thread(zlib.compress, data, LEVEL)
        values = {"job": self._run.job.id, "number": self._number, "data": packed}
        async with self._run.hold() as connection:
            await connection.execute(sa.insert(job_parts).values(values))
        self._number += 1


async def file_parts(engine: AsyncEngine, job: Job) -> AsyncIterator[bytes]:
    """Of a job that has its file. One after the other, each read when it is asked for."""
    query = sa.select(job_parts.c.data).where(job_parts.c.job == job.id)
    sent, number = 0, 0
    while sent < (job.file_size or 0):
        async with engine.connect() as connection:
            packed = (await connection.execute(query.where(job_parts.c.number == number))).scalar_one()
        part = await asyncio.to_thread(zlib.decompress, packed)
        yield part
        sent, number = sent + len(part), number + 1
