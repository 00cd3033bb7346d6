"""How the states and records of a service become rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared.core import Question, Record
from shared.shell.ports.read_models import ReadModelTables


class WrittenByNewer(Exception):
    """A state has contents that this build cannot read, and was written by another build: a newer one can."""


@dataclass(frozen=True)
class StateTable:
    """How a state becomes a row: `key`, `version`, `sequence`, `data` (the state as JSON), `shape` (what wrote it), and
    columns for what SQL must find or guard. `data` is null for a key that has only been refused things so far."""

    kind: type[Any]
    table: sa.Table
    columns: Callable[[Any], Mapping[str, Any]] = lambda state: {}
    store: Callable[[str, Any], str] = lambda key, state: ""
    """By key and state: the store that the row belongs to. Messages about it carry this one, whatever the message that
    caused them said."""
    unique: Sequence[str] = ()
    """Columns of which no two rows have the same value; a migration has the index. A decision that chose a value of
    another row is made again with the next `Context.candidate`."""
    brief: bool = False
    """Written without fields that hold an empty default (`codec.dump_state`): SQL finds null there in `data`."""


@dataclass(frozen=True)
class RecordTable:
    """An append-only table; its columns are named like the record's fields."""

    kind: type[Record]
    table: sa.Table


@dataclass(frozen=True)
class Search:
    """How a question about the rows of a state table is answered."""

    kind: type[Question]
    table: sa.Table
    statement: str
    """Gets each of the question's fields as an array, and returns the places, from 1, of the questions whose answer is
    yes. An index must carry it."""
    holds: Callable[[Any, Mapping[str, Any]], bool]
    """The same of one row, for the simulation, by question and row: its columns, and its `data` as a dict. The answer
    is yes where it holds for any."""


@dataclass(frozen=True)
class Storage:
    """The tables of a service, in the order in which rows are locked."""

    metadata: sa.MetaData
    states: Sequence[StateTable]
    records: Sequence[RecordTable] = ()
    searches: Sequence[Search] = ()
    read_models: ReadModelTables | None = None


@dataclass(frozen=True)
class TableGauge:
    """A number about the service's tables, served as the metric `orderbus_<name>`. `query` returns it as one row with
    one column; it runs every few seconds, so an index should carry it."""

    name: str
    text: str
    query: str
