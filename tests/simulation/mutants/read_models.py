"""Bugs of read models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from services.staff.domain.archive import EventRow, event
from services.staff.domain.projection import PROJECTION
from shared.core.day_sums import SumKey
from shared.core.fast_dataclasses import replace
from shared.core.projection import About
from shared.shell.ports.read_models import Counter, DaySums
from shared.simulation.memory_read_models import MemoryReadModels
from shared.simulation.memory_transaction import MemoryTransaction
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("a row that changes is still counted as what it was")
def counter_missed() -> Iterator[None]:
    original = MemoryReadModels._count

    async def count(
        self: MemoryReadModels, tx: MemoryTransaction, counter: Counter, changes: Mapping[tuple[str, ...], int]
    ) -> None:
        await original(self, tx, counter, {key: change for key, change in changes.items() if change > 0})

    with instead(MemoryReadModels, "_count", count):
        yield


@mutant("a row that changes still adds to sums what it did")
def sums_missed() -> Iterator[None]:
    original = MemoryReadModels._add

    async def add(
        self: MemoryReadModels, tx: MemoryTransaction, sums: DaySums, changes: Mapping[tuple[SumKey, str], int]
    ) -> None:
        await original(self, tx, sums, {key: change for key, change in changes.items() if change > 0})

    with instead(MemoryReadModels, "_add", add):
        yield


@mutant("the archive knows messages by key and time alone")
def archived_without_id() -> Iterator[None]:
    def kept(body: bytes, about: About) -> EventRow:
        row = event(body, about)
        assert isinstance(row, EventRow)
        return replace(row, id=UUID(int=0))

    before = dict(PROJECTION.kept)
    PROJECTION.kept.update(dict.fromkeys(before, kept))
    try:
        yield
    finally:
        PROJECTION.kept.update(before)
