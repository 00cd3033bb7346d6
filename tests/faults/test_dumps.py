"""`pg_dump` of one database after the other, to a slow disk, while housekeeping wants to drop a partition of the inbox:
orders are processed all the same, and no message waits long for a table."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from deploy.devstack.postgres import find_programs
from services.registry import SERVICES
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.schema import day_bounds, partition_name
from shared.shell.postgres.store import PostgresStore
from tests.faults.crowd import crowded
from tests.faults.scenario import FaultScenario
from tests.faults.system import System
from tests.faults.table import AT_LENGTH

WARM, ROUNDS, SLOW = 8.0, 3, 8.0
"""Seconds; rounds in which every database is dumped, each with a control as long; for how many seconds the disk under a
dump takes nothing."""
ENOUGH, LONGEST_WAIT = 0.7, 1.0
OLD, KEEP_DAYS = timedelta(days=60), 30
WITHIN = 60.0
"""Seconds until a dump has all its locks."""
SMALL_PIPE = 4096
WAITING = """
    select extract(epoch from clock_timestamp() - waitstart)::float8 as seconds, datname || ': ' || query as who
    from pg_locks join pg_stat_activity using (pid)
    where not granted and locktype = 'relation' and waitstart is not null
"""
LOCKED = """
    select count(*) from pg_locks join pg_stat_activity using (pid)
    where granted and application_name = 'pg_dump' and relation = cast('{table}' as regclass)
"""


@dataclass
class Waits:
    """The longest wait for a table, and what waited. Row locks are another matter: no dump has any."""

    seconds: float = 0.0
    who: str = ""
    samples: int = 0


@AT_LENGTH
async def test_every_database_is_dumped_again_and_again(scenario: FaultScenario) -> None:
    system, began, old = scenario.system, time.monotonic(), datetime.now(UTC) - OLD
    without, during = list[float](), list[float]()
    async with crowded(system, random.Random(scenario.seed)) as crowd, looking_for_waits(system) as waits:
        await asyncio.sleep(WARM)
        for _ in range(ROUNDS):
            started = time.monotonic()
            during.append(await crowd.rate(dump_all(system, old)))
            without.append(await crowd.rate(asyncio.sleep(time.monotonic() - started)))
    ratio = sum(during) / sum(without)
    remark = (
        f"{len(during) * len(SERVICES)} dumps, rate {ratio:.0%} of that without, {waits.seconds * 1000:.0f} ms waited"
    )
    await scenario.ends_well("(s) pg_dump of every database, in a loop", crowd.told, began, remark)
    assert ratio >= ENOUGH, remark
    assert waits.samples > 0
    assert waits.seconds < LONGEST_WAIT, waits
    for name in SERVICES:
        await housekeep(system, name)
        assert not await there(system, name, partition_name(old.date())), "it waited for the dump, and no longer"


async def add_partition(system: System, name: str, day: datetime) -> str:
    """Unless it is still there. Returns its name."""
    table, (low, high) = partition_name(day.date()), day_bounds(day.date())
    if await there(system, name, table):
        return table
    await system.execute(name, f"create table {table} (like inbox including all)")
    await system.execute(name, f"alter table inbox attach partition {table} for values from ('{low}') to ('{high}')")
    return table


async def there(system: System, name: str, table: str) -> bool:
    return bool(await system.value(name, f"select to_regclass('{table}') is not null"))


async def dump_all(system: System, old: datetime) -> None:
    for name in SERVICES:
        table = await add_partition(system, name, old)
        async with dump(system, name, table):
            housekeeping = asyncio.create_task(housekeep(system, name))
            await asyncio.sleep(SLOW)
            assert await there(system, name, table), "the dump has it"
        await housekeeping


@contextlib.asynccontextmanager
async def dump(system: System, name: str, table: str) -> AsyncIterator[None]:
    """A dump that has locked all tables, and whose output is not read until the body ends."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    command = (str(find_programs() / "pg_dump"), "--format=plain", system.stack.postgres.url(name))
    process = await asyncio.create_subprocess_exec(*command, stdout=writing)
    os.close(writing)
    try:
        async with asyncio.timeout(WITHIN):
            while not await system.value(name, LOCKED.format(table=table)):
                assert process.returncode is None, "the dump ended early"
                await asyncio.sleep(0.05)
        yield
        assert process.returncode is None, "the dump went on meanwhile"
    finally:
        size = await asyncio.to_thread(drained, reading)
        assert await process.wait() == 0
    assert size > SMALL_PIPE


def drained(descriptor: int) -> int:
    size = 0
    with open(descriptor, "rb") as file:
        while some := file.read(1 << 20):
            size += len(some)
    return size


async def housekeep(system: System, name: str) -> None:
    """As every worker does it now and then."""
    engine = create_engine(system.stack.postgres.url(name), "housekeeper")
    try:
        await PostgresStore(engine).housekeep(datetime.now(UTC), KEEP_DAYS)
    finally:
        await engine.dispose()


@contextlib.asynccontextmanager
async def looking_for_waits(system: System) -> AsyncIterator[Waits]:
    """By the databases' own clock, so that it does not count when we look late."""
    waits = Waits()
    connection = await asyncpg.connect(system.stack.postgres.url("postgres"))

    async def look() -> None:
        while True:
            for seconds, who in await connection.fetch(WAITING):
                waits.samples += 1
                if seconds > waits.seconds:
                    waits.seconds, waits.who = seconds, who
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield waits
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        await connection.close()
