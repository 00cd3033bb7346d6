"""Mutants about values that only one row may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.shell.batch import batcher
from shared.shell.inbound.message import Inbound
from shared.shell.ports.rows import StateWrite
from shared.shell.ports.tables import StateTable
from shared.simulation.memory_transaction import MemoryTransaction
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("an order whose number is taken is parked")
def taken_number_parks() -> Iterator[None]:
    def none(inbound: Inbound) -> None:
        return None

    with instead(batcher, "_next_candidate", none):
        yield


@mutant("two orders get one number")
def number_given_twice() -> Iterator[None]:
    """No unique index."""

    async def taken(self: MemoryTransaction, table: StateTable, write: StateWrite, before: Mapping[str, Any]) -> None:
        return None

    with instead(MemoryTransaction, "_take_unique", taken):
        yield
