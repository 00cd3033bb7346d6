"""The rows that a batch works on: loaded once, locked where they may change, written at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.core import Ref, codec
from shared.shell.batch.state_cache import StateCache
from shared.shell.ports.rows import StateRow, StateWrite
from shared.shell.ports.store import Transaction
from shared.shell.ports.tables import StateTable


@dataclass(slots=True)
class LoadedRow:
    table: StateTable
    key: str
    version: int
    """0: there is no such row yet."""
    sequence: int
    stored: bytes | str | None
    locked: bool
    parsed: bool = False
    state: Any = None
    dirty: bool = False

    def current(self) -> Any:
        """The state, parsed when it is first asked for."""
        if not self.parsed:
            self.state = None if self.stored is None else codec.load(self.table.kind, self.stored)
            self.parsed = True
        return self.state

    def store(self, state: Any) -> str:
        """The id of the store that the row belongs to, by its state; empty where that does not tell."""
        return "" if state is None else self.table.store(self.key, state)

    def written(self, at: datetime) -> StateWrite:
        data = None if self.state is None else codec.dump(self.state)
        columns = {} if self.state is None else self.table.columns(self.state)
        return StateWrite(StateRow(self.key, self.version + 1, self.sequence, data), columns, at)


class LoadedRows:
    def __init__(self, tables: Sequence[StateTable], cache: StateCache) -> None:
        """`tables` in the order in which they are locked."""
        self._tables, self._cache = tables, cache
        self._rows: dict[Ref[Any], LoadedRow] = {}

    def __getitem__(self, ref: Ref[Any]) -> LoadedRow:
        return self._rows[ref]

    async def fetch(self, tx: Transaction, refs: set[Ref[Any]], *, lock: bool) -> None:
        """Load what is not there yet, or not locked. Each table in key order: two workers that need the same rows wait
        for each other instead of locking each other out."""
        missing = [ref for ref in refs if not self._has(ref, lock)]
        for table in self._tables if missing else ():
            keys = sorted(ref.key for ref in missing if ref.kind is table.kind)
            if keys:
                cached = self._cache.states(table.kind, keys)
                versions = {key: version for key, (version, _) in cached.items()}
                found = await tx.load(table, keys, lock=lock, known=versions)
                for key in keys:
                    row = _loaded_row(table, key, found.get(key), lock, cached.get(key))
                    self._rows[Ref(table.kind, key)] = row

    def _has(self, ref: Ref[Any], lock: bool) -> bool:
        loaded = self._rows.get(ref)
        return loaded is not None and (loaded.locked or not lock)

    def changed(self, at: datetime) -> Iterator[tuple[StateTable, list[StateWrite]]]:
        """What is to be written, each table in key order as it was locked."""
        for table in self._tables:
            rows = [row for row in self._rows.values() if row.dirty and row.table is table]
            if rows:
                yield table, [row.written(at) for row in sorted(rows, key=lambda row: row.key)]

    def new_keys(self) -> set[str]:
        """The keys of rows that are about to be created."""
        return {row.key for row in self._rows.values() if row.dirty and not row.version}

    def cache_states(self) -> None:
        """Keep the states for later batches. Only after the commit: until then they may still be rolled back."""
        for ref, loaded in self._rows.items():
            if loaded.parsed and loaded.state is not None:
                self._cache.keep(ref, loaded.version + loaded.dirty, loaded.state)


def _loaded_row(
    table: StateTable, key: str, row: StateRow | None, locked: bool, cached: tuple[int, Any] | None
) -> LoadedRow:
    """A row as it was loaded, with the cached state where that has the same version."""
    if row is None:
        return LoadedRow(table, key, 0, 0, None, locked)
    if cached is not None and cached[0] == row.version:
        return LoadedRow(table, key, row.version, row.sequence, None, locked, True, cached[1])
    return LoadedRow(table, key, row.version, row.sequence, row.data, locked)
