"""Orders where every service has a plain role and a database of its own, made as `docs/operations.md` shows, behind
PgBouncer where that is installed; `orderbus check` and `doctor` by a role that only reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio

from deploy.demo.rest import unsettled
from deploy.devstack.stack import Stack
from services.registry import SERVICES
from tests.e2e.conftest import opened
from tests.e2e.conversation import World, eventually
from tests.pgbouncer import PROGRAM, pgbouncer
from tests.runbook import CommandFailed, follow, procedure

HEADING = "Databases and roles"
CHECK = "orderbus_check"
PASSWORD = "of-the-test"


class BareStack(Stack):
    """Its PostgreSQL has no database of a service: an operator makes them."""

    def _lay_out(self) -> None:
        super()._lay_out()
        self.postgres.databases = ()


@dataclass
class Operated:
    stack: Stack
    world: World
    port: int
    admin: str
    """The administrator's URL, without the database's name."""

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def reader(self) -> dict[str, str]:
        """The settings of commands that read databases."""
        urls = {f"ORDERBUS_{name.upper()}__DATABASE_URL": self.url(CHECK, name) for name in SERVICES}
        return self.stack.environment() | urls


@pytest_asyncio.fixture(scope="module")
async def operated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    folder = tmp_path_factory.mktemp("roles")
    async with AsyncExitStack() as cleanup:
        stack = await cleanup.enter_async_context(BareStack(folder / "data"))
        admin = stack.postgres.url("postgres").removesuffix("/postgres")
        await make_databases_and_roles(admin)
        port = stack.ports["postgres"]
        if PROGRAM:
            urls = [f"postgresql://{role}:{PASSWORD}@127.0.0.1:{port}/x" for role in (*SERVICES, CHECK)]
            port = await cleanup.enter_async_context(pgbouncer(urls, folder, "session", stack.children))
        patch = cleanup.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(stack.postgres, "url", lambda name: f"postgresql://{name}:{PASSWORD}@127.0.0.1:{port}/{name}")
        world = await cleanup.enter_async_context(opened(stack))
        yield Operated(stack, world, port, admin)


async def make_databases_and_roles(admin: str) -> None:
    """By the document."""
    given = {"ADMIN_URL": admin, "PASSWORD": PASSWORD, "CHECK_PASSWORD": PASSWORD}
    of_a_service, once, of_a_database = (procedure(HEADING, number=number) for number in (1, 2, 3))
    for line in once:
        await follow(line, given)
    for service in SERVICES:
        for line in (*of_a_service, *of_a_database):
            await follow(line, given | {"SERVICE": service})


async def test_orders_are_completed_also_after_a_worker_was_killed(operated: Operated) -> None:
    world = operated.world
    order = await world.customer("Ada Lovelace").buys("atlas", "navigation")
    await order.becomes("completed")
    world.services.worker("checkout").kill()
    order = await world.customer("Ada Lovelace").buys("tides")
    await order.becomes("completed")
    await world.services.until_ready()


async def test_no_role_may_do_more_than_it_needs(operated: Operated) -> None:
    admin = await asyncpg.connect(f"{operated.admin}/postgres")
    for name in (*SERVICES, CHECK):
        role = await admin.fetchrow("select * from pg_roles where rolname = $1", name)
        assert role and not any(role[right] for right in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication"))
    await admin.close()
    with pytest.raises(asyncpg.PostgresError, match="permission denied for database"):
        await asyncpg.connect(operated.url("checkout", "payments"))
    reader = await asyncpg.connect(operated.url(CHECK, "checkout"))
    for statement in ("delete from outbox", "create table mine (id integer)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    await reader.close()


async def test_check_and_doctor_only_read(operated: Operated) -> None:
    await eventually(lambda: unsettled(operated.world.settings), lambda waiting: not waiting, "nothing in progress")
    assert "all invariants hold" in await follow("orderbus check --full", operated.reader())
    assert "schema at" in await follow("orderbus doctor", operated.reader())
    with pytest.raises(CommandFailed, match=f"{CHECK} is not the owner of the tables"):
        await follow("orderbus run checkout --worker 9 --port 0", operated.reader())
