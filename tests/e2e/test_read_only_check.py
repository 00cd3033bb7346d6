"""`orderbus check` needs no more than the role that the operations page tells how to make."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

from deploy.devstack.stack import Stack
from services.registry import SERVICES
from tests.e2e.conversation import World
from tests.e2e.test_command_line import CommandLine

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SECRETS = ("LINK_SECRET", "FEED_SECRET", "SMTP__")


async def test_a_role_that_only_reads_is_enough(world: World, stack: Stack) -> None:
    [made] = re.findall(r"```sql\n(create role orderbus_check.*?)```", PAGE.read_text(), re.DOTALL)
    session = await asyncpg.connect(stack.postgres.url("checkout"))
    try:
        await session.execute(made)
    finally:
        await session.close()
    urls = {
        f"ORDERBUS_{name.upper()}__DATABASE_URL": re.sub(
            r"//[^@/]*@", "//orderbus_check:choose-one@", stack.postgres.url(name)
        )
        for name in SERVICES
    }
    reader = await asyncpg.connect(urls["ORDERBUS_PAYMENTS__DATABASE_URL"])
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reader.execute("delete from outbox")
    await reader.close()
    environment = {name: value for name, value in stack.environment().items() if not any(s in name for s in SECRETS)}

    said = await CommandLine(environment | urls)("check", "--full", "--json")

    assert said.code in (0, 2), said.err
    assert said.json["ok"]
