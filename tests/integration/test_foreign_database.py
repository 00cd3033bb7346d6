"""One's own role in the database of another service: that is what is said, and no advice opens that database up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio

from deploy.cli import probes
from deploy.settings import load_system_settings
from shared.settings import Settings
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.identity import WrongDatabase
from shared.shell.postgres.migration import migrate
from shared.shell.postgres.refusals import DatabaseRefused, checked
from shared.shell.postgres.rights import MissingRights
from tests.integration.conftest import NewDatabase
from tests.integration.test_database_identity import belongs_to, ended, worker

HARMFUL = ("make it the owner", "alter database", "grant orderbus", "grant payments", "run `orderbus migrate`")
REFUSED = (DatabaseRefused, MissingRights, WrongDatabase)


@dataclass
class Foreign:
    """A database of payments, as it looks to checkout's role."""

    name: str
    role: str
    url: str
    admin: asyncpg.Connection


@pytest_asyncio.fixture(params=["no connection", "no schema", "no table", "identity", "all tables"])
async def foreign(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Foreign]:
    """By what its role may do there."""
    url = await new_database()
    await asyncio.to_thread(migrate, "payments", url)
    name, admin = url.rsplit("/", 1)[1], await asyncpg.connect(url)
    role = f"checkout_{name}"
    await admin.execute(f"create role {role} login password 'x'")
    rights = {
        "no connection": f"revoke all on database {name} from public",
        "no schema": "revoke all on schema public from public",
        "no table": "select 1",
        "identity": f"grant select on database_identity to {role}",
        "all tables": f"grant all on all tables in schema public to {role}",
    }
    await admin.execute(rights[request.param])
    yield Foreign(name, role, f"postgresql://{role}:x@{url.partition('@')[2]}", admin)
    await admin.execute(f"drop owned by {role}; drop role {role}")
    await admin.close()


def is_helpful(said: str, request: pytest.FixtureRequest) -> bool:
    known = request.node.callspec.params["foreign"] in ("identity", "all tables")
    words = ("this database belongs to payments",) if known else ("another service", "Name the database of checkout")
    assert all(word in said for word in ("ORDERBUS_CHECKOUT__DATABASE_URL", *words)), said
    assert not [advice for advice in HARMFUL if advice in said], said
    return True


async def test_a_worker_says_so_and_ends(foreign: Foreign, request: pytest.FixtureRequest) -> None:
    async with worker("127.0.0.1:9", foreign.url) as checkout:
        code, said = await ended(checkout)

    assert (code, "Traceback" in said) == (4, False), said
    assert is_helpful(said, request)


async def test_migrate_says_so_and_changes_nothing(foreign: Foreign, request: pytest.FixtureRequest) -> None:
    with pytest.raises(REFUSED) as refused:
        await asyncio.to_thread(migrate, "checkout", foreign.url)

    assert is_helpful(str(refused.value), request)
    assert await foreign.admin.fetchval("select to_regclass('orders')") is None


async def test_check_and_doctor_say_so(
    foreign: Foreign, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(foreign.url, "test")
    with pytest.raises(REFUSED) as refused:
        await checked("checkout", foreign.url, engine, writes=False)
    await engine.dispose()
    assert is_helpful(str(refused.value), request)

    with pytest.raises(REFUSED) as found:
        await probes.database(settings_with(monkeypatch, foreign.url), "checkout")
    assert is_helpful(str(found.value), request)


async def test_a_role_that_only_reads_is_not_made_the_owner(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "checkout", url)
    admin, role = await asyncpg.connect(url), f"reader_{url.rsplit('/', 1)[1]}"
    await admin.execute(f"create role {role} login password 'x'; grant select on all tables in schema public to {role}")
    try:
        async with worker("127.0.0.1:9", f"postgresql://{role}:x@{url.partition('@')[2]}") as checkout:
            code, said = await ended(checkout)
    finally:
        await admin.execute(f"drop owned by {role}; drop role {role}")
        await admin.close()
    assert (code, f"{role} is not the owner of the tables" in said) == (4, True), said
    assert "Connect as orderbus" in said
    assert "grant " not in said


async def test_that_kafka_is_away_is_no_fault_of_the_database(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "checkout", url)
    await belongs_to(url, "a-cluster")

    said = await probes.database(settings_with(monkeypatch, url), "checkout")

    assert "schema at" in said and "whether it belongs to this Kafka cluster is not known" in said


async def test_an_old_server_is_refused(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await new_database()
    engine = create_engine(url, "test")
    monkeypatch.setattr("shared.shell.postgres.refusals.OLDEST", 99)
    says = r"^ORDERBUS_CHECKOUT__DATABASE_URL: the server of .* is PostgreSQL 18\.\d+; orderbus needs 99 or newer"
    with pytest.raises(DatabaseRefused, match=says) as refused:
        await asyncio.to_thread(migrate, "checkout", url)
    assert refused.value.exit_code == 4
    for writes in (True, False):
        with pytest.raises(DatabaseRefused, match=says):
            await checked("checkout", url, engine, writes=writes)
    await engine.dispose()


def settings_with(monkeypatch: pytest.MonkeyPatch, url: str) -> Settings:
    monkeypatch.setenv("ORDERBUS_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("ORDERBUS_API_TOKEN", "a-token-for-this-test")
    monkeypatch.setenv("ORDERBUS_CHECKOUT__DATABASE_URL", url)
    return load_system_settings(["checkout"])
