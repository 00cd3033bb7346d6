"""A batch's transaction in memory. See `shell.ports.store`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from shared.core import Question, Record
from shared.shell.ports.rows import (
    NEWER,
    PROJECTED,
    OperationRow,
    OutboxRow,
    ParkedRow,
    Reply,
    StateRow,
    StateWrite,
    TimerRow,
)
from shared.shell.ports.store import BatchRefused, Conflict, ValueTaken, Writes
from shared.shell.ports.tables import RecordTable, Search, StateTable
from shared.simulation.columns import refusal
from shared.simulation.memory_database import (
    INBOX,
    OPERATIONS,
    OUTBOX,
    PARKED,
    REPLIES,
    TIMERS,
    DatabaseTransaction,
    Stored,
    Where,
)


class MemoryTransaction(DatabaseTransaction):
    async def claim(
        self, messages: Mapping[UUID, int], keys: Collection[str], at: datetime
    ) -> tuple[set[UUID], dict[str, str]]:
        await self.database.pause("claim")
        new = {id for id in sorted(messages) if await self.insert(INBOX, id, (at, messages[id]))}
        return new, await self.parked_keys(set(keys)) if keys else {}

    async def contents(self, ids: Collection[UUID]) -> Mapping[UUID, int]:
        await self.database.pause("contents")
        return {id: row[1] for id in ids if (row := self.get(INBOX, id))}

    async def parked_keys(self, keys: set[str]) -> dict[str, str]:
        """A statement of its own: it sees what was parked while `claim` waited for another's ids."""
        await self.database.pause("behind")
        behind: dict[str, str] = {}
        for row in self.scan(PARKED):
            if (
                row.key in keys
                and row.origin != PROJECTED
                and (found := await self.locked(PARKED, row.id, exclusive=False))
            ):
                waits = found.reason == NEWER and behind.get(row.key, NEWER) == NEWER
                behind[row.key] = NEWER if waits else "failed"
        return behind

    async def forget(self, ids: Collection[UUID]) -> None:
        await self.database.pause("forget")
        for id in ids:
            self.delete(INBOX, id)

    async def finish(self, operations: Collection[tuple[UUID, str, int]]) -> set[UUID]:
        await self.database.pause("finish")
        finished = set()
        for id, worker, lease in operations:
            if await self.locked(OPERATIONS, id, leased_by(worker, lease)):
                self.delete(OPERATIONS, id)
                finished.add(id)
        return finished

    async def fire(self, timers: Collection[TimerRow]) -> set[tuple[str, str]]:
        await self.database.pause("fire")
        fired = set()
        for timer in timers:
            if await self.locked(TIMERS, (timer.key, timer.name), _set_by(timer.id)):
                self.delete(TIMERS, (timer.key, timer.name))
                fired.add((timer.key, timer.name))
        return fired

    async def unpark(self, id: int) -> bool:
        await self.database.pause("unpark")
        found = await self.locked(PARKED, id)
        self.delete(PARKED, id)
        return found is not None

    async def load(
        self, table: StateTable, keys: Sequence[str], *, lock: bool, known: Mapping[str, int]
    ) -> Mapping[str, StateRow]:
        """What does not exist cannot be locked: two that create the same row meet at `save`."""
        await self.database.pause("load")
        name = table.table.name
        there = [key for key in sorted(set(keys)) if self.get(name, key) is not None]
        if lock:
            for key in there:
                await self.database.locks.take((name, key), self)
        rows: list[StateRow] = [self.get(name, key).row for key in there]
        return {
            row.key: dataclasses.replace(row, data=None) if known.get(row.key) == row.version else row for row in rows
        }

    async def search(self, search: Search, questions: Sequence[Question]) -> set[Question]:
        await self.database.pause("search")
        stored = [row for row in self.database.rows(search.table.name).values() if row.row.data is not None]
        rows = [{**row.columns, "key": row.row.key, "data": orjson.loads(row.row.data)} for row in stored]
        return {question for question in questions if any(search.holds(question, row) for row in rows)}

    async def write(self, writes: Writes) -> set[UUID]:
        """One statement in production; here with pauses in between, where it may be broken off as a whole."""
        for states, changed in writes.states:
            await self.save(states, changed)
        for table, records in writes.records:
            await self.append(table, records)
        if writes.timers or writes.cancelled:
            await self.set_timers(writes.timers, writes.cancelled)
        held = await self.request(writes.operations) if writes.operations else set()
        if writes.outbox:
            await self.publish(writes.outbox)
        return held

    async def save(self, table: StateTable, rows: Sequence[StateWrite]) -> None:
        name = table.table.name
        await self.database.pause("save")
        for write in rows:
            values = {column.name: write.columns.get(column.name) for column in table.table.columns}
            values |= {"key": write.row.key, "version": write.row.version, "sequence": write.row.sequence}
            values |= {"data": write.row.data, "shape": write.row.shape, "changed_at": write.at}
            self._guard(table.table, values)
            data = write.row.data.decode() if isinstance(write.row.data, bytes) else write.row.data
            row = Stored(dataclasses.replace(write.row, data=data), dict(write.columns), write.at)
            await self.database.locks.take((name, write.row.key), self)
            found = self.get(name, write.row.key)
            # As `on conflict … do update … where version`: an insert asks for no version.
            if found is not None and found.row.version != write.row.version - 1:
                raise Conflict(f"a row of {name} was changed by another worker")
            await self._take_unique(table, write, found.columns if found else {})
            self.put(name, write.row.key, row)

    async def _take_unique(self, table: StateTable, write: StateWrite, before: Mapping[str, Any]) -> None:
        """A value that a transaction in progress has taken: wait for its end."""
        name = table.table.name
        for column in table.unique:
            value = write.columns.get(column)
            if value is None or value == before.get(column):
                continue
            await self.database.locks.take((name, (column, value)), self)
            if any(row.columns.get(column) == value for row in self.scan(name)):
                raise ValueTaken("the database refused the data: 23505")

    async def append(self, table: RecordTable, records: Sequence[Record]) -> None:
        await self.database.pause("append")
        for record in records:
            values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
            self._guard(table.table, values)
            key = tuple(values[column.name] for column in table.table.primary_key.columns)
            if not await self.insert(table.table.name, key, record):
                raise BatchRefused("the database refused the data: 23505")

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        await self.database.pause("publish")
        for row in rows:
            id = self.database.next_id(OUTBOX)
            self.put(OUTBOX, id, (OutboxRow(row.topic, row.key, row.headers, row.body, id), self.database.now()))

    async def request(self, rows: Sequence[OperationRow]) -> set[UUID]:
        await self.database.pause("request")
        there = self.scan(OPERATIONS)
        held = set()
        for index, row in enumerate(rows):
            earlier = rows[:index]
            waits = row.serial and any(o.serial and o.key == row.key for o in (*there, *earlier))
            if waits:
                row = dataclasses.replace(row, lease=0, leased_by="", leased_until=None)  # noqa: PLW2901
            begun = row.begun and not waits
            row = dataclasses.replace(row, attempts=int(begun), in_doubt=begun, begun=False)  # noqa: PLW2901
            if not await self.insert(OPERATIONS, row.id, row):
                raise BatchRefused("the database refused the data: 23505")
            self.database.positions[row.id] = self.database.next_id(OPERATIONS)
            if row.leased_by:
                held.add(row.id)
        return held

    async def set_timers(self, rows: Sequence[TimerRow], cancel: Collection[tuple[str, str]]) -> None:
        await self.database.pause("set_timers")
        for place in cancel:
            if await self.locked(TIMERS, place):
                self.delete(TIMERS, place)
        for row in rows:
            await self.database.locks.take((TIMERS, (row.key, row.name)), self)
            self.put(TIMERS, (row.key, row.name), row)

    async def park(self, rows: Sequence[ParkedRow]) -> None:
        await self.database.pause("park")
        for row in rows:
            for text in (row.key, row.origin, row.kind, row.topic, row.reason, row.error):
                if "\x00" in text or text.encode("utf-8", "replace") != text.encode("utf-8", "surrogatepass"):
                    raise BatchRefused("the database refused the data: 22021")
            id = self.database.next_id(PARKED)
            self.put(PARKED, id, dataclasses.replace(row, id=id))

    async def keep_replies(self, replies: Sequence[Reply]) -> None:
        await self.database.pause("keep_replies")
        for reply in replies:
            kept = (reply, self.database.now())
            if not await self.insert(REPLIES, reply.id, kept):
                self.put(REPLIES, reply.id, kept)

    async def reply(self, id: UUID) -> Reply | None:
        await self.database.pause("reply")
        found = self.get(REPLIES, id)
        return found[0] if found else None

    def _guard(self, table: Any, values: Mapping[str, Any]) -> None:
        problem = refusal(table, values)
        check = self.database.checks.get(table.name)
        if not problem and check is not None and values.get("data", True) is not None and not check(values):
            problem = "23514"
        if problem:
            raise BatchRefused(f"the database refused the data: {problem}")


def leased_by(worker: str, lease: int) -> Where:
    return lambda row: (row.leased_by, row.lease) == (worker, lease)


def _set_by(id: UUID) -> Where:
    return lambda row: row.id == id
