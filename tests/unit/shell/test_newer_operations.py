"""Calls that only a newer build can read: left where they are, visible, and in no other's way."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from shared.core import derived_id
from shared.shell.operations import engine
from shared.shell.ports.rows import OperationRow
from shared.simulation.memory_database import OPERATIONS
from tests.unit.shell.harness import Harness, notes
from tests.unit.shell.manual_worker import ManualWorker

META = b'["","s","","system"]'
NEWER = {
    "of an unknown class": ("Wrap", b'{"note":"x"}'),
    "with contents that cannot be read": ("Call", b'{"note":{"en":"x"}}'),
}


def request(harness: Harness, key: str, kind: str, payload: bytes) -> OperationRow:
    harness.numbers += 1
    id, at = derived_id(UUID(int=2), harness.numbers, harness.clock.at), harness.clock.at
    row = OperationRow(id, key, kind, payload, META, at, at, kind)
    harness.store.rows(OPERATIONS)[id] = row
    harness.store.positions[id] = harness.numbers
    return row


@pytest.mark.parametrize("newer", NEWER.values(), ids=NEWER)
async def test_they_stay_as_they_are_and_hold_nothing_up(newer: tuple[str, bytes]) -> None:
    harness = Harness()
    row = request(harness, "t-1", *newer)
    request(harness, "t-2", "Call", b'{"note":"a"}')
    request(harness, "t-1", "Call", b'{"note":"b"}')
    worker = ManualWorker(harness)
    for _ in range(5):
        await worker.performs_due(seconds=30)

    assert sorted(harness.gateway.asked) == [("perform", "a"), ("perform", "b")]
    left = harness.store.rows(OPERATIONS)[row.id]
    assert (left.due, left.attempts, left.in_doubt, left.leased_by) == (row.due, 0, False, "")
    assert left.lease <= 1, "it was leased again and again"
    assert "cannot be read" in left.error or left == row


async def test_a_newer_worker_takes_one_at_once() -> None:
    """It need not wait for the older one to give up."""
    harness = Harness()
    row = request(harness, "t-1", *NEWER["with contents that cannot be read"])
    await harness.operations().lease()

    harness.later(seconds=0.1)
    harness.store.rows(OPERATIONS)[row.id] = replace(
        harness.store.rows(OPERATIONS)[row.id], payload=b'{"note":"x"}'
    )  # as the newer build reads it
    assert notes(await harness.leased("meter-1")) == ["x"]


async def test_those_beyond_the_memory_wait_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_REMEMBERED", 1)
    harness = Harness()
    rows = [request(harness, f"t-{n}", *NEWER["with contents that cannot be read"]) for n in range(2)]
    await harness.operations().lease()

    waits = [(harness.store.rows(OPERATIONS)[row.id].due - row.due).total_seconds() for row in rows]
    assert sorted(waits) == [0, 60]
