"""What the shell needs of a database that holds read models. `postgres/read_models.py` is production's; the simulation
has one in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa

from shared.core.projection import Row
from shared.shell.ports.rows import ParkedRow

Place = tuple[str, int]
"""Topic and partition."""


def own_fields(row: Row) -> Mapping[str, Any]:
    """A row's columns, where they are its fields."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class Counter:
    """How many rows have the same texts in some columns, kept along with them: counting them takes long. Rows in which
    one is empty are not counted."""

    table: sa.Table
    """Its columns are `columns`, which are its primary key, and `count`."""
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DaySums:
    """Sums by day of what rows add to them, kept along with the rows. See shared/core/day_sums.py."""

    table: sa.Table
    """Its primary key is that of `SumKey`; the other columns are the figures."""
    zones: sa.Table
    """Has the zone in which a store's days are counted: `store`, `sums_zone`. Of a store without a row: UTC."""
    by_month: tuple[str, ...] = ()
    """What has so many values that it is summed by month, too: see `of_month`."""

    @property
    def figures(self) -> Sequence[str]:
        return [column.name for column in self.table.columns if not column.primary_key]


@dataclass(frozen=True, eq=False)
class ShownTable:
    """One row per key. Several kinds of rows may share a table: each writes columns of its own, and creates the row
    where it is the first. The other columns have defaults."""

    kind: type[Row]
    table: sa.Table
    key: str
    """The primary key: which order it is about."""
    revision: str
    """A row is replaced only where this is higher than what is there."""
    parts: Sequence[PartsTable] = ()
    counter: Counter | None = None
    columns: Callable[[Any], Mapping[str, Any]] = own_fields
    """The row's columns, where some are made of its fields."""
    adds: str = ""
    """The column that says what a row adds to the sums by day, if it adds to any."""


@dataclass(frozen=True, eq=False)
class PartsTable:
    """Any number of rows that belong to a shown one, and are replaced with it. What is as before stays untouched."""

    kind: type[Row]
    table: sa.Table
    """Its primary key begins with the key of the shown row's table, by the same name."""
    columns: Callable[[Any], Mapping[str, Any]] = own_fields


@dataclass(frozen=True, eq=False)
class KeptTable:
    """An append-only table; a row whose primary key is there already is the same row."""

    kind: type[Row]
    table: sa.Table
    columns: Callable[[Any], Mapping[str, Any]] = own_fields


@dataclass(frozen=True, eq=False)
class ReadModelTables:
    """All tables of a projection."""

    shown: Sequence[ShownTable] = ()
    kept: Sequence[KeptTable] = ()
    sums: DaySums | None = None
    """To which the rows of shown tables add."""


@dataclass(frozen=True)
class ShownRow:
    """One row to be shown, with what belongs to it by table. `erased`: whatever revision is there."""

    row: Row
    parts: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """By the name of each of the shown table's parts."""
    erased: bool = False


@dataclass(frozen=True)
class Folded:
    """What some records come to: all of it is written, or nothing."""

    moves: Mapping[Place, tuple[int, int]]
    """Where each partition has been read to, and where to now (exclusive offsets)."""
    shown: Mapping[str, Sequence[ShownRow]] = field(default_factory=dict)
    """By name of the kind of row; one row per key."""
    kept: Sequence[Row] = ()
    parked: Sequence[ParkedRow] = ()
    caught_up: Collection[tuple[str, str]] = ()
    """Topics and keys of shown rows: what is parked of them is out of date."""
    released: Collection[int] = ()
    """Ids of parked records that are written now: of one that is gone, nothing is written (MovedOn)."""


class MovedOn(Exception):
    """Another worker, or an earlier try of this one, has read a partition further than was thought."""


class ReadModels(Protocol):
    """The read models' database. Raises StoreUnavailable."""

    async def positions(self, places: Collection[Place]) -> Mapping[Place, int]:
        """The offset to read next of each partition: 0 where none was read."""
        ...

    async def write(self, folded: Folded) -> None:
        """Raises MovedOn, Conflict where another worker holds the same rows, BatchRefused."""
        ...

    async def parked_keys(self, topics: Collection[str]) -> Collection[tuple[str, str]]:
        """Topic and key of what is parked of these topics."""
        ...
