"""One relay per service: the next takes over when the connection of the first is gone, in whatever way."""

from __future__ import annotations

import asyncio

import asyncpg

from shared.shell.relay_lock import PostgresRelayLock
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
