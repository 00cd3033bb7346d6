"""The outbox on PostgreSQL, the records that Kafka refuses, and parked messages. See `ports.store`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.shell.ports.rows import SHOWN_BYTES, OutboxRow, ParkedRow, UndeliverableRow
from shared.shell.ports.store import MOST_PARKED, Reach, Running
from shared.shell.postgres import statements
from shared.shell.postgres.connections import Connections, execute, fetch
from shared.shell.postgres.statements import Sql

Read = Callable[[Sql, Mapping[str, Any]], Awaitable[list[asyncpg.Record]]]
SMALL_BYTES = 8_000
"""A thousand rows of this size are read at once."""


class OutboxOnPostgres(Connections):
    _kept_topics: Sequence[str] = ()
    """Records of these are kept in `outbox_sent` when Kafka has acknowledged them."""

    async def outbox_head(self, reach: Reach) -> Sequence[OutboxRow]:
        return await head_of(self.fetch, reach)

    async def outbox_highest(self) -> int:
        ((highest,),) = await self.fetch(statements.OUTBOX_HIGHEST, {})
        return int(highest)

    async def running(self) -> Running:
        ((oldest, following),) = await self.fetch(statements.RUNNING, {})
        return Running(int(oldest), int(following))

    async def outbox_sent(self, ids: Sequence[int]) -> None:
        if self._kept_topics:
            await self.execute(statements.OUTBOX_SENT_KEPT, {"ids": list(ids), "kept": self._kept_topics})
        else:
            await self.execute(statements.OUTBOX_SENT, {"ids": list(ids)})

    async def mark_undeliverable(self, refused: Mapping[int, str]) -> None:
        async with self._alone() as driver:
            values = {"ids": list(refused), "reasons": list(refused.values())}
            await execute(driver, statements.MARK_UNDELIVERABLE, values)

    async def wait_behind(self, ids: Collection[int]) -> set[int]:
        async with self._alone() as driver:
            return {row[0] for row in await fetch(driver, statements.WAIT_BEHIND, {"ids": list(ids)})}

    async def undeliverable(self, id: int | None = None, limit: int = 100) -> Sequence[UndeliverableRow]:
        rows = await self.fetch(statements.UNDELIVERABLE, {"id": id, "limit": limit, "shown": SHOWN_BYTES})
        return [UndeliverableRow(*row) for row in rows]

    async def waiting_behind(self) -> Mapping[tuple[str, str], int]:
        return {(topic, key): count for topic, key, count in await self.fetch(statements.WAITING_BEHIND, {})}

    async def send_again(self, id: int, *, drop: bool) -> int | None:
        async with self._alone() as driver:
            ((found, put_back, _),) = await fetch(driver, statements.SEND_AGAIN, {"id": id, "drop": drop})
        return put_back if found else None

    async def parked(
        self, key: str | None = None, limit: int = 1000, *, brief: bool = False, most_bytes: int = MOST_PARKED
    ) -> Sequence[ParkedRow]:
        values = {"key": key, "limit": limit, "brief": brief, "most": most_bytes}
        statement = statements.ALL_PARKED if key is None else statements.PARKED_OF
        return [ParkedRow(*row) for row in await self.fetch(statement, values)]

    async def parked_again(self, id: int, error: str, reason: str = "failed") -> None:
        await self.execute(statements.PARKED_AGAIN, {"id": id, "error": error, "reason": reason})

    async def waiting_for_newer(self, limit: int, after: int = 0) -> Sequence[tuple[int, str]]:
        rows = await self.fetch(statements.WAITING_FOR_NEWER, {"limit": limit, "after": after})
        return [(id, key) for id, key in rows]

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction in which no other moves rows between outbox and undeliverable."""
        async with self.driver() as driver, driver.transaction():
            await execute(driver, statements.LOCK_UNDELIVERABLE, {})
            yield driver


async def head_of(read: Read, reach: Reach) -> list[OutboxRow]:
    """The rows within reach, by two statements: one for most rows, one for the contents of large ones."""
    values = {"after": reach.after, "limit": reach.limit, "without": list(reach.without), "small": SMALL_BYTES}
    rows, size, large = list[OutboxRow | None](), 0, dict[int, int]()
    for topic, key, headers, body, id, one in await read(statements.OUTBOX_HEAD, values):
        if size >= reach.most_bytes:
            break
        if body is None:
            large[id] = len(rows)
        rows.append(None if body is None else OutboxRow(topic, key, headers, body, id))
        size += one
    if large:
        for row in await read(statements.OUTBOX_ROWS, {"ids": list(large)}):
            rows[large[row["id"]]] = OutboxRow(*row)
    return [row for row in rows if row]
