"""The relay's lock on PostgreSQL: a session-level advisory lock on a connection of its own, which also listens for
the other workers' "I wrote to the outbox".

The outbox is read by the same session, so a worker that has lost the lock cannot read. A holder that is silent (its
process is frozen) has its session ended by a worker that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import structlog

from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach, StoreUnavailable
from shared.shell.postgres import statements
from shared.shell.postgres.engine import CONNECTION_SETTINGS, connect
from shared.shell.postgres.outbox import head_of
from shared.shell.postgres.pooler import SharedSession, own_session
from shared.shell.postgres.refusals import DatabaseRefused, pooled
from shared.shell.postgres.statements import Sql

log = structlog.get_logger(__name__)
SETTINGS = {
    # For the server: a machine that is gone must not keep the lock for the two hours that TCP takes to notice.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    **{name: CONNECTION_SETTINGS[name] for name in ("statement_timeout", "jit", "enable_seqscan")},
}
BEAT_SECONDS = 4.0
"""How often a holder that does not read says that it is there."""
SILENT_SECONDS = 15.0
"""A holder that was silent for so long is frozen, or cut off from the database."""
_ANSWER_SECONDS = 65.0
_TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# A session that is `active` works for its client, unless it waits for the client to take what it has.
_END_SILENT_HOLDER = """
    select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = $1 and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
        and (a.state <> 'active' or a.wait_event = 'ClientWrite')
        and a.state_change < clock_timestamp() - make_interval(secs => $2)
"""


class PostgresRelayLock:
    """See `ports.relay_lock`."""

    def __init__(
        self, url: str, name: str, held: Callable[[bool], None] = lambda held: None, silent: float = SILENT_SECONDS
    ) -> None:
        """`held` is told when the lock was won, and when it may be lost."""
        self.url = url
        self.name = name
        self.silent = silent
        self._tell = held
        self._connection: asyncpg.Connection | None = None
        self._beats: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._used = False

    async def acquire(self, wake: Callable[[], None]) -> None:
        try:
            settings = SETTINGS | {"application_name": f"{self.name}-relay"}
            connection = await connect(self.url, settings)
            self._connection = connection
            await own_session(connection, self.url)
            await connection.add_listener("outbox", lambda *_: wake())
            connection.add_termination_listener(lambda _: wake())
            looks = 0
            while not await connection.fetchval("select pg_try_advisory_lock($1)", statements.RELAY_LOCK):
                await asyncio.sleep(0.5)
                looks += 1
                if looks % 6 == 0 and await connection.fetchval(_END_SILENT_HOLDER, statements.RELAY_LOCK, self.silent):
                    log.warning("ended the session of a silent relay", seconds=self.silent)
            self._tell(True)
            self._beats = asyncio.create_task(self._beat(connection), name=f"{self.name}-relay-beat")
        except SharedSession as mode:
            raise DatabaseRefused(pooled(self.url, str(mode))) from None
        except _TROUBLE as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def _beat(self, connection: asyncpg.Connection) -> None:
        """While the relay waits for Kafka it reads nothing; the other workers must see that it is alive."""
        while True:
            self._used = False
            await asyncio.sleep(BEAT_SECONDS)
            if self._used:
                continue
            try:
                async with self._busy, asyncio.timeout(_ANSWER_SECONDS):
                    await connection.fetchval("select 1")
            except _TROUBLE:
                connection.terminate()
                return

    def held(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def head(self, reach: Reach) -> Sequence[OutboxRow]:
        self._used = True
        try:
            async with self._busy:
                return await head_of(self._read, reach)
        except _TROUBLE as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def _read(self, statement: Sql, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        assert self._connection is not None
        rows: list[asyncpg.Record] = await self._connection.fetch(
            statement.text, *statement.arguments(values), timeout=_ANSWER_SECONDS
        )
        return rows

    async def close(self) -> None:
        self._tell(False)
        if self._beats is not None:
            self._beats.cancel()
            self._beats = None
        if self._connection is not None:
            with suppress(*_TROUBLE):
                await self._connection.close(timeout=2)
            self._connection = None
