"""What must hold of read models when a run has come to rest: they are what the topics say, whatever was read twice or
late, or by two workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.trial import Trial
from shared.contracts.envelope import BadMessage, from_headers
from shared.contracts.times import zone_of
from shared.core.day_sums import SumKey, expanded
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.read_models import Counter as KeptCount
from shared.shell.ports.read_models import DaySums, KeptTable, ReadModelTables, ShownRow, ShownTable
from shared.shell.projection.fold import Fold
from shared.simulation.memory_store import MemoryStore

RULE = "read_models_as_told"
Columns = Mapping[str, Any]
Identity = tuple[str, ...]
"""Of a message, whenever it is sent or read: what its sender says, or its place where that cannot be read."""


def read_models_as_told(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Of every service with a projection: each record by itself, and the latest of a key, without batches, positions or
    guards."""
    world = trial.world
    for name, registry in world.registries.items():
        projection, tables = registry.service.projection, registry.service.storage.read_models
        if projection is not None and tables is not None:
            fold = Fold(projection, tables)
            records = [record for topic in projection.topics() for record in _records(trial, topic.name)]
            yield from ((RULE, key, text) for key, text in _wrong(world.stores[name], fold, tables, records))


def _records(trial: Trial, topic: str) -> Iterator[BusRecord]:
    bus = trial.world.bus
    for place in sorted(bus.logs):
        if place[0] == topic:
            yield from bus.records_of(place)


def _wrong(
    store: MemoryStore, fold: Fold, tables: ReadModelTables, records: list[BusRecord]
) -> Iterator[tuple[str, str]]:
    latest: dict[str, dict[str, list[ShownRow]]] = defaultdict(dict)
    kept: dict[str, dict[Any, set[Identity]]] = defaultdict(lambda: defaultdict(set))
    of_kind = {table.kind.__name__: table for table in tables.shown}
    for record in records:
        alone, _ = fold.fold([record], {(record.topic, record.partition): record.offset}, record.at)
        for kind, rows in alone.shown.items():
            for row in rows:
                _enter(latest[kind], of_kind[kind], row)
        for one in alone.kept:
            kept[type(one).__name__][one].add(_identity(record))
    for table in tables.shown:
        yield from _shown_wrong(store, table, latest[table.kind.__name__])
    if tables.sums:
        yield from _sums_wrong(store, tables, tables.sums)
    for kept_table in tables.kept:
        yield from _kept_wrong(store, kept_table, kept[kept_table.kind.__name__])


def _enter(rows: dict[str, list[ShownRow]], table: ShownTable, row: ShownRow) -> None:
    """Those with the highest revision: one, but where the bus repeated it."""
    key, revision = getattr(row.row, table.key), getattr(row.row, table.revision)
    there = rows.get(key)
    if there is None or revision > getattr(there[0].row, table.revision):
        rows[key] = [row]
    elif revision == getattr(there[0].row, table.revision):
        there.append(row)


def _shown_wrong(
    store: MemoryStore, table: ShownTable, latest: Mapping[str, list[ShownRow]]
) -> Iterator[tuple[str, str]]:
    rows = {row[table.key]: row for row in store.rows(table.table.name).values()}
    for key, expected in latest.items():
        now = rows.pop(key, {})
        if not any(now.items() >= table.columns(row.row).items() for row in expected):
            yield key, f"{table.kind.__name__} is not what its latest record shows"
        for parts in table.parts:
            there = [row for row in store.rows(parts.table.name).values() if row[table.key] == key]
            wanted = [[dict(parts.columns(part)) for part in row.parts[parts.table.name]] for row in expected]
            if not any(_alike(there, one) for one in wanted):
                yield key, f"{parts.table.name} are not what its latest record shows"
    unaccounted = [key for key, row in rows.items() if row.get(table.revision)]
    yield from ((key, f"{table.kind.__name__} comes from no record") for key in unaccounted)
    if table.counter:
        yield from _counter_wrong(store, table, table.counter)


def _alike(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(row in other for row in one)


def _counter_wrong(store: MemoryStore, table: ShownTable, counter: KeptCount) -> Iterator[tuple[str, str]]:
    keys = (tuple(row.get(name) for name in counter.columns) for row in store.rows(table.table.name).values())
    counted = Counter(key for key in keys if all(key))
    told = {
        tuple(row[name] for name in counter.columns): row["count"] for row in store.rows(counter.table.name).values()
    }
    for key in {*counted, *told}:
        if counted[key] != told.get(key, 0):
            yield "", f"{counter.table.name} says {told.get(key, 0)} of {' '.join(key)}, there are {counted[key]}"


def _sums_wrong(store: MemoryStore, tables: ReadModelTables, sums: DaySums) -> Iterator[tuple[str, str]]:
    zones = {row["store"]: row.get("sums_zone") for row in store.rows(sums.zones.name).values()}
    summed: Counter[tuple[SumKey, str]] = Counter()
    for table in tables.shown:
        for row in store.rows(table.table.name).values() if table.adds else ():
            if adds := row.get(table.adds):
                for key, figures in expanded(adds, zone_of(zones.get(adds["store"])), sums.by_month):
                    summed.update({(key, name): number for name, number in figures.items()})
    told = {
        (SumKey(*(row[name] for name in SumKey._fields)), name): row.get(name, 0)
        for row in store.rows(sums.table.name).values()
        for name in sums.figures
    }
    for each in {*summed, *told}:
        if summed[each] != told.get(each, 0):
            (key, name), rows = each, summed[each]
            yield "", f"{sums.table.name} says {told.get(each, 0)} {name} of {key}, the rows add up to {rows}"


def _kept_wrong(store: MemoryStore, table: KeptTable, kept: Mapping[Any, set[Identity]]) -> Iterator[tuple[str, str]]:
    """Each message once, by its primary key: its own, and always the same."""
    names = [column.name for column in table.table.primary_key.columns]
    wanted: dict[tuple[Any, ...], set[Identity]] = defaultdict(set)
    for row, messages in kept.items():
        columns = table.columns(row)
        wanted[tuple(columns[name] for name in names)] |= messages
    there = Counter(tuple(row[name] for name in names) for row in store.rows(table.table.name).values())
    for missing in wanted.keys() - there.keys():
        yield str(missing[0]), f"{table.table.name} lacks {missing}"
    for key, times in there.items():
        if times > 1 or key not in wanted:
            yield str(key[0]), f"{table.table.name} has {key} {times} times"
    for key, messages in wanted.items():
        if len(messages) > 1:
            yield str(key[0]), f"{table.table.name} keeps {len(messages)} messages as one, {key}"
    rows_of = Counter(message for messages in wanted.values() for message in messages)
    for message, rows in rows_of.items():
        if rows > 1:
            yield message[-1], f"{table.table.name} keeps one message {rows} times"


def _identity(record: BusRecord) -> Identity:
    """With its time: a restored database tells the same again at another one, and so does one that refuses a message
    again of which it keeps nothing."""
    try:
        envelope = from_headers(record.headers, record.key)
    except BadMessage:
        return record.topic, str(record.partition), str(record.offset)
    return envelope.source, str(envelope.id), envelope.time.isoformat(), envelope.subject
