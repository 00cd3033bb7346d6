"""Some real records, handled once more by the services' own shell on copies of their rows: nothing may change."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zlib import crc32

from structlog.testing import capture_logs

from deploy.check.databases import Database
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.leases import NoCapacity
from shared.shell.inbound.message import Inbound, Undecodable
from shared.shell.inbound.records import inbound_of
from shared.shell.kafka.source import bus_record
from shared.shell.observability.metrics import Metrics
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.rows import StateRow
from shared.shell.service.registry import HandlerRegistry
from shared.simulation.memory_database import INBOX, Stored
from shared.simulation.memory_store import MemoryStore

KEYS = 20
"""Keys of which the records are kept."""
RECORDS_PER_KEY = 25
"""About as many as an order has."""
MOST_RECORDS = 500
"""Of one key."""


class Sample:
    """All records of a few keys, whichever these are."""

    def __init__(self, records: int) -> None:
        """`records`: how many there are in all."""
        self._one_in = max(1, records // (RECORDS_PER_KEY * KEYS))
        self.records: defaultdict[str, list[BusRecord]] = defaultdict(list)
        self._kept = 0

    def add(self, key: str, record: Any) -> None:
        if crc32(key.encode()) % self._one_in or (key not in self.records and self._is_full()):
            return
        if len(self.records[key]) < MOST_RECORDS:
            self.records[key].append(bus_record(record))
            self._kept += 1

    def _is_full(self) -> bool:
        """Products, pools and the like are keys of few records: they do not keep out orders."""
        return len(self.records) >= 2 * KEYS and self._kept >= RECORDS_PER_KEY * KEYS


async def replayed(
    sample: Sample, services: Mapping[str, Database], moving: Collection[str], since: datetime
) -> list[str]:
    """What handling the sample once more would change, in words. Keys in motion, which may change by themselves, are
    left out."""
    keys = [key for key in sorted(sample.records) if key not in moving]
    found: list[str] = []
    for name, database in services.items():
        inbounds = _inbounds(database.registry, keys, sample)
        store = await _copy(database, keys, [inbound.identity for inbound in inbounds], since)
        before = _tables(store)
        await _handle(database.registry, store, inbounds)
        after = _tables(store)
        for table in sorted(before.keys() | after.keys()):
            changed = _difference(before.get(table, {}), after.get(table, {}))
            if changed:
                found.append(f"{name} handles records of the sample again, which changes {table}: {', '.join(changed)}")
    return found


def _inbounds(registry: HandlerRegistry, keys: Sequence[str], sample: Sample) -> list[Inbound]:
    records = (record for key in keys for record in sample.records[key] if record.topic in registry.topics)
    inbounds = (inbound_of(registry, record) for record in records)
    return [one for one in inbounds if one is not None and not isinstance(one.message, Undecodable)]


async def _copy(database: Database, keys: Sequence[str], identities: Sequence[UUID], since: datetime) -> MemoryStore:
    """Their rows, and what the inbox knows of their messages."""
    store = MemoryStore()
    for table, row in (await database.rows(keys, since)).states:
        columns = {column.name: row[column.name] for column in table.table.columns}
        state = StateRow(row["key"], row["version"], row["sequence"], row["data"], row["shape"])
        store.rows(table.table.name)[row["key"]] = Stored(state, columns, row["changed_at"])
    for id, seen_at, content in await database.inbox(identities):
        store.rows(INBOX)[id] = (seen_at, content)
    return store


async def _handle(registry: HandlerRegistry, store: MemoryStore, inbounds: Sequence[Inbound]) -> None:
    batcher = Batcher(
        *(registry, store, SystemClock(), "check"),
        batch=max(1, len(inbounds)),
        metrics=Metrics(registry.name, "check"),
        rng=random.Random(1),  # noqa: S311  # back-off between retries
        after=lambda result: None,
        capacity=NoCapacity(),
    )
    if inbounds:
        with capture_logs():  # what it parks is told as a difference
            await batcher.handle(inbounds)


def _tables(store: MemoryStore) -> dict[str, dict[Any, Any]]:
    return {name: dict(rows) for name, rows in store.tables.items()}


def _difference(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[str]:
    """The first few keys of rows that are new, gone or different."""
    changed = sorted(str(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return changed[:3] + ([f"and {len(changed) - 3} more"] if len(changed) > 3 else [])
