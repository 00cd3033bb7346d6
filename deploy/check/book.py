"""What topics and providers say, by key, in a file: the check reads it again slice by slice, and a later check goes on
from it.

A check changes the book in one transaction, which is kept only if it found no violation: otherwise the next check sees
the same again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from deploy.check.numbers import Numbers
from services.payments.gateways.provider import ProviderMovement

APPLICATION = 0x6F726362
"""SQLite's `application_id` of a checkpoint."""
VERSION = 4
"""Of the tables: a book of another version is begun again."""
FIRST_VERSION = {"meta", "places", "numbers", "movements", "unhandled", "again", "holds"}
"""The tables of the version without an `application_id`."""
CACHE_KB = 8_000
AT_ONCE = 500

_KEPT = (
    "create table meta (name text primary key, value text not null) without rowid",
    "create table places (topic text, partition integer, next integer, primary key (topic, partition)) without rowid",
    """create table numbers (key text, source text, first integer, partition integer, ids blob, odd blob,
        primary key (key, source)) without rowid""",
    """create table movements (reference text primary key, key text, amount integer, currency text, attempt text,
        refund text, charge text) without rowid""",
    "create index movements_key on movements (key)",
    """create table unhandled (service text, identity text, key text, type text, id text, at text, topic text,
        partition integer, place integer, primary key (service, identity)) without rowid""",
    "create index unhandled_key on unhandled (key)",
    "create table again (key text primary key) without rowid",
    "create table later (key text primary key) without rowid",
    "create table holds (key text, sku text, reserved integer, taken integer, primary key (key, sku)) without rowid",
)
_PASSING = (
    """create temp table told (key text primary key, body blob, partition integer, revision integer)
        without rowid""",
    "create temp table due (key text primary key) without rowid",
    """create temp table wanted (key text, source text, number integer, cut integer, primary key (key, source))
        without rowid""",
)


_TELL = """
    insert into told values (?, ?, ?, ?) on conflict (key) do update
    set body = excluded.body, partition = excluded.partition, revision = excluded.revision
    where excluded.partition = told.partition or excluded.revision > told.revision
"""


class Told(NamedTuple):
    """A record of the status topic; the body is None where it removes its key."""

    body: bytes | None
    partition: int

    @property
    def revision(self) -> int:
        """Below all others where there is none."""
        try:
            revision = orjson.loads(self.body or b"").get("revision")
        except (orjson.JSONDecodeError, AttributeError):
            return -1
        return revision if isinstance(revision, int) else -1

    def or_later(self, other: Told) -> Told:
        """Which one counts, where `other` was read later: it follows in the same partition, but once partitions were
        added, older records of the key stay in another one for ever."""
        return other if other.partition == self.partition or other.revision > self.revision else self


class Missing(NamedTuple):
    """A record that is not in the inbox of a service that should have handled it."""

    service: str
    identity: str
    key: str
    type: str
    id: str
    at: str
    """When it was written, ISO 8601."""
    topic: str
    partition: int
    offset: int


class Wanted(NamedTuple):
    """An event that must be further back on its topic."""

    key: str
    source: str
    number: int
    may_be_cut: bool
    """Retention explains it if it is not there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the book says about one key."""

    numbers: Mapping[str, Numbers]
    """By source."""
    told: bytes | None
    """The latest record of the status topic."""
    movements: Sequence[ProviderMovement]
    missing: Sequence[Missing]


class ForeignFile(Exception):
    """It is another program's: its tables stay as they are."""


