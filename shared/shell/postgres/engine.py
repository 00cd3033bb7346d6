"""How orderbus reaches a PostgreSQL database. Every connection is made by `connect`: those of pools, the relay's, and
those of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.postgres_url import PostgresUrl
from shared.shell.postgres.arrays import ask_builtin_classes

CONNECTION_SETTINGS = {
    "application_name": "orderbus",
    # A frozen worker must not hold row locks forever, nor a lost one its transaction.
    "idle_in_transaction_session_timeout": "15s",
    "lock_timeout": "20s",
    "statement_timeout": "60s",
    "jit": "off",
    # Rows are looked up by key. That a queue was empty when a plan was made is no reason to walk through it later.
    "enable_seqscan": "off",
}
READ_SETTINGS = {"statement_timeout": "5s", "lock_timeout": "2s"}
"""Of what is read over HTTP. A reader that asks too much gets an answer soon, and takes no time from messages."""
CONNECT_SECONDS = 10.0
_NAME = "application_name"
"""The only setting that poolers take as a start-up parameter; the others are set once the connection is there."""


async def connect(
    url: str, settings: Mapping[str, str] | None = None, timeout: float = CONNECT_SECONDS
) -> asyncpg.Connection:
    """A new connection. The URL's parameters are those of `shared/postgres_url.py`; without `sslmode`, TLS is used
    where the server offers it, whatever PGSSLMODE says. Raises ValueError for a URL that cannot be read, and what the
    driver raises."""
    parsed = PostgresUrl.parse(url)
    mode: Literal["prefer"] | None = None if "sslmode" in parsed.parameters else "prefer"
    given = dict(settings or {})
    ask_builtin_classes()
    at_once = {_NAME: given.pop(_NAME)} if _NAME in given else {}
    connection = await asyncpg.connect(parsed.driver_url(), timeout=timeout, server_settings=at_once, ssl=mode)
    try:
        if given:
            await connection.execute("; ".join(f"set {name} to '{value}'" for name, value in given.items()))
    except BaseException:
        connection.terminate()
        raise
    return connection


def create_engine(url: str, name: str, pool: int = 8) -> AsyncEngine:
    """A pool of connections; `name` shows in pg_stat_activity."""
    return _pooled(url, {"application_name": name}, pool, pool_timeout=30)


def create_read_engine(url: str, name: str, pool: int = 2) -> AsyncEngine:
    """A small pool of its own for what is read over HTTP, with a time limit for statements and for a connection. What a
    restart of the database or a pooler left broken is noticed before it is lent: nothing tries a read again."""
    named = READ_SETTINGS | {"application_name": name}
    return _pooled(url, named, pool, pool_timeout=5, pool_pre_ping=True)


def _pooled(url: str, settings: Mapping[str, str], pool: int, **options: Any) -> AsyncEngine:
    return new_engine(
        url,
        {**CONNECTION_SETTINGS, **settings},
        pool_size=pool,
        max_overflow=0,  # a connection more would be opened, learn PostgreSQL's types and be closed, again and again
        **options,
        pool_recycle=1800,
    )


def new_engine(url: str, settings: Mapping[str, str] | None = None, **options: Any) -> AsyncEngine:
    """An engine with SQLAlchemy's own options. Its errors are SQLAlchemy's, and show no parameters of statements."""

    async def connection() -> asyncpg.Connection:
        try:
            return await connect(url, settings)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise sa.exc.OperationalError("connect", None, error, hide_parameters=True) from error

    return create_async_engine("postgresql+asyncpg://", async_creator=connection, hide_parameters=True, **options)
