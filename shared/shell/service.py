"""What a service is: its cores, what it consumes and emits, its tables and gateways. `app.py` fills this in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import sqlalchemy as sa
from aiohttp import web

from shared.core import Core, Event, Message, NoOutcome, NotDone, Operation, Outcome, Record, Refusal, Topic


class Gateway(Protocol):
    """One outside system. `key` is the operation's idempotency key, stable over all attempts.

    Never raises for what the outside does; what it raises is a bug of ours and counts as `Unknown`.
    """

    async def perform(self, operation: Any, key: str) -> Outcome | NoOutcome: ...

    async def find(self, operation: Any, key: str) -> Outcome | NotDone | NoOutcome:
        """What became of an earlier attempt whose answer never came, by the outside's own books. `NotDone` only where
        they say so for certain: it ends the doubt. Where they cannot be asked: `Unknown`. Never called for operations
        that are safe to repeat, as long as their key lives."""
        ...


@dataclass(frozen=True)
class StateTable:
    """How a state becomes a row: `key`, `version`, `sequence`, `data` (the state as JSON), and columns for what SQL
    must find or guard. `data` is null for a key that has only been refused things so far."""

    kind: type[Any]
    table: sa.Table
    columns: Callable[[Any], Mapping[str, Any]] = lambda state: {}
    store: Callable[[str, Any], str] = lambda key, state: ""
    """By key and state: the store that the row belongs to. Messages about it carry this one, whatever the message that
    caused them said."""


@dataclass(frozen=True)
class RecordTable:
    """An append-only table; its columns are named like the record's fields."""

    kind: type[Record]
    table: sa.Table


@dataclass(frozen=True)
class Storage:
    """The tables of a service, in the order in which rows are locked."""

    metadata: sa.MetaData
    states: Sequence[StateTable]
    records: Sequence[RecordTable] = ()


def state_table(name: str, metadata: sa.MetaData, *columns: sa.Column[Any] | sa.schema.SchemaItem) -> sa.Table:
    """A table for states, with the columns that the shell needs; `columns` are the service's own, all nullable."""
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return sa.Table(
        name,
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *columns,
        sa.Column("data", postgresql.JSONB),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )


@dataclass(frozen=True)
class TableGauge:
    """A number about the service's tables, served as the metric `orderbus_<name>`. `query` returns it as one row with
    one column; it runs every few seconds, so an index should carry it."""

    name: str
    text: str
    query: str


Routes = Callable[[web.Application, Any], None]
"""Adds a service's own routes to its HTTP edge: (application, shell runtime)."""


@dataclass(frozen=True)
class Service:
    """Everything that the shell needs in order to run a service."""

    name: str
    cores: Sequence[Core[Any]]
    consumes: Mapping[Topic, Collection[type[Message]]] | Sequence[Topic]
    """What it reads: the message types by topic. (Topics alone: until every service lists its types.)"""
    emits: Mapping[Topic, Collection[type[Message]]] | Sequence[type[Event]]
    """What it writes, commands to other keys too. (Event types alone: until every service says their topics.)"""
    refusal: type[Refusal]
    """What a refused command is answered with, on the service's own topic; need not be listed in `emits`."""
    storage: Storage
    gateways: Mapping[type[Operation], Gateway] = field(default_factory=dict)
    routes: Routes | None = None
    gauges: Sequence[TableGauge] = ()
    resources: Sequence[Callable[[], Awaitable[None]]] = ()
    """Closed when the service stops (HTTP sessions, SMTP connections)."""

    @property
    def emitted(self) -> frozenset[type[Message]]:
        """Every type of message that it writes."""
        listed = self.emits.values() if isinstance(self.emits, Mapping) else [self.emits]
        return frozenset({self.refusal, *chain.from_iterable(listed)})
