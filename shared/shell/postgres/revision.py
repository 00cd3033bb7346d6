"""The revision of a database's schema: a build needs its own, or a newer one, which only adds to it."""

from __future__ import annotations

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import ReportedError
from shared.shell.postgres.connections import translated
from shared.shell.postgres.generation import check_generation
from shared.shell.postgres.migration import SERVICES


class SchemaBehind(ReportedError):
    """It was not migrated to this build's schema."""

    exit_code = 5

    def __init__(self, found: str, newest: str) -> None:
        super().__init__(
            f"The database's schema is at {found or 'no revision'}, this build needs {newest}: run `orderbus migrate` "
            "of this build."
        )


def newest_revision(service: str) -> str:
    """By the migrations' file names: `0001_first.py`. Empty for a service that has none."""
    folder = SERVICES / service / "migrations" / "versions"
    return max((path.name.split("_")[0] for path in folder.glob("[0-9]*.py")), default="")


async def revision_checked(engine: AsyncEngine, service: str) -> None:
    """Raises NoTables, WrongGeneration, SchemaBehind, StoreUnavailable."""
    newest = newest_revision(service)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(check_generation)
            found = await _revision(connection) if newest else ""
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise translated(error) from error
    if found < newest:
        raise SchemaBehind(found, newest)


async def _revision(connection: AsyncConnection) -> str:
    there = await connection.scalar(sa.text("select to_regclass('alembic_version') is not null"))
    return str(await connection.scalar(sa.text("select version_num from alembic_version")) or "") if there else ""
