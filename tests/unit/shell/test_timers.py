"""Due timers are handed over however many unreadable ones lie in front of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from shared.shell.inbound.message import Meta
from shared.shell.parking import Parking
from shared.shell.ports.rows import TimerRow
from shared.shell.timers import LIMIT, Timers
from tests.unit.shell.harness import START, Harness

META = Meta().dump()
UNREADABLE: dict[str, tuple[str, bytes, bytes]] = {
    "an unknown class": ("Vanished", b"{}", META),
    "fields that the class does not have": ("Late", b'{"text": 1}', META),
    "no JSON": ("Late", b"{", META),
    "other attributes": ("Late", b"{}", b"[1, 2, 3, 4, 5, 6, 7, 8, 9]"),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("count", [1, LIMIT, 3 * LIMIT + 1])
async def test_unreadable_timers_hold_nothing_up_and_stay_visible(what: str, count: int) -> None:
    harness = Harness()
    strange = [
        TimerRow(f"x-{n}", "x", START - timedelta(seconds=n), *UNREADABLE[what], UUID(int=n)) for n in range(count)
    ]
    good = [TimerRow(f"t-{n}", "late", START, "Late", b"{}", META, UUID(int=10_000 + n)) for n in range(20)]
    async with harness.store.begin() as tx:
        await tx.set_timers([*strange, *good], [])
    batcher = harness.batcher()
    running = asyncio.create_task(batcher.run())

    await asyncio.wait_for(Timers(harness.registry, harness.store, harness.clock, batcher).hand_over(), 20)
    running.cancel()

    assert all(harness.meter(row.key) for row in good)
    assert len(harness.store.rows("timers")) == count
    harness.later(minutes=20)
    late = await Parking(harness.registry, harness.store, batcher, harness.clock).late_timers(5000)
    assert {row.key for row in late} == {row.key for row in strange}