class Book:
    """`path`: kept from check to check; None: forgotten at the end."""

    def __init__(self, path: Path | None) -> None:
        self._file = sqlite3.connect(path or "", isolation_level=None)
        self._file.execute(f"pragma cache_size = -{CACHE_KB}")
        self._file.execute("pragma synchronous = off")
        self._file.execute("pragma temp_store = file")
        self._file.execute("begin immediate")
        if not self._is_ours():
            self._file.close()
            raise ForeignFile
        (version,) = self._file.execute("pragma user_version").fetchone()
        if version != VERSION:
            self.clear()
        for statement in _PASSING:
            self._file.execute(statement)

    def _is_ours(self) -> bool:
        """A file with nothing in it can become a checkpoint."""
        (application,) = self._file.execute("pragma application_id").fetchone()
        return application == APPLICATION or (application == 0 and {*self._tables()} in (set(), FIRST_VERSION))

    def _tables(self) -> list[str]:
        return [name for (name,) in self._file.execute("select name from main.sqlite_master where type = 'table'")]

    def clear(self) -> None:
        for name in self._tables():
            self._file.execute(f"drop table main.{name}")
        for statement in _KEPT:
            self._file.execute(statement)
        self._file.execute(f"pragma user_version = {VERSION}")
        self._file.execute(f"pragma application_id = {APPLICATION}")

    def close(self, *, keep: bool) -> None:
        self._file.execute("commit" if keep else "rollback")
        self._file.close()

    # How far it was read

    @property
    def since(self) -> datetime | None:
        """When the check began that the book was last kept of; None for a new book."""
        row = self._file.execute("select value from meta where name = 'since'").fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    @since.setter
    def since(self, at: datetime) -> None:
        self._file.execute("insert or replace into meta values ('since', ?)", (at.isoformat(),))

    def places(self) -> dict[tuple[str, int], int]:
        """The offset to read next, by topic and partition."""
        return {(topic, partition): n for topic, partition, n in self._file.execute("select * from places")}

    def place(self, topic: str, partition: int, following: int) -> None:
        self._file.execute("insert or replace into places values (?, ?, ?)", (topic, partition, following))

    # What was read

    def add_numbers(self, found: Mapping[tuple[str, str], Numbers]) -> None:
        """By key and source; what follows on what is in the book."""
        known = self._known({key for key, _ in found})
        rows = []
        for place, numbers in found.items():
            whole = known.get(place, numbers)
            if whole is not numbers:
                whole.extend(numbers)
            rows.append((*place, *whole.dump()))
        self._file.executemany("insert or replace into numbers values (?, ?, ?, ?, ?, ?)", rows)
        self.add_due(key for key, _ in found)

    def _known(self, keys: Iterable[str]) -> dict[tuple[str, str], Numbers]:
        if self._file.execute("select 1 from numbers limit 1").fetchone() is None:
            return {}
        return {
            (key, source): Numbers.load(*dumped)
            for some in pieces(sorted(keys), AT_ONCE)
            for key, source, *dumped in self._in("select * from numbers", some)
        }

    def add_told(self, told: Mapping[str, Told]) -> None:
        """The latest record of the status topic, by key."""
        self._file.executemany(_TELL, [(key, *one, one.revision) for key, one in told.items()])
        self.add_due(told)

    def add_movements(self, moved: Iterable[ProviderMovement]) -> None:
        """What a provider has of a reference replaces what it had before."""
        rows = [(m.reference, m.order, m.amount, m.currency, m.attempt, m.refund, m.charge) for m in moved]
        self._file.executemany("insert or replace into movements values (?, ?, ?, ?, ?, ?, ?)", rows)
        self.add_due(row[1] for row in rows)

    def nameless(self) -> list[str]:
        """References of movements that name no order; a refund that names none has its charge's."""
        self._file.execute(
            """update movements set key = coalesce(
                (select key from movements charges where charges.reference = movements.charge), ''
            ) where key = '' and charge <> ''"""
        )
        return [row[0] for row in self._file.execute("select reference from movements where key = ''")]

    def name(self, orders: Mapping[str, str]) -> None:
        """Orders by reference."""
        rows = [(order, reference) for reference, order in orders.items()]
        self._file.executemany("update movements set key = ? where reference = ?", rows)
        self.add_due(orders.values())

    def sums_of_charges(self, references: Iterable[str]) -> dict[str, int]:
        """What the provider has of these charges and their refunds, by currency; keys in motion are left out."""
        sums: dict[str, int] = {}
        for reference in references:
            rows = self._file.execute(
                """select currency, sum(amount) from movements where (reference = ? or charge = ?)
                and key not in (select key from again) group by currency""",
                (reference, reference),
            )
            for currency, amount in rows:
                sums[currency] = sums.get(currency, 0) + amount
        return sums

    def set_holds(self, keys: Iterable[str], holds: Iterable[tuple[str, str, int, int]]) -> None:
        """What these orders hold of stock: key, stock, units reserved, units taken. Replaces what they held before."""
        self._file.executemany("delete from holds where key = ?", [(key,) for key in keys])
        self._file.executemany("insert into holds values (?, ?, ?, ?)", holds)

    def held(self) -> dict[str, tuple[int, int]]:
        """Units reserved and taken by all orders, by stock."""
        rows = self._file.execute("select sku, sum(reserved), sum(taken) from holds group by sku")
        return {sku: (reserved, taken) for sku, reserved, taken in rows}

    def sums(self) -> dict[str, int]:
        """What the provider holds by its own records, by currency; keys in motion are left out."""
        rows = self._file.execute(
            "select currency, sum(amount) from movements where key not in (select key from again) group by currency"
        )
        return dict(rows.fetchall())

    def set_missing(self, found: Iterable[Missing]) -> None:
        """Replaces what was missing before."""
        self._file.execute("delete from unhandled")
        self.add_missing(found)

    def add_missing(self, found: Iterable[Missing]) -> None:
        found = list(found)
        self._file.executemany("insert or replace into unhandled values (?, ?, ?, ?, ?, ?, ?, ?, ?)", found)
        self.add_due(one.key for one in found)

    def missing(self) -> Iterator[Missing]:
        yield from map(Missing._make, self._file.execute("select * from unhandled"))

    def due_again(self) -> None:
        """What was in motion or under way in the check before is to be checked now."""
        for table in ("again", "later"):
            self._file.execute(f"insert or ignore into due select key from {table}")
            self._file.execute(f"delete from {table}")

    def add_again(self, keys: Iterable[str]) -> None:
        """Keys in motion: the next check asks what this one cannot."""
        self._file.executemany("insert or ignore into again values (?)", ((key,) for key in keys))

    def add_later(self, keys: Iterable[str]) -> None:
        """Keys that something is still to be done for: should it fail to come, no row changes."""
        self._file.executemany("insert or ignore into later values (?)", ((key,) for key in keys))

    def again(self) -> Iterator[list[str]]:
        yield from self._keys("again", AT_ONCE)

    # What is to be found further back

    def add_wanted(self, wanted: Iterable[Wanted]) -> None:
        self._file.executemany("insert or replace into wanted values (?, ?, ?, ?)", wanted)

    def found(self, numbers: Iterable[tuple[str, str, int]]) -> None:
        """Events by key, source and number."""
        self._file.executemany("delete from wanted where key = ? and source = ? and number = ?", numbers)

    def wanted(self) -> Iterator[Wanted]:
        yield from map(Wanted._make, self._file.execute("select * from wanted order by key, source"))

    def is_wanted(self) -> bool:
        return self._file.execute("select 1 from wanted limit 1").fetchone() is not None

    # What is to be checked

    def add_due(self, keys: Iterable[str]) -> None:
        self._file.executemany("insert or ignore into due values (?)", ((key,) for key in keys))

    def slices(self, size: int) -> Iterator[list[str]]:
        """The keys to be checked, in order."""
        yield from self._keys("due", size)

    def _keys(self, table: str, size: int) -> Iterator[list[str]]:
        statement, last = f"select key from {table} where key > ? order by key limit {size}", ""
        (nothing,) = self._file.execute(f"select count(*) from {table} where key = ''").fetchone()
        if nothing:
            yield [""]
        while keys := [key for (key,) in self._file.execute(statement, (last,))]:
            yield keys
            last = keys[-1]

    def entries(self, keys: Sequence[str]) -> dict[str, Entry]:
        numbers: dict[str, dict[str, Numbers]] = {key: {} for key in keys}
        movements: dict[str, list[ProviderMovement]] = {key: [] for key in keys}
        missing: dict[str, list[Missing]] = {key: [] for key in keys}
        told: dict[str, bytes] = {}
        for some in pieces(keys, AT_ONCE):
            for key, source, *dumped in self._in("select * from numbers", some):
                numbers[key][source] = Numbers.load(*dumped)
            for reference, key, amount, currency, *of in self._in("select * from movements", some):
                movements[key].append(ProviderMovement(reference, amount, currency, key, *of))
            for one in map(Missing._make, self._in("select * from unhandled", some)):
                missing[one.key].append(one)
            told.update(self._in("select key, body from told", some))
        return {key: Entry(numbers[key], told.get(key), movements[key], missing[key]) for key in keys}

    def _in(self, statement: str, keys: Sequence[str]) -> Iterator[tuple]:  # type: ignore[type-arg]
        marks = ", ".join("?" * len(keys))
        yield from self._file.execute(f"{statement} where key in ({marks})", keys)


def pieces(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
