"""Whether a session is one of the server's own. A pooler that lends its server connections by transaction or by
statement is refused: settings, advisory locks and LISTEN belong to the server's session, which would serve others, too.
Two relays would hold one lock.
"""

from __future__ import annotations

import asyncio

import asyncpg

from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.engine import CONNECT_SECONDS, connect

ROUNDS = 6
"""A busy pooler may lend both the same server connections as before, and one session in about fifty keeps its own
though it need not (PgBouncer 1.18 on a busy machine), so each round has another second session."""
_STATEMENT_MODE = "statement pooling mode"


class SharedSession(Exception):
    """The pooler lends server connections to others while a session lasts."""


async def own_session(session: asyncpg.Connection, url: str, timeout: float = CONNECT_SECONDS) -> None:
    """Raises SharedSession; StoreUnavailable where a pooler has no connection left; what the driver raises."""
    try:
        if await _process(session) == session.get_server_pid():
            return  # no pooler: it would answer with a number of its own
        for _ in range(ROUNDS):
            await _compare(session, url, timeout)
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        raise SharedSession("transaction") from None  # what was prepared is elsewhere, or is another's
    except asyncpg.ConnectionDoesNotExistError as error:
        if _STATEMENT_MODE in str(error):
            raise SharedSession("statement") from None
        raise


async def _compare(session: asyncpg.Connection, url: str, timeout: float) -> None:
    """A second session takes a server connection: it must be another one, and each must keep its own."""
    try:
        async with asyncio.timeout(timeout):
            other = await connect(url, timeout=timeout)
            try:
                for one, two in ((session, other), (other, session)):
                    process = await _process(one)
                    async with two.transaction():
                        if await two.fetchval(_PROCESS) == process or await _process(one) != process:
                            raise SharedSession("transaction")
            finally:
                other.terminate()
    except TimeoutError:
        text = "the pooler lends no second connection: its pool is smaller than what workers need, or in use"
        raise StoreUnavailable(text) from None


_PROCESS = "select pg_backend_pid()"


async def _process(session: asyncpg.Connection) -> int:
    """In a transaction, which keeps what a statement consists of on one server connection."""
    async with session.transaction():
        return int(await session.fetchval(_PROCESS))
