"""Two workers have the same messages (a rebalance): the second one must see what the first one parked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from shared.core import derived_id
from shared.shell.ports.rows import ParkedRow
from shared.shell.ports.store import Store
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND = (derived_id(UUID(int=1), number, NOW) for number in (1, 2))


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
    yield PostgresStore(engine)
    await engine.dispose()


async def test_a_message_does_not_overtake_one_that_another_worker_parks_meanwhile(store: Store) -> None:
    claimed, may_commit = asyncio.Event(), asyncio.Event()

    async def first_worker() -> None:
        async with store.begin() as tx:
            assert await tx.claim({FIRST: 0}, ["o-1"], NOW) == ({FIRST}, {})
            await tx.park([ParkedRow("o-1", FIRST, "record", "x", "t", 0, 0, b"k", b"[]", b"", "failed", "a bug", NOW)])
            claimed.set()
            await may_commit.wait()

    async def second_worker() -> tuple[set[UUID], dict[str, str]]:
        await claimed.wait()
        async with store.begin() as tx:
            return await tx.claim({FIRST: 0, SECOND: 0}, ["o-1"], NOW)

    first, second = asyncio.create_task(first_worker()), asyncio.create_task(second_worker())
    await asyncio.sleep(0.2)
    may_commit.set()
    await first

    assert await second == ({SECOND}, {"o-1": "failed"})
