"""A database in memory, with PostgreSQL's transaction semantics: atomic, lost when not committed, row locks, read
committed, ids of queues given at insertion (so that a row can commit late).

Each statement first awaits `pause(name)`: there the simulation lets others run, and makes the database fail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.core import Record
from shared.shell.ports.rows import StateRow
from shared.shell.ports.tables import RecordTable, StateTable
from shared.simulation.locks import Locks

Pause = Callable[[str], Awaitable[None]]
Check = Callable[[Mapping[str, Any]], bool]
Where = Callable[[Any], bool]
_GONE = object()
INBOX, OUTBOX, UNDELIVERABLE, PARKED, REPLIES = "inbox", "outbox", "undeliverable", "parked", "replies"
OPERATIONS, TIMERS, DESTINATIONS = "operations", "timers", "destinations"
POSITIONS = "read_positions"
RESTORES = "restore_epoch"


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


class Database:
    """One service's tables, as committed.

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
        """In which order operations were requested."""
        self._serials: dict[str, int] = {}
        self.transactions = 0
        """How many have begun."""
        self.on_commit: Callable[[str, Any], None] = lambda table, row: None
        """Sees each row that is written, in the order of the commits."""
        self.in_progress: dict[DatabaseTransaction, int] = {}
        """Their numbers."""

    def rows(self, table: str) -> dict[Hashable, Any]:
        """Committed rows by primary key, in the order of their insertion."""
        return self.tables.setdefault(table, {})

    def states(self, table: StateTable) -> dict[str, Stored]:
        """Committed rows of a state table, for tests and checks."""
        return {str(key): row for key, row in self.rows(table.table.name).items()}

    def records(self, table: RecordTable) -> list[Record]:
        return list(self.rows(table.table.name).values())

    def next_id(self, table: str) -> int:
        """As an identity column: taken at insertion, never reused."""
        self._serials[table] = self._serials.get(table, 0) + 1
        return self._serials[table]


class DatabaseTransaction:
    """Sees what is committed, and its own changes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._changes: dict[tuple[str, Hashable], Any] = {}

    def get(self, table: str, key: Hashable) -> Any:
        """The row, or None."""
        row = self._changes.get((table, key), self.database.rows(table).get(key))
        return None if row is _GONE else row

    def scan(self, table: str) -> list[Any]:
        own = {key: row for (name, key), row in self._changes.items() if name == table}
        merged = self.database.rows(table) | own
        return [row for row in merged.values() if row is not _GONE]

    def put(self, table: str, key: Hashable, row: Any) -> None:
        self._changes[table, key] = row

    def delete(self, table: str, key: Hashable) -> None:
        self._changes[table, key] = _GONE

    async def locked(self, table: str, key: Hashable, where: Where = _always, *, exclusive: bool = True) -> Any:
        """The row once it is ours, as it is then; None when it is gone or not as `where` says. Does not wait for a row
        that was not so to begin with, or that is not committed yet."""
        if (row := self.get(table, key)) is None or not where(row):
            return None
        await self.database.locks.take((table, key), self, exclusive=exclusive)
        row = self.get(table, key)
        if row is None or not where(row):
            self.database.locks.drop((table, key), self)
            return None
        return row

    async def insert(self, table: str, key: Hashable, row: Any) -> bool:
        """False where this primary key is there, or is just being committed by another transaction."""
        if self.get(table, key) is not None:
            return False
        await self.database.locks.take((table, key), self)
        if self.get(table, key) is not None:
            return False
        self.put(table, key, row)
        return True

    def apply(self) -> None:
        for (table, key), row in self._changes.items():
            if row is _GONE:
                self.database.rows(table).pop(key, None)
            else:
                self.database.rows(table)[key] = row
                self.database.on_commit(table, row)
