"""Read models in memory. See `shell.ports.read_models`."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared.contracts.times import zone_of
from shared.core.day_sums import SumKey, expanded
from shared.shell.ports.read_models import (
    Counter,
    DaySums,
    Folded,
    KeptTable,
    MovedOn,
    PartsTable,
    Place,
    ReadModelTables,
    ShownRow,
    ShownTable,
)
from shared.shell.ports.store import BatchRefused
from shared.simulation.columns import refusal
from shared.simulation.memory_database import PARKED, POSITIONS
from shared.simulation.memory_store import MemoryStore
from shared.simulation.memory_transaction import MemoryTransaction

Columns = Mapping[str, Any]


class MemoryReadModels:
    """Rows are dicts of the columns that were written, by primary key."""

    def __init__(self, store: MemoryStore, tables: ReadModelTables) -> None:
        self.store, self.tables = store, tables

    async def positions(self, places: Collection[Place]) -> Mapping[Place, int]:
        await self.store.pause("positions")
        known = self.store.rows(POSITIONS)
        return {place: known[place] for place in places if place in known}

    async def parked_keys(self, topics: Collection[str]) -> Collection[tuple[str, str]]:
        await self.store.pause("parked_keys")
        return {(row.topic, row.key) for row in self.store.rows(PARKED).values() if row.topic in topics}

    async def write(self, folded: Folded) -> None:
        async with self.store.begin() as tx:
            await self._move(tx, folded.moves)
            for id in folded.released:
                if not await tx.unpark(id):
                    raise MovedOn
            sums: Counts[tuple[SumKey, str]] = Counts()
            for table in self.tables.shown:
                await self._show(tx, table, folded.shown.get(table.kind.__name__, ()), sums)
            for kept in self.tables.kept:
                await self._keep(tx, kept, [kept.columns(row) for row in folded.kept if type(row) is kept.kind])
            await self._unpark(tx, folded)
            if folded.parked:
                await tx.park(folded.parked)
            if sums and self.tables.sums:
                await self._add(tx, self.tables.sums, sums)

    async def _move(self, tx: MemoryTransaction, moves: Mapping[Place, tuple[int, int]]) -> None:
        for place, (since, until) in sorted(moves.items()):
            await self.store.pause("move")
            await self.store.locks.take((POSITIONS, place), tx)
            if (tx.get(POSITIONS, place) or 0) != since:
                raise MovedOn
            tx.put(POSITIONS, place, until)

    async def _show(
        self, tx: MemoryTransaction, table: ShownTable, rows: Sequence[ShownRow], sums: Counts[tuple[SumKey, str]]
    ) -> None:
        await self.store.pause("show")
        changes: Counts[tuple[str, ...]] = Counts()
        for row in sorted(rows, key=lambda row: str(getattr(row.row, table.key))):
            key, columns = getattr(row.row, table.key), table.columns(row.row)
            _check(table.table, columns)
            await self.store.locks.take((table.table.name, key), tx)
            before = tx.get(table.table.name, key) or {}
            if not row.erased and before.get(table.revision, 0) >= columns[table.revision]:
                continue
            after = {**before, **columns}
            tx.put(table.table.name, key, after)
            if table.counter:
                changes.subtract(_counted(table.counter, before))
                changes.update(_counted(table.counter, after))
            if table.adds:
                sums.subtract(self._added(tx, before.get(table.adds)))
                sums.update(self._added(tx, after.get(table.adds)))
            for parts in table.parts:
                await self._replace(tx, parts, table.key, key, row)

        if table.counter:
            await self._count(tx, table.counter, changes)

    def _added(self, tx: MemoryTransaction, adds: Mapping[str, Any] | None) -> Counts[tuple[SumKey, str]]:
        found: Counts[tuple[SumKey, str]] = Counts()
        if adds and self.tables.sums:
            store = tx.get(self.tables.sums.zones.name, adds["store"]) or {}
            for key, figures in expanded(adds, zone_of(store.get("sums_zone")), self.tables.sums.by_month):
                found.update({(key, name): number for name, number in figures.items()})
        return found

    async def _add(self, tx: MemoryTransaction, sums: DaySums, changes: Mapping[tuple[SumKey, str], int]) -> None:
        await self.store.pause("sums")
        for (key, figure), change in sorted(changes.items()):
            if change:
                await self.store.locks.take((sums.table.name, key), tx)
                row = tx.get(sums.table.name, key) or key._asdict()
                tx.put(sums.table.name, key, {**row, figure: row.get(figure, 0) + change})

    async def _count(self, tx: MemoryTransaction, counter: Counter, changes: Mapping[tuple[str, ...], int]) -> None:
        for key, change in sorted(changes.items(), key=str):
            await self.store.locks.take((counter.table.name, key), tx)
            row = tx.get(counter.table.name, key) or {**dict(zip(counter.columns, key, strict=True)), "count": 0}
            tx.put(counter.table.name, key, {**row, "count": row["count"] + change})

    async def _replace(self, tx: MemoryTransaction, parts: PartsTable, name: str, key: str, row: ShownRow) -> None:
        await self.store.pause("parts")
        table = parts.table.name
        for old in tx.scan(table):
            if old[name] == key:
                tx.delete(table, _primary_key(parts.table, old))
        for part in row.parts[table]:
            columns = parts.columns(part)
            _check(parts.table, columns)
            tx.put(table, _primary_key(parts.table, columns), columns)

    async def _keep(self, tx: MemoryTransaction, kept: KeptTable, rows: Sequence[Columns]) -> None:
        await self.store.pause("keep")
        for columns in rows:
            _check(kept.table, columns)
            key = _primary_key(kept.table, columns)
            if tx.get(kept.table.name, key) is None:
                tx.put(kept.table.name, key, columns)

    async def _unpark(self, tx: MemoryTransaction, folded: Folded) -> None:
        await self.store.pause("unpark")
        for row in tx.scan(PARKED):
            if (row.topic, row.key) in folded.caught_up:
                tx.delete(PARKED, row.id)


def _counted(counter: Counter, columns: Columns) -> list[tuple[str, ...]]:
    """What a row counts for: nothing where a text is empty."""
    key = tuple(columns.get(name) for name in counter.columns)
    return [key] if all(key) else []  # type: ignore[list-item]


def _primary_key(table: sa.Table, columns: Columns) -> Hashable:
    return tuple(columns[column.name] for column in table.primary_key.columns)


def _check(table: sa.Table, columns: Columns) -> None:
    if state := refusal(table, columns):
        raise BatchRefused(f"the database refused the data: {state}")
