"""Due timers are handed over however many nobody can read lie in front of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from shared.shell.inbound.message import Meta
from shared.shell.parking import Parking
from shared.shell.ports.rows import TimerRow
from shared.shell.timers import LIMIT, Timers
from tests.unit.shell.world import START, World

META = Meta().dump()
UNREADABLE: dict[str, tuple[str, bytes, bytes]] = {
    "a class that nobody knows": ("Vanished", b"{}", META),
    "fields that the class does not have": ("Late", b'{"text": 1}', META),
    "no JSON": ("Late", b"{", META),
    "other attributes": ("Late", b"{}", b"[1, 2, 3, 4, 5, 6, 7, 8, 9]"),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("count", [1, LIMIT, 3 * LIMIT + 1])
async def test_timers_that_nobody_can_read_hold_nothing_up_and_stay_visible(what: str, count: int) -> None:
    world = World()
    strange = [
        TimerRow(f"x-{n}", "x", START - timedelta(seconds=n), *UNREADABLE[what], UUID(int=n)) for n in range(count)
    ]
    good = [TimerRow(f"t-{n}", "late", START, "Late", b"{}", META, UUID(int=10_000 + n)) for n in range(20)]
    async with world.store.begin() as tx:
        await tx.set_timers([*strange, *good], [])
    batcher = world.batcher()
    running = asyncio.create_task(batcher.run())

    await asyncio.wait_for(Timers(world.registry, world.store, world.clock, batcher).hand_over(), 20)
    running.cancel()

    assert all(world.tally(row.key) for row in good)
    assert len(world.store.rows("timers")) == count
    world.later(minutes=20)
    late = await Parking(world.registry, world.store, batcher, world.clock).late_timers(5000)
    assert {row.key for row in late} == {row.key for row in strange}
