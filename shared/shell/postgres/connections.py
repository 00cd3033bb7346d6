"""Connections of SQLAlchemy's pool, used through its driver, asyncpg: SQLAlchemy's own way there costs more than twice
the CPU time, which counts when batches are small. And what its errors mean for the shell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.shell.ports.store import BatchRefused, StoreUnavailable, ValueTaken
from shared.shell.postgres.statements import Sql

# SQLSTATE classes (PostgreSQL, appendix A) that say "try the same again": connection, role or database away (there
# were both at the start), serialization and deadlock, resources (disk full, memory), operator intervention (shutdown,
# cancel), system error, lock and idle time-outs.
_TRY_AGAIN = ("08", "25P0", "28", "3D", "40", "53", "55P03", "57", "58")
# … and those that say "this data will never do": data, integrity, encoding of values.
_UNIQUE_VIOLATION = "23505"
_REFUSED = ("22", "23", "21", "54")


def translated(error: Exception) -> Exception:
    """What a driver's error means for the shell; SQLAlchemy wraps it, the statements of a batch give it as it is."""
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")
    if state.startswith(_TRY_AGAIN):
        return StoreUnavailable(f"{state} {type(cause).__name__}")
    driver = cause if isinstance(cause, asyncpg.PostgresError) else cause.__cause__
    if state.startswith(_REFUSED):
        constraint = getattr(driver, "constraint_name", None)
        refused = ValueTaken if state == _UNIQUE_VIOLATION else BatchRefused
        return refused(f"the database refused the data: {state} {constraint or ''}".strip())
    if isinstance(cause, asyncpg.DataError):
        return BatchRefused(f"the driver refused the data: {type(cause).__name__}")
    if isinstance(error, _OUT_OF_REACH) or getattr(error, "connection_invalidated", False):
        return StoreUnavailable(type(cause).__name__)
    if isinstance(error, sa.exc.DBAPIError) and not state:
        return BatchRefused(f"the driver refused the data: {type(cause).__name__}")
    return error


KEPT_SECONDS = 300.0
CLOSE_SECONDS = 2.0
_OUT_OF_STEP = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""The driver no longer knows the state of the connection."""
_OUT_OF_REACH = (sa.exc.InterfaceError, sa.exc.OperationalError, sa.exc.TimeoutError, *_OUT_OF_STEP)


def _ends(error: Exception) -> bool:
    """Whether an error says that its connection is of no more use: the server ends some sessions a moment after it has
    said why, and the driver takes statements until then."""
    out_of_step = isinstance(error, _OUT_OF_STEP) and not isinstance(error, ValueError)  # a value it cannot encode
    return out_of_step or str(getattr(error, "sqlstate", None)).startswith(("08", "57P"))


@dataclass
class Held:
    """A connection that was taken out of the pool."""

    connection: AsyncConnection
    driver: asyncpg.Connection
    since: float = field(default_factory=time.monotonic)
    in_use: bool = False
    """It is in use, or its user was cancelled or met an error."""

    async def release(self) -> None:
        """To the pool, or out of it if it is broken. Goes on where the caller is cancelled."""
        await asyncio.shield(asyncio.create_task(self._release()))

    async def _release(self) -> None:
        try:
            if self.broken():
                await self._end()
                await self.connection.invalidate()
        finally:
            await self.connection.close()

    async def _end(self) -> None:
        """Make the server stop whatever it is doing."""
        try:
            await self.driver.close(timeout=CLOSE_SECONDS)
        except Exception:
            self.driver.terminate()

    def broken(self) -> bool:
        """A user that is cancelled in the middle of a statement, and again during that, leaves the statement or the
        transaction as it is. The pool would pass the connection on like that, and every statement on it would fail.
        """
        return self.in_use or self.driver.is_closed() or self.driver.is_in_transaction()

    def lasts(self) -> bool:
        """The pool renews its connections from time to time, idle ones too."""
        return time.monotonic() - self.since < KEPT_SECONDS and not self.broken()


class Connections:
    """One database. Up to `keep` connections are kept between statements: fetching one from SQLAlchemy's pool and
    bringing it back takes about as long as a small statement. Then `close` must follow."""

    def __init__(self, engine: AsyncEngine, keep: int = 0) -> None:
        self.engine = engine
        self._keep = keep
        self._kept: list[Held] = []

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool, as its driver sees it."""
        try:
            held = await self._taken()
            held.in_use = True
            try:
                yield held.driver
                held.in_use = False
            except Exception as error:
                held.in_use = _ends(error)
                raise
            finally:
                if len(self._kept) < self._keep and held.lasts():
                    self._kept.append(held)
                else:
                    await held.release()
        except (asyncpg.PostgresError, sa.exc.SQLAlchemyError, *_OUT_OF_STEP) as error:
            raise translated(error) from error

    async def _taken(self) -> Held:
        while self._kept:
            held = self._kept.pop()
            if held.lasts():
                return held
            await held.release()
        connection = await self.engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        return Held(connection, driver)

    async def close(self) -> None:
        """Release what is kept. Nothing is kept afterwards."""
        self._keep = 0
        while self._kept:
            await self._kept.pop().release()

    async def fetch(self, statement: Sql, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows of one statement as a transaction of its own."""
        async with self.driver() as driver:
            return await fetch(driver, statement, values)

    async def execute(self, statement: Sql, values: Mapping[str, Any]) -> int:
        """… and how many rows it changed."""
        async with self.driver() as driver:
            return await execute(driver, statement, values)


async def fetch(driver: asyncpg.Connection, statement: Sql, values: Mapping[str, Any]) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await driver.fetch(statement.text, *statement.arguments(values))
    return rows


async def execute(driver: asyncpg.Connection, statement: Sql, values: Mapping[str, Any]) -> int:
    """How many rows were changed: the last word of the command tag (PostgreSQL, "CommandComplete")."""
    tag: str = await driver.execute(statement.text, *statement.arguments(values))
    number = tag.rpartition(" ")[2]
    return int(number) if number.isdigit() else 0
