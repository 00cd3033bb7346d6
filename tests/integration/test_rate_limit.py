"""Turns at the outside, kept in the database for all workers of a service."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from shared.shell.operations.rate_limit import RateLimiter
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.reservations import PostgresReservations
from shared.shell.postgres.schema import TABLES_V1
from tests.integration.conftest import NewDatabase


async def test_two_workers_together_keep_to_the_rate(new_database: NewDatabase) -> None:
    url = await new_database()
    engines = [create_engine(url, f"test-{number}") for number in range(2)]
    async with engines[0].begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
    limiters = [RateLimiter(PostgresReservations(engine), 50) for engine in engines]
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def call(limiter: RateLimiter) -> None:
        assert await limiter.acquire("charges") == 0.0
        times.append(loop.time())

    await asyncio.gather(*(call(limiter) for limiter in limiters for _ in range(30)))
    times.sort()
    assert 59 / 50 - 0.1 < times[-1] - times[0] < 3
    window = [sum(1 for time in times if start <= time < start + 0.5) for start in times]
    assert max(window) <= 25 + 8, "a loop that was late lets a few through together"
    for engine in engines:
        await engine.dispose()


async def test_a_call_that_was_not_made_is_not_saved_up(new_database: NewDatabase) -> None:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
    books = PostgresReservations(engine)
    assert await books.reserve("charges", 0.2) == 0.0
    await asyncio.sleep(0.5)
    assert await books.reserve("charges", 10.0) == 0.0
    assert 9.0 < await books.reserve("charges", 1.0) <= 10.0
    await engine.dispose()
