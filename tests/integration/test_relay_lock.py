"""One relay per service: the next takes over when the connection of the first is gone, in whatever way."""

from __future__ import annotations

import asyncio

import asyncpg

from shared.shell.postgres import statements
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.schema import TABLES_V1
from tests.integration.conftest import NewDatabase


async def test_the_next_one_takes_over_when_the_first_ones_session_ends(new_database: NewDatabase) -> None:
    url, lost = await new_database(), asyncio.Event()
    first, second = PostgresRelayLock(url, "first"), PostgresRelayLock(url, "second")
    await first.acquire(lost.set)
    waiting = asyncio.create_task(second.acquire(lambda: None))
    await asyncio.sleep(0.7)
    assert first.held() and not waiting.done()

    server = await asyncpg.connect(url)
    await server.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'first-relay'"
    )
    async with asyncio.timeout(5):
        await lost.wait()
        await waiting
    assert not first.held() and second.held()
    for connection in (first, second, server):
        await connection.close()


async def test_the_server_soon_notices_that_a_relays_machine_is_gone(new_database: NewDatabase) -> None:
    lock = PostgresRelayLock(await new_database(), "relay")
    await lock.acquire(lambda: None)
    assert lock._connection is not None
    assert await lock._connection.fetchval("select current_setting('tcp_keepalives_idle')") == "10"
    await lock.close()


async def test_plans_made_while_the_outbox_was_empty_serve_a_full_one(new_database: NewDatabase) -> None:
    """A statement keeps its plan: a walk through an empty table, which costs nothing, would go on for 200,000 rows."""
    url = await new_database()
    server = await asyncpg.connect(url)
    for table in TABLES_V1:
        await server.execute(table)
    await server.execute("vacuum analyze outbox")
    lock = PostgresRelayLock(url, "relay")
    await lock.acquire(lambda: None)
    for name, statement, values in (
        ("head", statements.OUTBOX_HEAD, "0, 10, '{}', 8000"),
        ("rows", statements.OUTBOX_ROWS, "'{1}'"),
    ):
        plan = await plan_of(lock, f"prepare {name} as {statement.text}", f"explain execute {name}({values})")
        assert "outbox_pkey" in plan and "Seq Scan" not in plan, plan
    await lock.close()
    await server.close()


async def plan_of(lock: PostgresRelayLock, prepare: str, explain: str) -> str:
    """What a statement becomes when it is planned once for all values."""
    connection = lock._connection
    assert connection is not None
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(prepare)
    return "\n".join(row[0] for row in await connection.fetch(explain))
