"""What the services' Alembic migrations share: the shell's tables, and running a service's migrations."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from shared.shell.postgres.connections import translated
from shared.shell.postgres.refusals import reached, refusals_named
from shared.shell.postgres.revision import versions
from shared.shell.postgres.schema import DROP_V1, PASSING, PASSING_BYTES, STATE_BYTES, TABLES_V1


def shell_tables(op: Any) -> None:
    """Create the shell's tables, as of version 1. Called by the first migration of every service."""
    for statement in TABLES_V1:
        op.execute(statement)


def drop_shell_tables(op: Any) -> None:
    for statement in DROP_V1:
        op.execute(statement)


def keep_rows_plain(op: Any, *tables: str) -> None:
    """Compress only large rows of these tables of states, and of the shell's queues (PostgreSQL, "TOAST").

    By itself PostgreSQL compresses what makes a row larger than 2 kB, whenever the row is written. For a state, which
    is written with every message, that takes as long as all the rest of the write."""
    for name in PASSING:
        op.execute(f"alter table {name} set (toast_tuple_target = {PASSING_BYTES})")
    for name in tables:
        op.execute(f"alter table {name} set (toast_tuple_target = {STATE_BYTES})")


def drop_plain_rows(op: Any, *tables: str) -> None:
    for name in (*PASSING, *tables):
        op.execute(f"alter table {name} reset (toast_tuple_target)")


def add_erasures(op: Any) -> None:
    """What was erased of customers (`erasure.py`)."""
    op.execute("""create table erasures (
        key text not null, id uuid not null, at timestamptz not null, done boolean not null default false,
        primary key (key, id)
    )""")
    op.execute("create index erasures_at on erasures (at)")
    op.execute("create index erasures_new on erasures (key) where not done")


def drop_erasures(op: Any) -> None:
    op.execute("drop table erasures")


def migrate(service: str, database_url: str, revision: str = "head") -> None:
    """Bring a service's database up to a revision. Two at once are safe: the second waits, then finds nothing to do.
    One that a newer build has brought further stays as it is. Raises WrongGeneration,
    WrongDatabase, DatabaseRefused, StoreUnavailable."""
    config = Config()
    config.set_main_option("script_location", _option(Path(__file__).parent / "alembic"))
    config.set_main_option("version_locations", _option(versions(service)))
    config.set_main_option("path_separator", "newline")
    config.attributes["database_url"], config.attributes["service"] = database_url, service
    try:
        with refusals_named(service, database_url):
            asyncio.run(reached(service, database_url))
            command.upgrade(config, revision)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, sa.exc.DBAPIError, OSError, TimeoutError) as error:
        raise translated(error) from error


def _option(path: Path) -> str:
    """As a value of an INI file, where % begins a reference."""
    return str(path).replace("%", "%%")
