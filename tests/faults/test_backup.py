"""A stranger's long transaction, such as a backup, keeps every database from forgetting: the rate must not suffer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg

from services.registry import SERVICES
from tests.faults.paths import LAST_COPY, PATHS, Told, tell_one
from tests.faults.scenario import FaultScenario
from tests.faults.system import SCARCE, System
from tests.faults.table import LONG

WARM, BEFORE, OPEN, IN_FLIGHT = (8.0, 30.0, 120.0, 120) if LONG else (3.0, 8.0, 10.0, 50)
"""Seconds, and customers in the shop at any time: whoever leaves is followed by another one."""
TRIES = 1 if LONG else 3
"""Ten seconds say little on a machine that has other work to do."""
ENOUGH = 0.7
WAYS = [way for way in PATHS if not way.store and not {LAST_COPY, SCARCE, "workshop"}.intersection(way.skus)]
"""Those that need nobody and no deadline to come to their end."""


@dataclass
class Crowd:
    told: list[Told] = field(default_factory=list)
    leaving: bool = False

    async def rate(self, seconds: float) -> float:
        """Orders that come to their end per second, measured over so many."""
        before, began = len(self.told), time.monotonic()
        await asyncio.sleep(seconds)
        return (len(self.told) - before) / (time.monotonic() - began)


async def test_a_backup_stays_open_in_every_database(ordeal: FaultScenario) -> None:
    system, began = ordeal.system, time.monotonic()
    async with crowded(system, random.Random(ordeal.seed)) as crowd:
        await asyncio.sleep(WARM)
        for _ in range(TRIES):
            before = await crowd.rate(BEFORE)
            async with backups(system):
                during = await crowd.rate(OPEN)
            if during >= ENOUGH * before:
                break
    remark = f"{before:.0f} orders/s before, {during:.0f} while open for {OPEN:.0f} s: {during / before:.0%}"
    await ordeal.ends_well("(j) long REPEATABLE READ everywhere", crowd.told, began, remark)
    assert during >= ENOUGH * before, remark


@contextlib.asynccontextmanager
async def crowded(system: System, rng: random.Random) -> AsyncIterator[Crowd]:
    """As many customers in the shop as it holds; the last ones finish what they have begun."""
    crowd = Crowd()

    async def customers() -> None:
        while not crowd.leaving:
            crowd.told.append(await tell_one(system, rng.choice(WAYS)))

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
