"""Read models on PostgreSQL: a batch is one transaction, and each table is written by one statement (two for parts)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import asyncpg
import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.ports.read_models import Folded, MovedOn, PartsTable, Place, ReadModelTables, ShownRow, ShownTable
from shared.shell.postgres import day_sums
from shared.shell.postgres import read_model_statements as statements
from shared.shell.postgres.connections import Connections, execute, fetch
from shared.shell.postgres.day_sums import Change
from shared.shell.postgres.read_model_statements import primary_key
from shared.shell.postgres.transaction import PostgresTransaction

Columns = Mapping[str, Sequence[Any]]


class PostgresReadModels:
    """See `ports.read_models`."""

    def __init__(self, engine: AsyncEngine, tables: ReadModelTables) -> None:
        self._connections, self.tables = Connections(engine), tables

    async def positions(self, places: Collection[Place]) -> Mapping[Place, int]:
        topics, partitions = [topic for topic, _ in places], [partition for _, partition in places]
        rows = await self._connections.fetch(statements.POSITIONS, {"topics": topics, "partitions": partitions})
        return {(topic, partition): offset for topic, partition, offset in rows}

    async def parked_keys(self, topics: Collection[str]) -> Collection[tuple[str, str]]:
        rows = await self._connections.fetch(statements.PARKED_KEYS, {"topics": list(topics)})
        return [(topic, key) for topic, key in rows]

    async def write(self, folded: Folded) -> None:
        async with self._connections.driver() as driver, driver.transaction():
            await _move(driver, folded.moves)
            if folded.released:
                released = await execute(driver, statements.RELEASE, {"ids": list(folded.released)})
                if released != len(folded.released):
                    raise MovedOn
            changes: list[Change] = []
            for table in self.tables.shown:
                if rows := folded.shown.get(table.kind.__name__):
                    changes += await self._show(driver, table, rows)
            for kept in self.tables.kept:
                if own := [row for row in folded.kept if type(row) is kept.kind]:
                    columns = _columns(kept.table, list(map(kept.columns, own)))
                    await execute(driver, statements.keep_statement(kept, tuple(columns)), columns)
            if folded.caught_up:
                topics, keys = zip(*folded.caught_up, strict=True)
                await execute(driver, statements.CATCH_UP, {"topics": topics, "keys": keys})
            if folded.parked:
                await PostgresTransaction(driver, _no_relay).park(folded.parked)
            if changes:  # last: each worker that counts the same day waits for who has
                await self._add(driver, changes)

    async def _add(self, driver: asyncpg.Connection, changes: Sequence[Change]) -> None:
        sums = self.tables.sums
        assert sums is not None
        await execute(driver, day_sums.lock_statement(sums), {})
        adds, signs = zip(*changes, strict=True)
        await execute(driver, day_sums.change_statement(sums), {"adds": adds, "signs": signs})

    async def _show(self, driver: asyncpg.Connection, table: ShownTable, rows: Sequence[ShownRow]) -> list[Change]:
        """Returns what the rows add from now on, and what they no longer do."""
        changed: set[str] = set()
        changes: list[Change] = []
        if table.counter or table.adds:  # what was counted before must be of rows that are ours: there must be some
            keys = {"keys": [getattr(row.row, table.key) for row in rows]}
            await execute(driver, statements.ensure_statement(table), keys)
            await execute(driver, statements.lock_statement(table), keys)
        for erased in (False, True):
            if own := [row for row in rows if row.erased is erased]:
                columns = _columns(table.table, [table.columns(row.row) for row in own])
                statement = statements.show_statement(table, tuple(columns), erased)
                returned = await fetch(driver, statement, columns)
                changed |= {row[0] for row in returned}
                if table.adds:
                    added = dict(zip(columns[table.key], columns[table.adds], strict=True))
                    moved = [(row[0], row[2]) for row in returned if row[1]]
                    changes += [(before, -1) for _, before in moved if before]
                    changes += [(now, 1) for key, _ in moved if (now := added[key])]
        for parts in table.parts if changed else ():
            await _replace_parts(driver, parts, table.key, changed, list(_parts_of(parts, table.key, rows, changed)))
        return changes


def _no_relay() -> bool:
    """Nothing is written that a relay should be told of."""
    return False


async def _move(driver: asyncpg.Connection, moves: Mapping[Place, tuple[int, int]]) -> None:
    """Raises MovedOn. First: who has moved a partition's position holds it until the end of the transaction."""
    if not moves:
        return
    places = sorted(moves)
    values = {
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
        "froms": [moves[place][0] for place in places],
        "tos": [moves[place][1] for place in places],
    }
    moved = await fetch(driver, statements.MOVE, values)
    if any(start == 0 for start, _ in moves.values()):
        moved += await fetch(driver, statements.BEGIN, values)
    if len(moved) != len(moves):
        raise MovedOn


def _parts_of(
    parts: PartsTable, key: str, rows: Sequence[ShownRow], changed: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if getattr(row.row, key) in changed:
            yield from map(parts.columns, row.parts[parts.table.name])


async def _replace_parts(
    driver: asyncpg.Connection, parts: PartsTable, key: str, changed: Collection[str], rows: list[Mapping[str, Any]]
) -> None:
    own = primary_key(parts.table)
    values = {name: [row[name] for row in rows] for name in own} | {"changed": list(changed)}
    await execute(driver, statements.drop_parts_statement(parts, key), values)
    if rows:
        columns = _columns(parts.table, rows)
        await execute(driver, statements.put_parts_statement(parts, tuple(columns)), columns)


def _columns(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """By name, as the statements take them: arrays and JSON as text."""
    found: dict[str, Sequence[Any]] = {}
    for name in rows[0]:
        kind, values = table.columns[name].type, [row[name] for row in rows]
        if isinstance(kind, sa.ARRAY | postgresql.ARRAY):
            values = [None if value is None else array_literal(value) for value in values]
        elif isinstance(kind, sa.JSON):
            values = [None if value is None else orjson.dumps(value, default=str).decode() for value in values]
        found[name] = values
    return found


def array_literal(values: Sequence[str]) -> str:
    """Texts as PostgreSQL reads an array of them (PostgreSQL, "Array Input and Output Syntax")."""
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
