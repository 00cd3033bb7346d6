"""What happens at Stripe at random, with draws of its own: all other faults come as they would without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deploy.simulation.tasks import unowned
from deploy.simulation.world import World


class Mishaps:
    def __init__(self, world: World, draws: str) -> None:
        self.world, self.rng = world, world.rng_of(draws)

    def draw(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def later(self, act: Callable[[], None], within: tuple[float, ...]) -> None:
        """`within`: one of so many seconds."""

        async def happen() -> None:
            await asyncio.sleep(self.rng.random() * self.rng.choice(within))
            act()

        self.world.keep(unowned(happen))
