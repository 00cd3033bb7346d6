"""`orderbus migrate --wait` ends when the schema is that of its build or a newer one."""

from __future__ import annotations

import asyncio
import os
import sys

from shared.shell.postgres.migration import migrate
from tests.integration.conftest import NewDatabase


async def _waited(url: str, seconds: int) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERBUS_")}
    settings = {"ORDERBUS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9", "ORDERBUS_CHECKOUT__DATABASE_URL": url}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli.main", "migrate", "checkout", "--wait", str(seconds)),
        env=environment | settings,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_pods_wait_until_the_job_has_migrated(new_database: NewDatabase) -> None:
    url = await new_database()
    waiting = await _waited(url, 120)
    assert waiting.stderr is not None
    assert b"no tables yet" in await waiting.stderr.readline()
    await asyncio.to_thread(migrate, "checkout", url)
    assert await waiting.wait() == 0


async def test_they_do_not_wait_for_ever(new_database: NewDatabase) -> None:
    waiting = await _waited(await new_database(), 1)
    _, said = await waiting.communicate()
    assert waiting.returncode == 1
    assert said.decode().splitlines()[-1].startswith("The database of checkout is not migrated after 1 s.")
