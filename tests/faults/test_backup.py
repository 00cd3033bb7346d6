"""Another program's long transaction, such as a backup, keeps dead rows in every database: the rate must not drop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import asyncpg

from services.registry import SERVICES
from tests.faults.crowd import crowded
from tests.faults.scenario import FaultScenario
from tests.faults.system import System
from tests.faults.table import AT_LENGTH

WARM, BEFORE, OPEN = 8.0, 30.0, 120.0
"""Seconds."""
ENOUGH = 0.7


@AT_LENGTH
async def test_a_backup_stays_open_in_every_database(scenario: FaultScenario) -> None:
    system, began = scenario.system, time.monotonic()
    async with crowded(system, random.Random(scenario.seed)) as crowd:
        await asyncio.sleep(WARM)
        before = await crowd.rate(asyncio.sleep(BEFORE))
        async with backups(system):
            during = await crowd.rate(asyncio.sleep(OPEN))
    remark = f"{before:.0f} orders/s before, {during:.0f} while open for {OPEN:.0f} s: {during / before:.0%}"
    await scenario.ends_well("(j) long REPEATABLE READ everywhere", crowd.told, began, remark)
    assert during >= ENOUGH * before, remark


@contextlib.asynccontextmanager
async def backups(system: System) -> AsyncIterator[None]:
    """What `pg_dump` does: one snapshot, taken and kept, in every database."""
    connections = [await asyncpg.connect(system.stack.postgres.url(name)) for name in SERVICES]
    try:
        for connection in connections:
            await connection.execute("begin transaction isolation level repeatable read read only")
            await connection.fetchval("select count(*) from outbox")
        yield
        for connection in connections:
            assert await connection.fetchval("select pg_current_snapshot() is not null")
            await connection.execute("commit")
    finally:
        for connection in connections:
            await connection.close()
