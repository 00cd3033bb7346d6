"""Connections that a store keeps between statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa

from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres import connections as postgres_connections
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.engine import create_engine, create_read_engine
from shared.shell.postgres.statements import PING, Sql
from tests.integration.conftest import NewDatabase

SESSION = Sql("select pg_backend_pid()")
SLEEP = Sql("select pg_sleep(30)")
RUNNING = Sql("select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'")


@pytest_asyncio.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database()


@pytest_asyncio.fixture
async def connections(url: str) -> AsyncIterator[Connections]:
    engine = create_engine(url, "kept", pool=1)
    kept = Connections(engine, keep=1)
    yield kept
    await kept.close()
    await engine.dispose()


async def session(connections: Connections) -> int:
    ((pid,),) = await connections.fetch(SESSION, {})
    return int(pid)


async def test_a_kept_connection_is_renewed_like_the_pools_own(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something between us and the database may forget a connection that is not used for hours."""
    connections.engine.pool._recycle = 0
    first = await session(connections)
    await asyncio.sleep(0.01)
    assert await session(connections) == first, "it is kept"
    monkeypatch.setattr(postgres_connections, "KEPT_SECONDS", 0.0)
    assert await session(connections) != first


@pytest.mark.parametrize("statement", [PING, SLEEP])
async def test_after_a_session_was_ended_another_one_is_used(
    connections: Connections, url: str, statement: Sql
) -> None:
    """Also where the server has said so, and the connection is not closed yet."""
    other = await asyncpg.connect(url)
    for _ in range(5):
        first = await session(connections)
        work = asyncio.create_task(connections.fetch(statement, {}))
        await asyncio.sleep(0.05)
        await other.execute("select pg_terminate_backend($1)", first)
        with suppress(StoreUnavailable):
            await work
        for _ in range(3):
            with suppress(StoreUnavailable):
                assert await session(connections) != first
                break
        else:
            raise AssertionError("no other session was opened")
    await other.close()


async def test_who_reads_over_http_does_not_meet_connections_that_a_restart_left_broken(url: str) -> None:
    engine, other = create_read_engine(url, "reads"), await asyncpg.connect(url)

    async def read() -> int:
        async with engine.connect() as connection:
            pid = await connection.scalar(sa.text("select pg_backend_pid()"))
            await asyncio.sleep(0.1)
            return int(pid)

    before = await asyncio.gather(read(), read())
    for pid in before:
        await other.execute("select pg_terminate_backend($1)", pid)
    after = await asyncio.gather(read(), read())
    assert not set(before) & set(after)
    await other.close()
    await engine.dispose()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_transaction_that_another_left_open_is_not_passed_on(connections: Connections, times: int) -> None:
    """A user that is cancelled again while its transaction is rolled back leaves it as it is."""

    async def work() -> None:
        async with connections.driver() as driver, driver.transaction():
            await driver.execute("create temporary table t (n integer)")
            await postgres_connections.fetch(driver, SLEEP, {})

    task = asyncio.create_task(work())
    await asyncio.sleep(0.3)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await task
    await connections.fetch(PING, {})
    async with connections.driver() as driver, driver.transaction():
        await driver.execute("select 1")


@pytest.mark.parametrize("transaction", [True, False])
async def test_a_user_that_is_cancelled_takes_its_connection_along(connections: Connections, transaction: bool) -> None:
    """What it is at by then cannot be told: later statements could become part of it, and be lost with it."""
    first = await session(connections)

    async def work() -> None:
        async with connections.driver() as driver:
            if transaction:
                async with driver.transaction():
                    await postgres_connections.fetch(driver, SLEEP, {})
            await postgres_connections.fetch(driver, SLEEP, {})

    task = asyncio.create_task(work())
    await asyncio.sleep(0.3)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await session(connections) != first
    ((running,),) = await connections.fetch(RUNNING, {})
    assert running == 0, "the server has stopped it"


async def test_what_is_closed_while_it_is_used_is_not_kept(connections: Connections) -> None:
    async with connections.driver():
        await connections.close()
    assert connections._kept == []
    assert connections.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
