"""The store in memory, with PostgreSQL's transaction semantics: atomic, lost when not committed, row locks, read
committed, ids of queues given at insertion (so that a row can commit late). See `shell.store`.

Each statement first awaits `pause(name)`: there the simulation lets others run, and makes the database fail.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.core import Record
from shared.shell.ports.store import (
    FIRST_TIMER,
    MOST_PARKED,
    SHOWN_BYTES,
    Answer,
    BatchRefused,
    Conflict,
    DestinationPause,
    OperationRow,
    OutboxRow,
    ParkedRow,
    Reach,
    StateRow,
    StateWrite,
    TimerPlace,
    TimerRow,
    UndeliverableRow,
    Wanted,
    Writes,
)
from shared.shell.ports.tables import RecordTable, StateTable
from shared.simulation.columns import refusal
from shared.simulation.locks import Locks

Pause = Callable[[str], Awaitable[None]]
Check = Callable[[Mapping[str, Any]], bool]
Where = Callable[[Any], bool]
_GONE = object()
POSTPONED = ("due", "attempts", "doubt", "abandoned", "error", "history")
UNDELIVERABLE = "undeliverable"
INBOX, OUTBOX, OPERATIONS, TIMERS, PARKED, ANSWERS = "inbox", "outbox", "operations", "timers", "parked", "answers"
DESTINATIONS = "destinations"


def _always(row: Any) -> bool:
    return True


async def _no_pause(statement: str) -> None:
    """Statements follow each other at once."""


def _epoch() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A row of a state table as committed."""

    row: StateRow
    columns: Mapping[str, Any]
    at: datetime


