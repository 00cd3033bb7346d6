"""Operations that wait or are in progress, for staff: since when, why, and when they are tried next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core.ids import NIL
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.statements import Sql

PAGE = 100
_COLUMNS = """
    select o.id, o.key, o.kind, o.destination, o.requested_at, o.attempts, o.error, o.due,
        coalesce(o.leased_until >= clock_timestamp(), false), o.in_doubt, coalesce(d.reason, ''), o.history, o.payload
    from operations o left join destinations d on d.name = o.destination
"""
OF_KEY = Sql(f"{_COLUMNS} where o.key = :key order by o.position limit :limit")
LONGEST = Sql(f"{_COLUMNS} where o.id > :after order by o.id limit :limit")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operation that has no outcome yet."""

    id: UUID
    key: str
    kind: str
    """`ChargeCard`, `SendEmail`, …"""
    destination: str
    since: datetime
    """When it was requested."""
    attempts: int
    """Calls begun."""
    error: str
    """Why it waits; empty when nothing went wrong so far. For staff: it may be about how the system is set up."""
    due: datetime
    """When it is tried next, at the earliest."""
    under_way: bool
    """A worker holds its lease."""
    in_doubt: bool
    """A call may have been carried out whose answer never arrived."""
    paused: str
    """Why its destination is paused; empty when it is not."""
    calls: Sequence[Mapping[str, str]]
    """The calls that did not succeed, [{at, error}], the latest 20."""
    operation: Mapping[str, Any] = field(repr=False)
    """The operation's own fields, as JSON. May hold personal data: pick what is needed."""

    def as_json(self) -> dict[str, Any]:
        """For an HTTP response; without the operation's own fields."""
        return {
            "id": str(self.id),
            "key": self.key,
            "kind": self.kind,
            "destination": self.destination,
            "since": self.since,
            "attempts": self.attempts,
            "error": self.error,
            "next_try": None if self.under_way or self.paused else self.due,
            "under_way": self.under_way,
            "in_doubt": self.in_doubt,
            "paused": self.paused,
            "calls": self.calls,
        }


async def waiting(engine: AsyncEngine, key: str, limit: int = 1000) -> list[Waiting]:
    """What waits for a key (an order), in the order in which it was requested. Raises StoreUnavailable."""
    return await _read(engine, OF_KEY, {"key": key, "limit": limit})


async def waiting_longest(engine: AsyncEngine, after: UUID = NIL, limit: int = PAGE) -> list[Waiting]:
    """A page of everything that waits, what has waited longest first; `after` is the last id of the page before."""
    return await _read(engine, LONGEST, {"after": after, "limit": limit})


async def _read(engine: AsyncEngine, statement: Sql, values: Mapping[str, Any]) -> list[Waiting]:
    rows = await Connections(engine).fetch(statement, values)
    return [Waiting(*_fields(row)) for row in rows]


def _fields(row: Iterable[Any]) -> list[Any]:
    *columns, history, payload = row
    return [*columns, orjson.loads(history), orjson.loads(payload)]
