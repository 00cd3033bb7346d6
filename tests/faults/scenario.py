"""A fault while orders are processed: at the end no order is lost or charged twice, and every invariant holds."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.faults.paths import PATHS, Journey, Way, walk
from tests.faults.system import System
from tests.faults.table import LONG, Table

ORDERS, SECONDS = (2000, 45.0) if LONG else (32, 6.0)
Break = Callable[[], Awaitable[None]]


async def nothing() -> None:
    pass


@dataclass(frozen=True)
class FaultScenario:
    """What every fault test needs: the running system, the table, the seed."""

    system: System
    table: Table
    seed: int

    async def survives(
        self, what: str, break_it: Break, fix: Break = nothing, ways: Sequence[Way] = PATHS, after: float = SECONDS / 2
    ) -> None:
        """ORDERS customers come within SECONDS; it breaks `after` so many; `fix` runs when all paths are taken."""
        rng, began = random.Random(self.seed), time.monotonic()
        crowd = (list(ways) * (ORDERS // len(ways) + 1))[:ORDERS]
        rng.shuffle(crowd)

        async def later() -> None:
            await asyncio.sleep(after)
            await break_it()

        async with asyncio.TaskGroup() as group:
            group.create_task(later())
            walking = group.create_task(walk(self.system, crowd, seconds=SECONDS))
        await fix()
        await self.ends_well(what, walking.result(), began)

    async def ends_well(self, what: str, told: Sequence[Journey], began: float, remark: str = "") -> None:
        """Wait for rest, add the row to the table, and only then fail for what is wrong."""
        await self.system.at_rest()
        lost, twice = lost_of(told), await charged_twice(self.system, told)
        violated = await self.system.check()
        self.table.add(what, len(told), len(lost), len(twice), time.monotonic() - began, remark)
        assert not lost, "\n".join(lost)
        assert not twice, "\n".join(twice)
        assert not violated, violated


def lost_of(told: Sequence[Journey]) -> list[str]:
    """As the status topic tells the world; that it tells the truth is one of the invariants."""
    return [
        f"{it.path.name} {it.order.id} ended as {it.order.status or 'unknown'}. {it.trouble}"
        for it in told
        if it.trouble or it.order.status not in it.path.ends
    ]


async def charged_twice(system: System, told: Sequence[Journey]) -> list[str]:
    ours = {it.order.id for it in told}
    charges: dict[str, int] = {}
    for intent in (await system.bank.books())["payment_intents"]:
        order = intent["metadata"].get("order", "")
        charges[order] = charges.get(order, 0) + intent["effects"]["charges"]
    return [f"{order}: {count} charges" for order, count in charges.items() if order in ours and count > 1]