class MemoryStore:
    """One service's database. See `store.Store`.

    `now` is the database's own clock; `checks` are its CHECK constraints by table: what they deny is refused.
    """

    def __init__(
        self,
        pause: Pause = _no_pause,
        now: Callable[[], datetime] = _epoch,
        checks: Mapping[str, Check] | None = None,
    ) -> None:
        self.pause, self.now, self.checks = pause, now, checks or {}
        self.tables: dict[str, dict[Hashable, Any]] = {}
        self.locks = Locks()
        self.positions: dict[UUID, int] = {}
        """In which order operations were wanted."""
        self._serials: dict[str, int] = {}

    def begin(self) -> AbstractAsyncContextManager[MemoryTransaction]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[MemoryTransaction]:
        transaction = MemoryTransaction(self)
        try:
            await self.pause("begin")
            yield transaction
            await self.pause("commit")
            transaction.apply()
        finally:
            self.locks.release(transaction)
        # A fault here is a commit whose answer was lost.
        await self.pause("committed")

    def rows(self, table: str) -> dict[Hashable, Any]:
        """Committed rows by primary key, in the order of their insertion."""
        return self.tables.setdefault(table, {})

    def states(self, table: StateTable) -> dict[str, Stored]:
        """Committed rows of a state table, for tests and checks."""
        return {str(key): row for key, row in self.rows(table.table.name).items()}

    def records(self, table: RecordTable) -> list[Record]:
        return list(self.rows(table.table.name).values())

    def next_id(self, table: str) -> int:
        """As an identity column: given out at insertion, never given back."""
        self._serials[table] = self._serials.get(table, 0) + 1
        return self._serials[table]

    async def lease_operations(
        self,
        worker: str,
        now: datetime,
        wanted: Collection[Wanted],
        *,
        since: datetime,
        avoid: Collection[str] = (),
    ) -> Sequence[OperationRow]:
        def reachable(row: OperationRow) -> bool:
            held = row.destination in avoid or row.destination in self.rows(DESTINATIONS)
            return not held or (row.expires is not None and row.expires <= now)

        async with self.begin() as tx:
            await self.pause("lease")
            leased = list(self._leased(tx, worker, now, wanted, lambda row: row.due > since and reachable(row)))
        return sorted(leased, key=lambda row: (row.due, row.id))

    async def lease_probe(
        self, worker: str, now: datetime, wanted: Collection[Wanted], destination: str
    ) -> OperationRow | None:
        async with self.begin() as tx:
            await self.pause("lease_probe")
            found = self._leased(tx, worker, now, wanted, lambda row: row.destination == destination)
            return next(found, None)

    def _leased(
        self, tx: MemoryTransaction, worker: str, now: datetime, wanted: Collection[Wanted], where: Where
    ) -> Iterator[OperationRow]:
        """Lease one after the other, as far as they are asked for."""
        rows = sorted(tx.scan(OPERATIONS), key=lambda row: row.due)
        for each in wanted:
            due = (row for row in rows if row.kind == each.kind and _is_due(row, now) and where(row))
            ready = (row for row in due if not self._waits(row, rows, now))
            free = (row for row in ready if self.locks.try_take((OPERATIONS, row.id), tx))
            until = now + timedelta(seconds=each.seconds)
            for row in itertools.islice(free, each.limit):
                taken = _taken(row, worker, until)
                tx.put(OPERATIONS, row.id, taken)
                yield taken

    async def paused_destinations(self) -> Sequence[DestinationPause]:
        await self.pause("paused_destinations")
        return sorted(self.rows(DESTINATIONS).values(), key=lambda pause: (pause.at, pause.destination))

    async def pause_destination(self, pause: DestinationPause) -> bool:
        async with self.begin() as tx:
            await self.pause("pause_destination")
            return await tx.insert(DESTINATIONS, pause.destination, pause)

    async def claim_probe(self, pause: DestinationPause, probe_at: datetime) -> bool:
        async with self.begin() as tx:
            await self.pause("claim_probe")
            found = await tx.locked(DESTINATIONS, pause.destination, lambda row: row.probe_at == pause.probe_at)
            if found:
                changed = dataclasses.replace(found, probe_at=probe_at, probes=found.probes + 1)
                tx.put(DESTINATIONS, pause.destination, changed)
            return found is not None

    async def resume_destination(self, destination: str) -> bool:
        async with self.begin() as tx:
            await self.pause("resume_destination")
            found = await tx.locked(DESTINATIONS, destination)
            tx.delete(DESTINATIONS, destination)
            return found is not None

    def _waits(self, row: OperationRow, others: Sequence[OperationRow], now: datetime) -> bool:
        """A serial operation waits for every earlier one of its key, and for one that is under way wherever it is."""
        return row.serial and any(
            other.serial
            and other.key == row.key
            and other.id != row.id
            and (
                self.positions[other.id] < self.positions[row.id]
                or (other.leased_until is not None and other.leased_until >= now)
            )
            for other in others
        )

    async def begin_calls(self, rows: Sequence[OperationRow]) -> set[UUID]:
        begun = set()
        async with self.begin() as tx:
            await self.pause("begin_calls")
            for row in rows:
                if found := await tx.locked(OPERATIONS, row.id, _leased(row.leased_by, row.lease)):
                    tx.put(OPERATIONS, row.id, dataclasses.replace(found, attempts=row.attempts, doubt=True))
                    begun.add(row.id)
        return begun

    async def postpone(self, rows: Sequence[OperationRow]) -> None:
        async with self.begin() as tx:
            await self.pause("postpone")
            for row in rows:
                if found := await tx.locked(OPERATIONS, row.id, _leased(row.leased_by, row.lease)):
                    given = {name: getattr(row, name) for name in POSTPONED}
                    tx.put(OPERATIONS, row.id, dataclasses.replace(found, **given, leased_until=None, leased_by=""))

    async def release(self, worker: str) -> int:
        released = 0
        async with self.begin() as tx:
            await self.pause("release")
            for row in tx.scan(OPERATIONS):
                if found := await tx.locked(OPERATIONS, row.id, _held_by(worker)):
                    tx.put(OPERATIONS, row.id, dataclasses.replace(found, leased_until=None, lease=found.lease + 1))
                    released += 1
        return released

    async def due_timers(self, now: datetime, limit: int, after: TimerPlace = FIRST_TIMER) -> Sequence[TimerRow]:
        await self.pause("due_timers")
        places = {(row.due, row.key, row.name): row for row in self.rows(TIMERS).values() if row.due <= now}
        return [places[place] for place in sorted(places) if place > after][:limit]

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

    async def outbox_sent(self, ids: Sequence[int]) -> None:
        async with self.begin() as tx:
            await self.pause("outbox_sent")
            for id in ids:
                tx.delete(OUTBOX, id)

    async def set_aside(self, refused: Mapping[int, str]) -> None:
        async with self.begin() as tx:
            await self.pause("set_aside")
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

    async def parked_again(self, id: int, error: str) -> None:
        async with self.begin() as tx:
            await self.pause("parked_again")
            if found := await tx.locked(PARKED, id):
                tx.put(PARKED, id, dataclasses.replace(found, error=error, reason="failed"))

    async def gauge(self) -> Mapping[str, float]:
        await self.pause("gauge")
        ages = [(self.now() - at).total_seconds() for _, at in self.rows(OUTBOX).values()]
        paused = self.rows(DESTINATIONS)
        rows = [row for row in self.rows(OPERATIONS).values() if row.destination not in paused]
        late = [row for row in rows if row.due < self.now() - timedelta(minutes=1)]
        held = [row for row in self.rows(OPERATIONS).values() if row.leased_until and row.leased_until >= self.now()]
        doubtful = [row for row in self.rows(OPERATIONS).values() if row.doubt and row not in held]
        sizes = {name: float(len(self.rows(name))) for name in (OUTBOX, OPERATIONS, TIMERS, PARKED, UNDELIVERABLE)}
        return sizes | {
            "relay_session_seconds": 0.0,
            "outbox_age_seconds": max(ages, default=0.0),
            "operations_late": float(len(late)),
            "timers_late": float(
                sum(row.due < self.now() - timedelta(minutes=1) for row in self.rows(TIMERS).values())
            ),
            "operations_in_doubt": float(len(doubtful)),
            "destinations_paused": float(len(self.rows(DESTINATIONS))),
        }

    async def housekeep(self, now: datetime, keep_days: int) -> None:
        """Forget what was first seen too long ago, at once: production keeps an id of a younger day a little longer."""
        await self.pause("housekeep")
        inbox, answers = self.rows(INBOX), self.rows(ANSWERS)
        for id in [id for id, (at, _) in inbox.items() if at < now - timedelta(days=keep_days)]:
            del inbox[id]
        for answer in [id for id, (_, at) in answers.items() if at < now - timedelta(days=keep_days)]:
            del answers[answer]

    async def ping(self) -> None:
        await self.pause("ping")


