"""A database of another generation is refused by all that would use it, with a sentence that says what to do; one that
a newer build of this generation has migrated is left as it is."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.generation import NoTables, WrongGeneration, check_generation, inspected
from shared.shell.postgres.migration import migrate
from shared.shell.postgres.schema import GENERATION
from tests.integration.conftest import NewDatabase

OTHERS = {
    "of none, as before there were generations": "drop table generation",
    "of an older one": "update generation set number = number - 1",
    "of a newer one": "update generation set number = number + 1",
}


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def checked(url: str) -> None:
    engine = create_engine(url, "test")
    try:
        await inspected(engine, check_generation)
    finally:
        await engine.dispose()


async def test_a_new_database_is_of_this_generation(new_database: NewDatabase) -> None:
    url = await new_database()
    with pytest.raises(NoTables, match="run `orderbus migrate`"):
        await checked(url)
    await asyncio.to_thread(migrate, "checkout", url)
    await checked(url)


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
async def test_one_of_another_generation_is_refused(new_database: NewDatabase, change: str) -> None:
    url = await new_database("payments")
    await execute(url, change)

    says = rf"generation \d+, this build reads generation {GENERATION}.* new one"
    with pytest.raises(WrongGeneration, match=says):
        await checked(url)
    with pytest.raises(WrongGeneration, match=says):
        await asyncio.to_thread(migrate, "payments", url)


async def test_one_that_a_newer_build_has_migrated_is_left_alone(new_database: NewDatabase) -> None:
    """After a roll-back the older build's `orderbus migrate` finds nothing to do."""
    url = await new_database("fulfillment")
    await execute(url, "alter table deliveries add column gift text", "update alembic_version set version_num = '9999'")

    await asyncio.to_thread(migrate, "fulfillment", url)
    await checked(url)
