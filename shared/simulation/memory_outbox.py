"""The outbox in memory, the records that Kafka refuses, and parked messages. See `shell.ports.store`."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from shared.shell.ports.rows import NEWER, SHOWN_BYTES, OutboxRow, ParkedRow, UndeliverableRow
from shared.shell.ports.store import MOST_PARKED, Reach, Running
from shared.simulation.memory_database import OUTBOX, PARKED, UNDELIVERABLE, Database
from shared.simulation.memory_transaction import MemoryTransaction


class MemoryOutbox(Database):
    def begin(self) -> AbstractAsyncContextManager[MemoryTransaction]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[MemoryTransaction]:
        transaction = MemoryTransaction(self)
        self.transactions += 1
        self.in_progress[transaction] = self.transactions
        try:
            await self.pause("begin")
            yield transaction
            await self.pause("commit")
            transaction.apply()
        finally:
            self.locks.release(transaction)
            del self.in_progress[transaction]
        # A fault here is a commit whose answer was lost.
        await self.pause("committed")

    async def outbox_head(self, reach: Reach) -> Sequence[OutboxRow]:
        await self.pause("outbox_head")
        rows = (row for row, _ in self.rows(OUTBOX).values() if row.id > reach.after and row.topic not in reach.without)
        head, size = list[OutboxRow](), 0
        for row in sorted(rows, key=lambda row: row.id)[: reach.limit]:
            if size >= reach.most_bytes:
                break
            head.append(row)
            size += len(row.headers) + len(row.body)
        return head

    async def outbox_highest(self) -> int:
        await self.pause("outbox_highest")
        return max((row.id for row, _ in self.rows(OUTBOX).values()), default=0)

    async def running(self) -> Running:
        await self.pause("running")
        self.transactions += 1
        return Running(min(self.in_progress.values(), default=self.transactions), self.transactions)

    async def outbox_sent(self, ids: Sequence[int]) -> None:
        async with self.begin() as tx:
            await self.pause("outbox_sent")
            for id in ids:
                tx.delete(OUTBOX, id)

    async def mark_undeliverable(self, refused: Mapping[int, str]) -> None:
        async with self.begin() as tx:
            await self.pause("mark_undeliverable")
            for id, reason in refused.items():
                if (found := tx.get(OUTBOX, id)) is not None:
                    tx.delete(OUTBOX, id)
                    tx.put(UNDELIVERABLE, id, _undeliverable(found, reason, self.now()))

    async def wait_behind(self, ids: Collection[int]) -> set[int]:
        moved = set()
        async with self.begin() as tx:
            await self.pause("wait_behind")
            for id in sorted(ids):
                found = tx.get(OUTBOX, id)
                if found is not None and any(_same(other, found[0]) for other, _ in tx.scan(UNDELIVERABLE)):
                    tx.delete(OUTBOX, id)
                    tx.put(UNDELIVERABLE, id, _undeliverable(found, "", self.now()))
                    moved.add(id)
        return moved

    async def undeliverable(self, id: int | None = None, limit: int = 100) -> Sequence[UndeliverableRow]:
        await self.pause("undeliverable")
        rows = (row for row, _ in self.rows(UNDELIVERABLE).values() if row.reason and id in (None, row.id))
        found = sorted(rows, key=lambda row: row.id)[:limit]
        return [dataclasses.replace(row, body=row.body[:SHOWN_BYTES]) for row in found]

    async def waiting_behind(self) -> Mapping[tuple[str, str], int]:
        await self.pause("waiting_behind")
        return Counter((row.topic, row.key) for row, _ in self.rows(UNDELIVERABLE).values())

    async def send_again(self, id: int, *, drop: bool) -> int | None:
        async with self.begin() as tx:
            await self.pause("send_again")
            if (chosen := tx.get(UNDELIVERABLE, id)) is None:
                return None
            put_back = 0
            for row, created in tx.scan(UNDELIVERABLE):
                if (row.topic, row.key) == (chosen[0].topic, chosen[0].key):
                    tx.delete(UNDELIVERABLE, row.id)
                    if row.id != id or not drop:
                        tx.put(OUTBOX, row.id, (OutboxRow(row.topic, row.key, row.headers, row.body, row.id), created))
                        put_back += 1
        return put_back

    async def parked(
        self, key: str | None = None, limit: int = 1000, *, brief: bool = False, most_bytes: int = MOST_PARKED
    ) -> Sequence[ParkedRow]:
        await self.pause("parked")
        found = (row for row in self.rows(PARKED).values() if key is None or row.key == key)
        rows = sorted(found, key=lambda row: row.id)[:limit]
        if brief:
            return [dataclasses.replace(row, headers=b"", body=None) for row in rows]
        sizes = itertools.accumulate(len(row.headers) + len(row.body or b"") for row in rows)
        return [row for row, before in zip(rows, (0, *sizes), strict=False) if before < most_bytes]

    async def waiting_for_newer(self, limit: int, after: int = 0) -> Sequence[tuple[int, str]]:
        await self.pause("waiting_for_newer")
        first: dict[str, ParkedRow] = {}
        for row in sorted(self.rows(PARKED).values(), key=lambda row: row.id):
            first.setdefault(row.key, row)
        return [(row.id, row.key) for row in first.values() if row.reason == NEWER and row.id > after][:limit]

    async def parked_again(self, id: int, error: str, reason: str = "failed") -> None:
        async with self.begin() as tx:
            await self.pause("parked_again")
            if found := await tx.locked(PARKED, id):
                tx.put(PARKED, id, dataclasses.replace(found, error=error, reason=reason))


def _undeliverable(stored: tuple[OutboxRow, datetime], reason: str, now: datetime) -> tuple[UndeliverableRow, datetime]:
    row, created = stored
    size = len(row.headers) + len(row.body)
    return UndeliverableRow(row.id, row.topic, row.key, row.headers, row.body, size, reason, now), created


def _same(other: UndeliverableRow, row: OutboxRow) -> bool:
    return (other.topic, other.key) == (row.topic, row.key)
