"""A shop that is always full, and how many orders come to their end in it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

from tests.faults.paths import LAST_COPY, PATHS, Journey, walk_one
from tests.faults.system import SCARCE, System
from tests.faults.table import LONG

IN_FLIGHT = 120 if LONG else 50
"""Customers in the shop at any time: each who leaves is followed by another one."""
WAYS = [way for way in PATHS if not way.store and not {LAST_COPY, SCARCE, "workshop"}.intersection(way.skus)]
"""Paths that end without staff and without a deadline."""


@dataclass
class Crowd:
    told: list[Journey] = field(default_factory=list)
    leaving: bool = False

    async def rate(self, during: Awaitable[None]) -> float:
        """Orders that come to their end per second, measured until something is over."""
        before, began = len(self.told), time.monotonic()
        await during
        return (len(self.told) - before) / (time.monotonic() - began)


@contextlib.asynccontextmanager
async def crowded(system: System, rng: random.Random) -> AsyncIterator[Crowd]:
    """As many customers in the shop as it holds; the last ones finish what they have begun."""
    crowd = Crowd()

    async def customers() -> None:
        while not crowd.leaving:
            crowd.told.append(await walk_one(system, rng.choice(WAYS)))

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(customers())
        try:
            yield crowd
        finally:
            crowd.leaving = True
