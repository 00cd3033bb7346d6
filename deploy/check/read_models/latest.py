"""The latest status record of every key, as topics have it: in a file of its own, for there may be millions."""

from __future__ import annotations

import pickle
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from shared.shell.ports.bus import BusRecord

_TABLE = """
    create table latest (kind text, key text, revision integer, record blob, primary key (kind, key)) without rowid
"""
_PUT = """
    insert into latest values (?, ?, ?, ?) on conflict (kind, key) do update
    set revision = excluded.revision, record = excluded.record where excluded.revision > latest.revision
"""


class Latest(NamedTuple):
    """`kind`: the name of the kind of row that the record shows."""

    kind: str
    key: str
    revision: int
    record: BusRecord


class LatestRecords:
    """A file that ends with it. Not encrypted: readable by its own user only."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="orderbus-")
        self._database = sqlite3.connect(Path(self._folder.name) / "latest")
        for statement in ("pragma journal_mode = off", "pragma synchronous = off", _TABLE):
            self._database.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def put(self, found: Iterable[Latest]) -> None:
        """What has a higher revision than what is there; of one revision, the first."""
        rows = ((one.kind, one.key, one.revision, pickle.dumps(astuple(one.record))) for one in found)
        self._database.executemany(_PUT, rows)

    def forget(self, keys: Iterable[tuple[str, str]]) -> None:
        """By kind and key: what was erased, or cannot be read."""
        self._database.executemany("delete from latest where kind = ? and key = ?", keys)

    def count(self, kind: str) -> int:
        (number,) = self._database.execute("select count(*) from latest where kind = ?", (kind,)).fetchone()
        return int(number)

    def known(self, kind: str, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if self._one(kind, key) is not None}

    def of(self, kind: str, keys: Sequence[str]) -> list[BusRecord]:
        return [_record(data) for key in keys if (data := self._one(kind, key)) is not None]

    def all(self, kind: str, at_once: int) -> Iterator[list[BusRecord]]:
        """In the order of keys."""
        found = self._database.execute("select record from latest where kind = ? order by key", (kind,))
        while rows := found.fetchmany(at_once):
            yield [_record(data) for (data,) in rows]

    def _one(self, kind: str, key: str) -> bytes | None:
        row = self._database.execute("select record from latest where kind = ? and key = ?", (kind, key)).fetchone()
        return None if row is None else row[0]


def _record(data: bytes) -> BusRecord:
    return BusRecord(*pickle.loads(data))  # noqa: S301  # of our own file