class MemoryTransaction:
    """One transaction. See `store.Transaction`. Sees what is committed, and its own changes."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._changes: dict[tuple[str, Hashable], Any] = {}

    def get(self, table: str, key: Hashable) -> Any:
        """The row, or None."""
        row = self._changes.get((table, key), self.store.rows(table).get(key))
        return None if row is _GONE else row

    def scan(self, table: str) -> list[Any]:
        own = {key: row for (name, key), row in self._changes.items() if name == table}
        merged = self.store.rows(table) | own
        return [row for row in merged.values() if row is not _GONE]

    def put(self, table: str, key: Hashable, row: Any) -> None:
        self._changes[table, key] = row

    def delete(self, table: str, key: Hashable) -> None:
        self._changes[table, key] = _GONE

    async def locked(self, table: str, key: Hashable, where: Where = _always, *, exclusive: bool = True) -> Any:
        """The row once it is ours, as it is then; None when it is gone or is not `where` says. Nobody waits for a row
        that was not so to begin with, or that nobody has committed yet."""
        if (row := self.get(table, key)) is None or not where(row):
            return None
        await self.store.locks.take((table, key), self, exclusive=exclusive)
        row = self.get(table, key)
        if row is None or not where(row):
            self.store.locks.drop((table, key), self)
            return None
        return row

    async def insert(self, table: str, key: Hashable, row: Any) -> bool:
        """False where this primary key is there, or is just being committed by another transaction."""
        if self.get(table, key) is not None:
            return False
        await self.store.locks.take((table, key), self)
        if self.get(table, key) is not None:
            return False
        self.put(table, key, row)
        return True

    def apply(self) -> None:
        for (table, key), row in self._changes.items():
            if row is _GONE:
                self.store.rows(table).pop(key, None)
            else:
                self.store.rows(table)[key] = row

    async def claim(
        self, messages: Mapping[UUID, int], keys: Collection[str], at: datetime
    ) -> tuple[set[UUID], set[str]]:
        await self.store.pause("claim")
        new = {id for id in sorted(messages) if await self.insert(INBOX, id, (at, messages[id]))}
        return new, await self.parked_keys(set(keys)) if keys else set()

    async def contents(self, ids: Collection[UUID]) -> Mapping[UUID, int]:
        await self.store.pause("contents")
        return {id: row[1] for id in ids if (row := self.get(INBOX, id))}

    async def parked_keys(self, keys: set[str]) -> set[str]:
        """A statement of its own: it sees what was parked while `claim` waited for another's ids."""
        await self.store.pause("behind")
        behind = set()
        for row in self.scan(PARKED):
            if row.key in keys and await self.locked(PARKED, row.id, exclusive=False):
                behind.add(row.key)
        return behind

    async def forget(self, ids: Collection[UUID]) -> None:
        await self.store.pause("forget")
        for id in ids:
            self.delete(INBOX, id)

    async def finish(self, operations: Collection[tuple[UUID, str, int]]) -> set[UUID]:
        await self.store.pause("finish")
        finished = set()
        for id, worker, lease in operations:
            if await self.locked(OPERATIONS, id, _leased(worker, lease)):
                self.delete(OPERATIONS, id)
                finished.add(id)
        return finished

    async def fire(self, timers: Collection[TimerRow]) -> set[tuple[str, str]]:
        await self.store.pause("fire")
        fired = set()
        for timer in timers:
            if await self.locked(TIMERS, (timer.key, timer.name), _set_by(timer.id)):
                self.delete(TIMERS, (timer.key, timer.name))
                fired.add((timer.key, timer.name))
        return fired

    async def unpark(self, id: int) -> bool:
        await self.store.pause("unpark")
        found = await self.locked(PARKED, id)
        self.delete(PARKED, id)
        return found is not None

    async def load(
        self, table: StateTable, keys: Sequence[str], *, lock: bool, known: Mapping[str, int]
    ) -> Mapping[str, StateRow]:
        """What does not exist cannot be locked: two that create the same row meet at `save`."""
        await self.store.pause("load")
        name = table.table.name
        there = [key for key in sorted(set(keys)) if self.get(name, key) is not None]
        if lock:
            for key in there:
                await self.store.locks.take((name, key), self)
        rows: list[StateRow] = [self.get(name, key).row for key in there]
        return {
            row.key: dataclasses.replace(row, data=None) if known.get(row.key) == row.version else row for row in rows
        }

    async def write(self, writes: Writes) -> set[UUID]:
        """One statement in production; here with pauses in between, where it may be broken off as a whole."""
        for states, changed in writes.states:
            await self.save(states, changed)
        for table, records in writes.records:
            await self.append(table, records)
        if writes.timers or writes.cancelled:
            await self.set_timers(writes.timers, writes.cancelled)
        held = await self.want(writes.operations) if writes.operations else set()
        if writes.outbox:
            await self.publish(writes.outbox)
        return held

    async def save(self, table: StateTable, rows: Sequence[StateWrite]) -> None:
        name = table.table.name
        await self.store.pause("save")
        for write in rows:
            values = {column.name: write.columns.get(column.name) for column in table.table.columns}
            values |= {"key": write.row.key, "version": write.row.version, "sequence": write.row.sequence}
            values |= {"data": write.row.data, "changed_at": write.at}
            self._guard(table.table, values)
            data = write.row.data.decode() if isinstance(write.row.data, bytes) else write.row.data
            state = StateRow(write.row.key, write.row.version, write.row.sequence, data)
            row = Stored(state, dict(write.columns), write.at)
            await self.store.locks.take((name, write.row.key), self)
            found = self.get(name, write.row.key)
            # As `on conflict … do update … where version`: an insert asks for no version.
            if found is not None and found.row.version != write.row.version - 1:
                raise Conflict(f"a row of {name} was changed by another worker")
            self.put(name, write.row.key, row)

    async def append(self, table: RecordTable, records: Sequence[Record]) -> None:
        await self.store.pause("append")
        for record in records:
            values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
            self._guard(table.table, values)
            key = tuple(values[column.name] for column in table.table.primary_key.columns)
            if not await self.insert(table.table.name, key, record):
                raise BatchRefused("the database refused the data: 23505")

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        await self.store.pause("publish")
        for row in rows:
            id = self.store.next_id(OUTBOX)
            self.put(OUTBOX, id, (OutboxRow(row.topic, row.key, row.headers, row.body, id), self.store.now()))

    async def want(self, rows: Sequence[OperationRow]) -> set[UUID]:
        await self.store.pause("want")
        there = self.scan(OPERATIONS)
        held = set()
        for index, row in enumerate(rows):
            earlier = rows[:index]
            waits = row.serial and any(o.serial and o.key == row.key for o in (*there, *earlier))
            if waits:
                row = dataclasses.replace(row, lease=0, leased_by="", leased_until=None)  # noqa: PLW2901
            begun = row.begun and not waits
            row = dataclasses.replace(row, attempts=int(begun), doubt=begun, begun=False)  # noqa: PLW2901
            if not await self.insert(OPERATIONS, row.id, row):
                raise BatchRefused("the database refused the data: 23505")
            self.store.positions[row.id] = self.store.next_id(OPERATIONS)
            if row.leased_by:
                held.add(row.id)
        return held

    async def set_timers(self, rows: Sequence[TimerRow], cancel: Collection[tuple[str, str]]) -> None:
        await self.store.pause("set_timers")
        for place in cancel:
            if await self.locked(TIMERS, place):
                self.delete(TIMERS, place)
        for row in rows:
            await self.store.locks.take((TIMERS, (row.key, row.name)), self)
            self.put(TIMERS, (row.key, row.name), row)

    async def park(self, rows: Sequence[ParkedRow]) -> None:
        await self.store.pause("park")
        for row in rows:
            for text in (row.key, row.origin, row.kind, row.topic, row.reason, row.error):
                if "\x00" in text or text.encode("utf-8", "replace") != text.encode("utf-8", "surrogatepass"):
                    raise BatchRefused("the database refused the data: 22021")
            id = self.store.next_id(PARKED)
            self.put(PARKED, id, dataclasses.replace(row, id=id))

    async def keep_answers(self, answers: Sequence[Answer]) -> None:
        await self.store.pause("keep_answers")
        for answer in answers:
            if not await self.insert(ANSWERS, answer.id, (answer, self.store.now())):
                raise BatchRefused("the database refused the data: 23505")

    async def answer(self, id: UUID) -> Answer | None:
        await self.store.pause("answer")
        found = self.get(ANSWERS, id)
        return found[0] if found else None

    def _guard(self, table: Any, values: Mapping[str, Any]) -> None:
        problem = refusal(table, values)
        check = self.store.checks.get(table.name)
        if not problem and check is not None and values.get("data", True) is not None and not check(values):
            problem = "23514"
        if problem:
            raise BatchRefused(f"the database refused the data: {problem}")


def _undeliverable(stored: tuple[OutboxRow, datetime], reason: str, now: datetime) -> tuple[UndeliverableRow, datetime]:
    row, created = stored
    size = len(row.headers) + len(row.body)
    return UndeliverableRow(row.id, row.topic, row.key, row.headers, row.body, size, reason, now), created


def _same(other: UndeliverableRow, row: OutboxRow) -> bool:
    return (other.topic, other.key) == (row.topic, row.key)


def _leased(worker: str, lease: int) -> Where:
    return lambda row: (row.leased_by, row.lease) == (worker, lease)


def _held_by(worker: str) -> Where:
    return lambda row: row.leased_by == worker and row.leased_until is not None


def _taken(row: OperationRow, worker: str, until: datetime) -> OperationRow:
    abandoned = row.abandoned or row.leased_by != ""
    return dataclasses.replace(row, lease=row.lease + 1, leased_by=worker, leased_until=until, abandoned=abandoned)


def _set_by(id: UUID) -> Where:
    return lambda row: row.id == id


def _is_due(row: OperationRow, now: datetime) -> bool:
    return row.due <= now and (row.leased_until is None or row.leased_until < now)
