"""Bugs of the monitor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.monitor.domain.figures import Tally
from services.monitor.domain.minutes import LatestRecords
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("the monitor counts an order again when it is read again")
def order_counted_again() -> Iterator[None]:
    original = LatestRecords.put

    def put(self: LatestRecords[Any], key: str, revision: int, minute: int, content: Any) -> None:
        original(self, f"{key} {len(self)}", revision, minute, content)

    with instead(LatestRecords, "put", put):
        yield


@mutant("the monitor keeps what it read first of an order")
def first_record_kept() -> Iterator[None]:
    original = LatestRecords.put

    def put(self: LatestRecords[Any], key: str, revision: int, minute: int, content: Any) -> None:
        if key not in self._known:
            original(self, key, 0, minute, content)

    with instead(LatestRecords, "put", put):
        yield


@mutant("the monitor keeps the figures of a record that another replaces")
def replaced_figures_kept() -> Iterator[None]:
    with instead(Tally, "_remove", lambda self, key, content: None):
        yield
