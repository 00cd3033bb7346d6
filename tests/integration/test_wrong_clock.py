"""A worker whose machine's clock is a month ahead erases nothing: it does not start, or is no longer ready."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from deploy.devstack.ports import choose
from shared.core.ids import random_id
from tests.integration.conftest import NewBroker, NewDatabase
from tests.integration.test_database_identity import ENDS_WITHIN, ended, missing, worker

A_MONTH_AHEAD_ONCE_THERE_IS = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from deploy import worker
from shared.shell import worker as shell
from shared.shell.ports.clock import SystemClock

def now(self):
    return datetime.now(UTC) + timedelta(days=30 if Path({sign!r}).exists() else 0)

SystemClock.now = now
shell.HOUSEKEEPING_SECONDS = 1.0
sys.exit(worker.main(sys.argv[1:]))
"""


def shifted(sign: Path) -> Sequence[str]:
    """A worker whose machine's clock is wrong as soon as that file is there."""
    return "-c", A_MONTH_AHEAD_ONCE_THERE_IS.format(sign=str(sign))


async def test_it_does_not_start(new_database: NewDatabase, new_broker: NewBroker, tmp_path: Path) -> None:
    servers, url = await new_broker(), await new_database("checkout")
    await see_a_message(url)
    sign = tmp_path / "ahead"
    sign.touch()

    async with worker(servers, url, program=shifted(sign)) as checkout:
        code, said = await ended(checkout)

    assert (code, "is 30 days ahead of the clock of the database's server" in said) == (4, True), said
    assert await seen(url) == 1


async def test_it_is_not_ready_while_it_is_wrong(
    new_database: NewDatabase, new_broker: NewBroker, tmp_path: Path
) -> None:
    servers, url = await new_broker(), await new_database("checkout")
    sign, port = tmp_path / "ahead", choose(["http"])["http"]

    async with worker(servers, url, {"ORDERBUS_CHECKOUT__HTTP_PORT": str(port)}, shifted(sign)):
        await until_missing(port, [])
        await see_a_message(url)
        sign.touch()
        await until_missing(port, ["clock"])
        await asyncio.sleep(3)  # several rounds of housekeeping
        assert await seen(url) == 1
        sign.unlink()
        await until_missing(port, [])


async def until_missing(port: int, what: list[str]) -> None:
    async with asyncio.timeout(ENDS_WITHIN):
        while await missing(port) != what:
            await asyncio.sleep(0.2)


async def see_a_message(url: str) -> None:
    connection = await asyncpg.connect(url)
    id = random_id(int(datetime.now(UTC).timestamp() * 1000), 7)
    await connection.execute("insert into inbox (message_id, seen_at, content) values ($1, now(), 1)", id)
    await connection.close()


async def seen(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("select count(*) from inbox"))
    finally:
        await connection.close()
