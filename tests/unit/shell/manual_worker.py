"""One worker of the harness, whose parts the test runs by hand."""

from __future__ import annotations

from shared.core import Decision, Operation
from shared.shell.batch.batcher import Batcher
from shared.shell.operations import NEVER, Operations
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.meter import Count, Meter


class ManualWorker:
    """One worker's batcher and operations, run by hand."""

    def __init__(self, harness: Harness, name: str = "meter-0") -> None:
        self.harness = harness
        self.operations: Operations = harness.operations(name)
        self.batcher: Batcher = harness.batcher(self.operations)
        self.batcher.worker = name

    async def requests(self, *operations: Operation, key: str = "t-1") -> None:
        self.harness.when("request", Decision(Meter(), operations=list(operations)))
        await self.batcher.handle([self.harness.message(key, Count(what="request"))])
        self.operations.start(self.harness.done[-1].leased)
        await self.settled()

    async def performs_due(self, **time: float) -> None:
        """Time passes; what is due is leased and performed."""
        self.harness.later(**time)
        self.operations._swept = NEVER  # the time for it has come, too
        await self.operations.lease()
        await self.settled()

    async def settled(self) -> None:
        while self.operations._tasks:
            await breathe("")
        while self.batcher._queue:
            inbounds, _ = self.batcher._take()
            await self.batcher.handle(inbounds)


def received(harness: Harness) -> tuple[str, ...]:
    meter = harness.meter("t-1")
    return meter.received if meter else ()
