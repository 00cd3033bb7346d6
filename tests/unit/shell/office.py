"""One worker's operations in the unit tests' world, run by hand."""

from __future__ import annotations

from shared.core import Decision, Operation
from shared.shell.batch.batcher import Batcher
from shared.shell.operations import NEVER, Operations
from tests.unit.shell.tally import Count, Tally
from tests.unit.shell.world import World, breathe


class Office:
    """One worker's batcher and operations, run by hand."""

    def __init__(self, world: World, worker: str = "tally-0") -> None:
        self.world = world
        self.operations: Operations = world.operations(worker)
        self.batcher: Batcher = world.batcher(self.operations)
        self.batcher.worker = worker

    async def wants(self, *wanted: Operation, key: str = "t-1") -> None:
        self.world.when("want", Decision(Tally(), operations=list(wanted)))
        await self.batcher.handle([self.world.message(key, Count(what="want"))])
        self.operations.start(self.world.done[-1].leased)
        await self.settled()

    async def comes_back(self, **time: float) -> None:
        """Time passes; what is due is leased and performed."""
        self.world.later(**time)
        self.operations._swept = NEVER  # the time for it has come, too
        await self.operations.lease()
        await self.settled()

    async def settled(self) -> None:
        while self.operations._tasks:
            await breathe("")
        while self.batcher._queue:
            inbounds, _ = self.batcher._take()
            await self.batcher.handle(inbounds)


def heard(world: World) -> tuple[str, ...]:
    tally = world.tally("t-1")
    return tally.heard if tally else ()
