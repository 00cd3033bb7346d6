"""Providers that are slow, busy or away, over hours of simulated time and with both halves of a worker running."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.core import Decision, NoOutcome, Outcome, Retry, Unknown
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.leases import NoCapacity
from shared.shell.operations import Operations
from shared.simulation.loop import SeededLoop
from tests.unit.shell.tally import Count, Peal, Ring, Tally, Toll
from tests.unit.shell.world import START, HandClock, World


@dataclass
class LoopClock(HandClock):
    """The simulated loop's time."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Running:
    """A worker that runs by itself."""

    def __init__(self, world: World, at_once: int = 48) -> None:
        self.world = world
        world.clock = LoopClock()
        self.operations: Operations = world.operations(at_once=at_once)
        self.batcher: Batcher = world.batcher(self.operations)
        self.batcher.after = self._after
        self._tasks = [asyncio.create_task(self.batcher.run()), asyncio.create_task(self.operations.run(1.0))]

    def _after(self, done: Any) -> None:
        self.operations.start(done.leased)
        if done.unleased:
            self.operations.nudge()

    async def wants(self, key: str, operations: list[Any]) -> None:
        self.world.when("want", Decision(Tally(), operations=operations))
        await self.batcher.handle([self.world.message(key, Count(what="want"))])

    async def until(self, reached: Callable[[], bool], **time: float) -> None:
        ends = asyncio.get_running_loop().time() + timedelta(**time).total_seconds()
        while not reached():
            assert asyncio.get_running_loop().time() < ends, "not in time"
            await asyncio.sleep(5)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.operations.drain(0)


def simulated(work: Coroutine[Any, Any, None]) -> None:
    loop = SeededLoop(1)
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def outcomes(world: World) -> Counter[str]:
    tallies = (world.tally(f"t-{number}") for number in range(20))
    return Counter(text for tally in tallies if tally for text in tally.heard)


def test_a_provider_that_is_slow_and_was_busy_gives_up_nothing() -> None:
    """25 s per call within a patience of 30 s, two 429s at each operation's first calls, 1,500 operations."""

    async def work() -> None:
        world, calls = World(), Counter[str]()

        async def perform(operation: Toll, key: str) -> Outcome | NoOutcome:
            calls[key] += 1
            if calls[key] <= 2:
                return Retry("HTTP 429", after=2.0)
            await asyncio.sleep(25)
            return Toll.Done()

        world.bell.perform = perform  # type: ignore[method-assign, assignment]
        worker = Running(world)
        for number in range(15):
            await worker.wants(f"t-{number}", [Toll(str(n)) for n in range(100)])
        await worker.until(lambda: not world.wanted() and worker.batcher.idle(), hours=1)
        assert outcomes(world) == {"tolled": 1500}
        assert set(calls.values()) == {3}, "no call was lost, none was in vain"
        await worker.stop()

    simulated(work())


def test_after_an_outage_every_operation_is_done_under_its_key_and_none_was_given_up() -> None:
    """Half an hour in which the calls are carried out and their answers lost."""

    async def work() -> None:
        world, calls = World(), Counter[str]()

        async def perform(operation: Toll, key: str) -> Outcome | NoOutcome:
            calls[key] += 1
            if asyncio.get_running_loop().time() < 1800:
                await asyncio.sleep(3)
                return Unknown("connection closed")
            return Toll.Done()

        world.bell.perform = perform  # type: ignore[method-assign, assignment]
        worker = Running(world)
        for number in range(10):
            await worker.wants(f"t-{number}", [Toll(str(n)) for n in range(20)])
        await worker.until(lambda: not world.wanted() and worker.batcher.idle(), hours=2)
        assert outcomes(world) == {"tolled": 200}
        assert len(calls) == 200, "every call of an operation under its one key"
        assert calls.total() < 2 * 200, "the circuit spared the provider the rest"
        await worker.stop()

    simulated(work())


def test_a_silent_tower_leaves_the_others_their_turns() -> None:
    """One destination of three hundred operations never answers; those of the other do not wait for it."""

    async def work() -> None:
        world = World()
        silent: list[float] = []

        async def perform(operation: Peal, key: str) -> Outcome | NoOutcome:
            if operation.tower == "north":
                silent.append(asyncio.get_running_loop().time())
                await asyncio.Event().wait()
            return Peal.Done()

        world.bell.perform = perform  # type: ignore[method-assign, assignment]
        worker = Running(world)
        for number in range(3):
            await worker.wants(f"t-{number}", [Peal("north", str(n)) for n in range(100)])
        for number in range(3, 6):
            await worker.wants(f"t-{number}", [Peal("south", str(n)) for n in range(100)])
        await worker.until(lambda: outcomes(world)["pealed"] == 300, minutes=2)
        assert len(silent) < 100
        await worker.until(lambda: not world.wanted() and worker.batcher.idle(), minutes=15)
        told = outcomes(world)
        assert told["pealed"] == 300
        assert told["No call could be made before the deadline."] > 200, "and nobody says that they failed"
        await worker.stop()

    simulated(work())


def test_a_kind_that_is_nearly_full_does_not_throttle_the_others() -> None:
    """All turns of one kind hang; five hundred of another, which came later and unleased, are brought by few looks."""

    async def work() -> None:
        world = World()
        hung = asyncio.Event()
        statements: Counter[str] = Counter()

        async def pause(statement: str) -> None:
            statements[statement] += 1
            await asyncio.sleep(0)

        async def perform(operation: Ring | Toll, key: str) -> Outcome:
            if isinstance(operation, Ring):
                await hung.wait()
                return Ring.Done()
            await asyncio.sleep(0.05)
            return Toll.Done()

        world.bell.perform = perform  # type: ignore[method-assign, assignment]
        world.store.pause = pause
        worker = Running(world, at_once=8)
        lease_budget = worker.operations.lease_budget("Ring")
        await worker.wants("t-0", [Ring(str(n)) for n in range(lease_budget - 1)])
        assert worker.operations.lease_budget("Ring") == 1
        worker.batcher.capacity = NoCapacity()  # as if other workers had written them
        for number in range(1, 6):
            await worker.wants(f"t-{number}", [Toll(str(n)) for n in range(100)])
        began = asyncio.get_running_loop().time()
        await worker.until(lambda: outcomes(world)["tolled"] == 500, minutes=1)
        assert asyncio.get_running_loop().time() - began < 20
        assert statements["lease"] < 40
        await worker.stop()

    simulated(work())
