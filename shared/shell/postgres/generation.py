"""The generation of a database: builds of one generation read each other's rows, those of another do not.

Until 1.0 a release may raise GENERATION instead of converting data. Every database says which one it is of; whatever
would use one of another generation says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import ReportedError
from shared.shell.postgres.connections import translated
from shared.shell.postgres.schema import GENERATION

_THERE = sa.text(
    "select to_regclass('inbox') is not null, "
    "to_regclass('generation') is not null and to_regclass('database_identity') is not null"
)
_NUMBER = sa.text("select number from generation")


class WrongGeneration(ReportedError):
    """A database that this build must not touch."""

    exit_code = 2

    def __init__(self, number: int) -> None:
        super().__init__(
            f"This database is of generation {number}, this build reads generation {GENERATION}. Before 1.0, data is "
            "not converted from one generation to the next: go on with the build that made the database, or give this "
            "build a new one (in the embedded stack: `orderbus up --fresh`)."
        )


class NoTables(ReportedError):
    """It was never migrated."""

    exit_code = 5

    def __init__(self) -> None:
        super().__init__("This database has no tables yet: run `orderbus migrate`.")


def has_tables(connection: sa.Connection) -> bool:
    made: bool = connection.execute(_THERE).one()[0]
    return made


def check_generation(connection: sa.Connection, *, may_be_empty: bool = False) -> None:
    """Raises WrongGeneration, or NoTables unless it may be empty."""
    made, numbered = connection.execute(_THERE).one()
    if not made:
        if not may_be_empty:
            raise NoTables
        return
    number = int(connection.execute(_NUMBER).scalar_one()) if numbered else 0
    if number != GENERATION:
        raise WrongGeneration(number)


async def inspected(engine: AsyncEngine, *checks: Callable[[sa.Connection], None]) -> None:
    """Raises what the checks raise; StoreUnavailable where waiting may help."""
    try:
        async with engine.connect() as connection:
            for check in checks:
                await connection.run_sync(check)
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise translated(error) from error
