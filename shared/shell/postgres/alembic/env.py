"""Alembic's environment for every service; the versions are in `services/<name>/migrations/versions`."""

import asyncio

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy.pool import NullPool

from shared.shell.postgres.engine import new_engine
from shared.shell.postgres.generation import check_generation, has_tables
from shared.shell.postgres.identity import service_entered
from shared.shell.postgres.rights import check_owner

LOCK = 0x6F726465  # "orde": one migration at a time per database


def run(connection: sa.Connection) -> None:
    connection.execute(sa.text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
    service = context.config.attributes["service"]
    check_owner(connection, service)
    check_generation(connection, may_be_empty=True)
    if has_tables(connection):
        service_entered(connection, service)
    newer = _is_newer(connection)
    connection.commit()
    if not newer:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
            if has_tables(connection):  # not after the downgrade of the first migration
                service_entered(connection, service)
    connection.execute(sa.text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()


def _is_newer(connection: sa.Connection) -> bool:
    """Whether a newer build has migrated it: what that added does not disturb this one."""
    try:
        for revision in MigrationContext.configure(connection).get_current_heads():
            context.script.get_revision(revision)
    except CommandError:
        return True
    return False


async def main() -> None:
    engine = new_engine(context.config.attributes["database_url"], poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(main())
