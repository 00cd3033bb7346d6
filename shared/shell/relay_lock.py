"""The relay's lock on PostgreSQL: a session-level advisory lock on a connection of its own, which also listens for
the other workers' "I wrote to the outbox"."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from shared.shell.store import StoreUnavailable

_KEY = 0x6F627573  # "obus"
KEEP_ALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""For the server: a machine that is gone must not keep the lock for the two hours that TCP takes to notice."""
_TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class PostgresRelayLock:
    def __init__(self, url: str, name: str, held: Callable[[bool], None] = lambda held: None) -> None:
        """`held` is told when the lock was won, and when it may be lost."""
        self.url = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self.name = name
        self._tell = held
        self._connection: asyncpg.Connection | None = None

    async def acquire(self, wake: Callable[[], None]) -> None:
        try:
            settings = KEEP_ALIVE | {"application_name": f"{self.name}-relay"}
            self._connection = await asyncpg.connect(self.url, timeout=10, server_settings=settings)
            await self._connection.add_listener("outbox", lambda *_: wake())
            self._connection.add_termination_listener(lambda _: wake())
            while not await self._connection.fetchval("select pg_try_advisory_lock($1)", _KEY):
                await asyncio.sleep(0.5)
            self._tell(True)
        except _TROUBLE as error:
            raise StoreUnavailable(type(error).__name__) from error

    def held(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def close(self) -> None:
        self._tell(False)
        if self._connection is not None:
            with suppress(*_TROUBLE):
                await self._connection.close(timeout=2)
            self._connection = None
