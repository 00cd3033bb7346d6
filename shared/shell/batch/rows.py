"""The rows that a batch works on: loaded once, locked where they may change, written at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError

from shared.core import Ref, codec
from shared.core.unknown_fields import Carried, carried
from shared.shell.batch.state_cache import Cached, StateCache
from shared.shell.ports.rows import StateRow, StateWrite
from shared.shell.ports.store import Transaction
from shared.shell.ports.tables import StateTable, WrittenByNewer

MIXED = 0
"""The shape of data that more than one build wrote: each of them reads it with care."""


@dataclass(slots=True)
class LoadedRow:
    table: StateTable
    key: str
    version: int
    """0: there is no such row yet."""
    sequence: int
    stored: bytes | str | None
    locked: bool
    shape: int = 0
    """Of what is stored."""
    parsed: bool = False
    state: Any = None
    dirty: bool = False
    carried: Carried | None = None
    """Set where the stored state has more than this build knows."""

    def current(self) -> Any:
        """The state, parsed when it is first asked for. Raises WrittenByNewer."""
        if not self.parsed:
            kind = self.table.kind
            if self.stored is None:
                self.state = None
            elif self.shape == codec.shape_of(kind):
                self.state = codec.load(kind, self.stored)
            else:
                self._load_carefully(self.stored)
            self.parsed = True
        return self.state

    def _load_carefully(self, stored: bytes | str) -> None:
        """Another build wrote it."""
        kind = self.table.kind
        try:
            self.state = codec.load(kind, stored)
        except ValidationError as unknown:
            raise WrittenByNewer(f"{kind.__qualname__} {self.key} was written by a newer build") from unknown
        if orjson.loads(stored) != orjson.loads(codec.dump_state(self.state)):
            self.carried = carried(stored, codec.dump(self.state))

    def store(self, state: Any) -> str:
        """The id of the store that the row belongs to, by its state; empty where that does not tell."""
        return "" if state is None else self.table.store(self.key, state)

    def written(self, at: datetime) -> StateWrite:
        version = self.version + 1
        if self.state is None:
            return StateWrite(StateRow(self.key, version, self.sequence, None), {}, at)
        if self.carried is not None:
            self.carried = self.carried.after(codec.dump(self.state))
        if self.carried is not None:
            data, shape = orjson.dumps(self.carried.stored), MIXED
        else:
            dump = codec.dump_state if self.table.brief else codec.dump
            data, shape = dump(self.state), codec.shape_of(self.table.kind)
        return StateWrite(StateRow(self.key, version, self.sequence, data, shape), self.table.columns(self.state), at)


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
                versions = {key: known.version for key, known in cached.items()}
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
                known = Cached(loaded.version + loaded.dirty, loaded.state, loaded.carried)
                self._cache.keep(ref, known)


def _loaded_row(table: StateTable, key: str, row: StateRow | None, locked: bool, cached: Cached | None) -> LoadedRow:
    """A row as it was loaded, with the cached state where that has the same version."""
    if row is None:
        return LoadedRow(table, key, 0, 0, None, locked)
    if cached is not None and cached.version == row.version:
        state = cached.state
        return LoadedRow(
            table, key, row.version, row.sequence, None, locked, row.shape, True, state, False, cached.carried
        )
    return LoadedRow(table, key, row.version, row.sequence, row.data, locked, row.shape)
