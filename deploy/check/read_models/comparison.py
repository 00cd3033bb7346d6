"""Read models compared with the latest records of their topics, row by row, and written again where they differ.

What is compared is what a record by itself shows: no batch, position or guard has a part in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from aiokafka import TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.check.read_models.latest import Latest, LatestRecords
from shared.core.projection import Projection
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.read_models import Counter, Folded, ReadModelTables, ShownRow, ShownTable
from shared.shell.postgres.day_sums import sum_again, wrong_sums
from shared.shell.postgres.read_models import PostgresReadModels
from shared.shell.projection.fold import Fold

AT_ONCE = 500
"""Rows."""
Differing = dict[str, dict[str, str]]
"""By kind of row and key: what differs, in words."""


@dataclass
class Comparison:
    """Of one service: `take` records, `compare` all, then `again` what differed; `fix` writes what records show."""

    engine: AsyncEngine
    projection: Projection
    tables: ReadModelTables
    latest: LatestRecords
    compared: int = 0
    unreadable: int = 0
    """Records that this build cannot show: their keys are not compared."""
    _fold: Fold = field(init=False)

    def __post_init__(self) -> None:
        self._fold = Fold(self.projection, self.tables)

    def topics(self) -> list[str]:
        """Those of status records."""
        return [kind.topic.name for kind in self.projection.shown]

    def take(self, records: Iterable[BusRecord]) -> None:
        found: list[Latest] = []
        for record in records:
            for table, row in self._shown(record):
                kind, key = table.kind.__name__, getattr(row.row, table.key)
                if not row.erased:
                    found.append(Latest(kind, key, getattr(row.row, table.revision), record))
                    continue
                self.latest.put(found)
                found.clear()
                self.latest.forget([(kind, key)])
        self.latest.put(found)

    def _shown(self, record: BusRecord) -> list[tuple[ShownTable, ShownRow]]:
        folded, counts = self._fold.fold([record], {(record.topic, record.partition): record.offset}, record.at)
        if folded.parked or counts.unreadable:
            self.unreadable += 1
        of_kind = {table.kind.__name__: table for table in self.tables.shown}
        return [(of_kind[kind], row) for kind, rows in folded.shown.items() for row in rows]

    async def compare(self, *, whole: bool = True) -> Differing:
        """`whole`: all records were taken, so that each row comes from one of them."""
        found: Differing = {}
        for table in self.tables.shown:
            kind = table.kind.__name__
            different: dict[str, str] = {}
            for records in self.latest.all(kind, AT_ONCE):
                different |= await self._different(table, records)
                self.compared += len(records)
            if whole:
                different |= await self._without_record(table)
            if different:
                found[kind] = different
        return found

    async def again(self, differing: Differing) -> Differing:
        """What still differs of what did."""
        found: Differing = {}
        for table in self.tables.shown:
            kind, different = table.kind.__name__, dict[str, str]()
            keys = sorted(differing.get(kind, ()))
            for some in _pieces(keys):
                known = self.latest.known(kind, some)
                different |= await self._different(table, self.latest.of(kind, some))
                different |= {key: differing[kind][key] for key in some if key not in known}
            if different:
                found[kind] = different
        return found

    async def behind(self, ends: Mapping[TopicPartition, int]) -> int:
        """How many records before these ends the service has yet to read."""
        models = PostgresReadModels(self.engine, self.tables)
        read = await models.positions([(place.topic, place.partition) for place in ends])
        return sum(max(0, end - read.get((place.topic, place.partition), 0)) for place, end in ends.items())

    async def fix(self, differing: Differing) -> int:
        """Write what the records of these keys show, whatever revision is there; returns how many. What comes from no
        record is left."""
        models, fixed = PostgresReadModels(self.engine, self.tables), 0
        for table in self.tables.shown:
            kind = table.kind.__name__
            for some in _pieces(sorted(differing.get(kind, ()))):
                rows = [row for record in self.latest.of(kind, some) for _, row in self._shown(record)]
                forced = [ShownRow(row.row, row.parts, erased=True) for row in rows]
                await models.write(Folded({}, {kind: forced}))
                fixed += len(forced)
        return fixed

    async def _different(self, table: ShownTable, records: Sequence[BusRecord]) -> dict[str, str]:
        rows = {getattr(row.row, table.key): row for record in records for _, row in self._shown(record)}
        keys = sorted(rows)
        there = {row[table.key]: row for row in await self._rows(table.table, table.key, keys)}
        different = {}
        for key, row in rows.items():
            wanted, now = table.columns(row.row), there.get(key, {})
            names = [name for name, value in wanted.items() if name not in now or _plain(now[name]) != _plain(value)]
            if names:
                different[key] = f"{table.table.name}: {', '.join(names)}" if now else f"{table.table.name}: no row"
        for parts in table.parts:
            of_key: dict[str, list[Mapping[str, Any]]] = {key: [] for key in keys}
            for part in await self._rows(parts.table, table.key, keys):
                of_key[part[table.key]].append(part)
            for key, row in rows.items():
                wanted_parts = [parts.columns(part) for part in row.parts[parts.table.name]]
                if not _alike(wanted_parts, of_key[key]):
                    different.setdefault(key, parts.table.name)
        return different

    async def _without_record(self, table: ShownTable) -> dict[str, str]:
        """Rows that no record accounts for."""
        kind, found, last = table.kind.__name__, dict[str, str](), ""
        column, revision = table.table.c[table.key], table.table.c[table.revision]
        while True:
            query = sa.select(column).where(revision > 0, column > last).order_by(column).limit(20 * AT_ONCE)
            async with self.engine.connect() as connection:
                keys = list((await connection.execute(query)).scalars())
            if not keys:
                return found
            known = self.latest.known(kind, keys)
            found |= {key: f"{table.table.name}: comes from no record" for key in keys if key not in known}
            last = keys[-1]

    async def _rows(self, table: sa.Table, key: str, keys: Sequence[str]) -> list[Mapping[str, Any]]:
        query = sa.select(table).where(table.c[key] == sa.any_(sa.cast(list(keys), sa.ARRAY(sa.Text))))
        async with self.engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def wrong_counts(self) -> list[str]:
        """Counters that are not the number of their rows of one moment, and sums to which they do not add up, in
        words."""
        wrong = []
        for table, counter in self._counters():
            counted, names = _counts_of(table, counter), ", ".join(counter.columns)
            query = f"""
                select {names}, coalesce(told.count, 0), coalesce(counted.count, 0) from ({counted}) counted
                full join {counter.table.name} told using ({names})
                where coalesce(told.count, 0) <> coalesce(counted.count, 0)
            """
            async with self.engine.connect() as connection:
                for *values, told, there in await connection.execute(sa.text(query)):
                    wrong.append(f"{counter.table.name} says {told} of {' '.join(values)}, there are {there}")
        if self.tables.sums:
            async with self.engine.connect() as connection:
                wrong += await wrong_sums(connection, self.tables)
        return wrong

    async def count_again(self) -> None:
        """The lock comes first: who has changed rows, but not counted them yet, waits, and is not counted here."""
        for table, counter in self._counters():
            name, columns = counter.table.name, ", ".join((*counter.columns, "count"))
            async with self.engine.begin() as connection:
                await connection.execute(sa.text(f"lock table {name} in exclusive mode"))
                await connection.execute(sa.text(f"delete from {name}"))
                await connection.execute(sa.text(f"insert into {name} ({columns}) {_counts_of(table, counter)}"))
        if self.tables.sums:
            async with self.engine.begin() as connection:
                await sum_again(connection, self.tables)

    def _counters(self) -> list[tuple[ShownTable, Counter]]:
        return [(table, table.counter) for table in self.tables.shown if table.counter]


def _counts_of(table: ShownTable, counter: Counter) -> str:
    names = ", ".join(counter.columns)
    filled = " and ".join(f"{name} <> ''" for name in counter.columns)
    return f"select {names}, count(*) as count from {table.table.name} where {filled} group by {names}"


def _alike(wanted: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> bool:
    if len(wanted) != len(there):
        return False
    rows = [{name: _plain(value) for name, value in row.items()} for row in there]
    return all(any(all(row[name] == _plain(value) for name, value in one.items()) for row in rows) for one in wanted)


def _plain(value: Any) -> Any:
    """Arrays are lists here and tuples there."""
    return list(value) if isinstance(value, tuple) else value


def _pieces(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))
