"""How a service reaches its PostgreSQL database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

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


def async_url(url: str) -> str:
    """`postgresql://…` for SQLAlchemy's asyncpg driver."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)


READ_SETTINGS = {"statement_timeout": "5s", "lock_timeout": "2s"}
"""Of what is read over HTTP. A reader that asks too much gets an answer soon, and takes no time from messages."""


def create_engine(url: str, name: str, pool: int = 8) -> AsyncEngine:
    """A pool of connections; `name` shows in pg_stat_activity."""
    return _engine(url, {"application_name": name}, pool, pool_timeout=30)


def create_read_engine(url: str, name: str, pool: int = 2) -> AsyncEngine:
    """A small pool of its own for what is read over HTTP, with a time limit for statements and for a connection."""
    return _engine(url, READ_SETTINGS | {"application_name": name}, pool, pool_timeout=5)


def _engine(url: str, settings: Mapping[str, str], pool: int, pool_timeout: float) -> AsyncEngine:
    return create_async_engine(
        async_url(url),
        pool_size=pool,
        max_overflow=0,  # a connection more would be opened, learn PostgreSQL's types and be closed, again and again
        pool_timeout=pool_timeout,
        pool_recycle=1800,
        connect_args={"server_settings": {**CONNECTION_SETTINGS, **settings}, "timeout": 10},
    )
