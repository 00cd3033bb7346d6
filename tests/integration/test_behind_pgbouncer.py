"""PgBouncer in front of PostgreSQL: session mode works with its defaults; the other modes are refused by all that would
use them, for there a session is not the server's own."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from deploy.check.databases import databases
from deploy.cli import probes
from deploy.devstack.children import Children
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.engine import CONNECTION_SETTINGS, READ_SETTINGS, create_engine, create_read_engine
from shared.shell.postgres.migration import migrate
from shared.shell.postgres.refusals import DatabaseRefused, checked, reached
from shared.shell.postgres.relay_lock import SETTINGS, PostgresRelayLock
from tests.integration.conftest import NewDatabase
from tests.integration.test_database_urls import settings_with
from tests.pgbouncer import needs_pgbouncer, pgbouncer
from tests.runbook import PROJECT

pytestmark = needs_pgbouncer
OTHER_MODES = ("transaction", "statement")


@asynccontextmanager
async def pooled(url: str, folder: Path, mode: str, pool: int = 20) -> AsyncIterator[str]:
    """The URL of the same database through a PgBouncer."""
    place, _, database = url.rpartition("/")
    async with Children() as children, pgbouncer([url], folder, mode, children, pool=pool) as port:
        yield f"{place.rpartition(':')[0]}:{port}/{database}"


async def shown(session: asyncpg.Connection, names: list[str]) -> dict[str, str]:
    rows = await session.fetch("select name, current_setting(name) as value from unnest($1::text[]) name", names)
    return {row["name"]: row["value"] for row in rows}


async def test_session_mode_does_for_all_that_connects(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the settings that it asks for."""
    direct = await new_database()
    async with pooled(direct, tmp_path, "session") as url:
        await asyncio.to_thread(migrate, "notifications", url)
        settings = settings_with(monkeypatch, url)
        engine, reads, lock = create_engine(url, "pool"), create_read_engine(url, "reads"), PostgresRelayLock(url, "w")
        woken = asyncio.Event()
        try:
            await checked("notifications", url, engine)
            await lock.acquire(woken.set)
            async with engine.connect() as one, reads.connect() as other, databases(settings, ["notifications"]) as its:
                for given, expected in (
                    (one, CONNECTION_SETTINGS | {"application_name": "pool"}),
                    (other, CONNECTION_SETTINGS | READ_SETTINGS | {"application_name": "reads"}),
                ):
                    driver = (await given.get_raw_connection()).driver_connection
                    assert driver is not None
                    found = await shown(driver, list(expected))
                    assert {name: value.replace("1min", "60s") for name, value in found.items()} == expected
                assert lock._connection is not None
                assert await shown(lock._connection, ["tcp_keepalives_idle"]) == {
                    "tcp_keepalives_idle": SETTINGS["tcp_keepalives_idle"]
                }
                await one.exec_driver_sql("notify outbox")
                await one.commit()
                await asyncio.wait_for(woken.wait(), 10)
                assert (await its["notifications"].attention()).attention == []
                assert (await probes.database(settings, "notifications")).startswith("PostgreSQL 18")
        finally:
            await lock.close()
            await engine.dispose()
            await reads.dispose()


@pytest.mark.parametrize("mode", OTHER_MODES)
async def test_the_other_modes_are_refused_with_the_reason(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    direct = await new_database()
    await asyncio.to_thread(migrate, "notifications", direct)
    says = rf"is behind a pooler in {mode} mode, in which the relay's lock does not hold\. Set pool_mode = session"
    async with pooled(direct, tmp_path, mode) as url:
        with pytest.raises(DatabaseRefused, match=says):
            await reached("notifications", url)
        with pytest.raises(DatabaseRefused, match=says):
            await asyncio.to_thread(migrate, "notifications", url)
        with pytest.raises(DatabaseRefused, match=says):
            await probes.database(settings_with(monkeypatch, url), "notifications")
        with pytest.raises(DatabaseRefused, match=says):
            async with databases(settings_with(monkeypatch, url), ["notifications"]):
                pass
        lock = PostgresRelayLock(url, "w")
        with pytest.raises(DatabaseRefused, match=says):
            await lock.acquire(lambda: None)
        await lock.close()


async def test_a_busy_pool_hides_nothing(new_database: NewDatabase, tmp_path: Path) -> None:
    """Server connections that are lent to others meanwhile, and those that were used before."""
    async with pooled(await new_database(), tmp_path, "transaction") as url:
        others = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(4)]

        async def busy(session: asyncpg.Connection) -> None:
            while True:
                async with session.transaction():
                    await session.execute("select pg_sleep(0.002)")

        working = [asyncio.create_task(busy(other)) for other in others]
        for _ in range(5):
            with pytest.raises(DatabaseRefused, match="transaction mode"):
                await reached("notifications", url)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for other in others:
            other.terminate()


async def test_a_pool_that_is_too_small_is_waited_for(new_database: NewDatabase, tmp_path: Path) -> None:
    async with pooled(await new_database(), tmp_path, "session", pool=1) as url:
        with pytest.raises(StoreUnavailable, match="lends no second connection"):
            await reached("notifications", url, timeout=2)


HOLDER = """
import asyncio, sys
from shared.shell.postgres.relay_lock import PostgresRelayLock

async def hold() -> None:
    await PostgresRelayLock(sys.argv[1], "first").acquire(lambda: None)
    print("held", flush=True)
    await asyncio.sleep(600)

asyncio.run(hold())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_the_lock_of_a_worker_that_is_gone_passes_on(
    new_database: NewDatabase, tmp_path: Path, number: signal.Signals
) -> None:
    """The pooler clears the server's session before it lends it to another; it ends with the one that was frozen."""
    async with pooled(await new_database(), tmp_path, "session") as url:
        first = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, url, stdout=asyncio.subprocess.PIPE, cwd=PROJECT
        )
        second = PostgresRelayLock(url, "second", silent=2)
        try:
            assert first.stdout and await first.stdout.readline() == b"held\n"
            waiting = asyncio.create_task(second.acquire(lambda: None))
            await asyncio.sleep(0.7)
            assert not waiting.done()
            first.send_signal(number)
            await asyncio.wait_for(waiting, 60)
            assert second.held()
        finally:
            with suppress(ProcessLookupError):
                first.kill()
            await first.wait()
            await second.close()


async def test_the_lock_passes_on_when_a_connection_breaks(new_database: NewDatabase, tmp_path: Path) -> None:
    async with pooled(await new_database(), tmp_path, "session") as url:
        first, second = PostgresRelayLock(url, "first"), PostgresRelayLock(url, "second")
        await first.acquire(lambda: None)
        waiting = asyncio.create_task(second.acquire(lambda: None))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        assert first._connection is not None
        first._connection.terminate()
        await asyncio.wait_for(waiting, 10)
        assert second.held()
        await first.close()
        await second.close()
