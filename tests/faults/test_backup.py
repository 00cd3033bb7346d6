"""Another program's long transaction, such as a backup, keeps dead rows in every database: the rate must not drop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg

from services.registry import SERVICES
from tests.faults.paths import LAST_COPY, PATHS, Journey, walk_one
from tests.faults.scenario import FaultScenario
from tests.faults.system import SCARCE, System
from tests.faults.table import LONG

WARM, BEFORE, OPEN, IN_FLIGHT = (8.0, 30.0, 120.0, 120) if LONG else (3.0, 8.0, 10.0, 50)
"""Seconds, and customers in the shop at any time: each who leaves is followed by another one."""
TRIES = 1 if LONG else 3
"""Ten seconds say little on a machine that has other work to do."""
ENOUGH = 0.7
WAYS = [way for way in PATHS if not way.store and not {LAST_COPY, SCARCE, "workshop"}.intersection(way.skus)]
"""Paths that end without staff and without a deadline."""


@dataclass
class Crowd:
    told: list[Journey] = field(default_factory=list)
    leaving: bool = False

    async def rate(self, seconds: float) -> float:
        """Orders that come to their end per second, measured over so many."""
        before, began = len(self.told), time.monotonic()
        await asyncio.sleep(seconds)
        return (len(self.told) - before) / (time.monotonic() - began)


async def test_a_backup_stays_open_in_every_database(scenario: FaultScenario) -> None:
    system, began = scenario.system, time.monotonic()
    async with crowded(system, random.Random(scenario.seed)) as crowd:
        await asyncio.sleep(WARM)
        for _ in range(TRIES):
            before = await crowd.rate(BEFORE)
            async with backups(system):
                during = await crowd.rate(OPEN)
            if during >= ENOUGH * before:
                break
    remark = f"{before:.0f} orders/s before, {during:.0f} while open for {OPEN:.0f} s: {during / before:.0%}"
    await scenario.ends_well("(j) long REPEATABLE READ everywhere", crowd.told, began, remark)
    assert during >= ENOUGH * before, remark


@contextlib.asynccontextmanager
async def crowded(system: System, rng: random.Random) -> AsyncIterator[Crowd]:
    """As many customers in the shop as it holds; the last ones finish what they have begun."""
    crowd = Crowd()

    async def customers() -> None:
        while not crowd.leaving:
            crowd.told.append(await walk_one(system, rng.choice(WAYS)))

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(customers())
        try:
            yield crowd
        finally:
            crowd.leaving = True


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
