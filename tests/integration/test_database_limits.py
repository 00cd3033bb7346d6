"""What a worker needs of its database is compared before it starts: the revision of the schema, and connections."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from deploy.cli import probes
from deploy.cli.errors import Failure
from shared.settings import ServiceSettings, name_of
from shared.shell.postgres import revision
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.limits import TooManyConnections
from shared.shell.postgres.migration import migrate
from shared.shell.postgres.refusals import checked, fits
from shared.shell.postgres.revision import OldSchema
from tests.integration.conftest import NewDatabase
from tests.integration.test_database_urls import settings_with

SETTING = name_of(("checkout", "database_url"))


class TestTheSchema:
    async def test_one_that_an_older_build_has_migrated_is_refused(
        self, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = await new_database()
        await asyncio.to_thread(migrate, "checkout", url)
        versions = tmp_path / "checkout" / "migrations" / "versions"
        shutil.copytree(revision.versions("checkout"), versions)
        newest = revision.newest_revision("checkout")
        (versions / "9000_later.py").write_text(
            f'"""Later."""\nrevision, down_revision = "9000", "{newest}"\n\n\ndef upgrade() -> None:\n    pass\n'
        )
        monkeypatch.setattr(revision, "SERVICES", tmp_path)
        engine = create_engine(url, "test")
        says = rf"The schema is at {newest}, this build needs 9000: run `orderbus migrate` of this build"
        for writes in (True, False):
            with pytest.raises(OldSchema, match=f"^{SETTING}: {says}") as error:
                await checked("checkout", url, engine, writes=writes)
            assert error.value.exit_code == 5
        with pytest.raises(OldSchema, match=says):
            await probes.database(settings_with(monkeypatch, url), "checkout")
        await asyncio.to_thread(migrate, "checkout", url)
        await checked("checkout", url, engine)

        monkeypatch.undo()  # a roll-back: the older build knows nothing of 9000
        await checked("checkout", url, engine)
        assert "which a newer build has made" in await probes.database(settings_with(monkeypatch, url), "checkout")
        await engine.dispose()

    async def test_two_that_migrate_at_once_wait_for_each_other(self, new_database: NewDatabase) -> None:
        url = await new_database()
        await asyncio.gather(*(asyncio.to_thread(program, "migrate", "checkout", **{SETTING: url}) for _ in range(3)))
        engine = create_engine(url, "test")
        await checked("checkout", url, engine)
        await engine.dispose()


def program(*arguments: str, **settings: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERBUS_")}
    environment |= {"ORDERBUS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"} | settings
    command = [sys.executable, "-m", "deploy.cli.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Limited:
    """A database of a role of its own."""

    url: str
    role: str
    database: str
    admin: asyncpg.Connection

    def settings(self, pool: int = 4) -> ServiceSettings:
        return ServiceSettings(database_url=SecretStr(self.url), pool=pool, read_pool=2)


@pytest_asyncio.fixture
async def limited(new_database: NewDatabase) -> AsyncIterator[Limited]:
    url = await new_database()
    database = url.rsplit("/", 1)[1]
    role = f"role_{database}"
    admin = await asyncpg.connect(url)
    await admin.execute(f"create role {role} login password 'x'; alter database {database} owner to {role}")
    yield Limited(f"postgresql://{role}:x@{url.partition('@')[2]}", role, database, admin)
    await admin.execute(f"alter database {database} owner to current_user; drop owned by {role}; drop role {role}")
    await admin.close()


async def said(limited: Limited, worker: str = "", pool: int = 4) -> str:
    own = limited.settings(pool)
    engine = create_engine(limited.url, "test")
    try:
        return await fits("checkout", own, engine, worker)
    finally:
        await engine.dispose()


class TestConnections:
    async def test_a_worker_that_does_not_fit_is_refused(self, limited: Limited) -> None:
        await limited.admin.execute(f"alter role {limited.role} connection limit 6")
        with pytest.raises(TooManyConnections) as error:
            await said(limited, "checkout-0")
        assert str(error.value) == (
            f"{SETTING}: a worker opens up to 7 connections (each POOL 4 + READ_POOL 2 + 1), but role {limited.role} "
            f"allows 6. Raise that (`alter role {limited.role} connection limit …`), or lower POOL."
        )
        assert error.value.exit_code == 4
        assert await said(limited, "checkout-0", pool=3) == ""

    async def test_the_server_keeps_some_for_others(self, limited: Limited) -> None:
        server = int(await limited.admin.fetchval("show max_connections"))
        reserved = int(await limited.admin.fetchval("show superuser_reserved_connections"))
        assert reserved
        own = limited.settings()
        engine = create_engine(limited.url, "test")
        for pool, refused in ((server - reserved - 2, True), (server - reserved - 3, False)):
            wide = own.model_copy(update={"pool": pool})
            if refused:
                with pytest.raises(TooManyConnections, match=f"the server allows {server - reserved}"):
                    await fits("checkout", wide, engine, "checkout-0")
            else:
                await fits("checkout", wide, engine, "checkout-0")
        await engine.dispose()

    async def test_the_workers_that_are_there_are_counted(self, limited: Limited) -> None:
        await limited.admin.execute(f"alter database {limited.database} connection limit 20")
        assert await said(limited, "checkout-0") == ""
        names = ("checkout-0", "checkout-0 reads", "checkout-1-relay", "payments-7", "checkout-report")
        sessions = [await asyncpg.connect(limited.url, server_settings={"application_name": name}) for name in names]
        assert await said(limited) == ""
        assert await said(limited, "checkout-1") == ""
        assert (await said(limited, "checkout-2")).startswith(
            "3 workers open up to 21 connections (each POOL 4 + READ_POOL 2 + 1), but database "
            f"{limited.database} allows 20. Raise that"
        )
        for session in sessions:
            await session.close()

    async def test_doctor_says_it(self, limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
        await asyncio.to_thread(migrate, "checkout", limited.url)
        await limited.admin.execute(f"alter role {limited.role} connection limit 20")
        names = ("checkout-0", "checkout-1")
        sessions = [await asyncpg.connect(limited.url, server_settings={"application_name": name}) for name in names]
        with pytest.raises(Failure, match=r"PostgreSQL 18\S*, but 2 workers open up to 22 connections"):
            await probes.database(settings_with(monkeypatch, limited.url), "checkout")
        for session in sessions:
            await session.close()
