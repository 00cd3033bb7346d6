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
from tests.unit.shell.harness import START, HandClock, Harness
from tests.unit.shell.meter import Call, Count, Meter, RepeatableCall, StrictCall


@dataclass
class LoopClock(HandClock):
    """The simulated loop's time."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Running:
    """A worker that runs by itself."""

    def __init__(self, harness: Harness, at_once: int = 48) -> None:
        self.harness = harness
        harness.clock = LoopClock()
        self.operations: Operations = harness.operations(at_once=at_once)
        self.batcher: Batcher = harness.batcher(self.operations)
        self.batcher.after = self._after
        self._tasks = [asyncio.create_task(self.batcher.run()), asyncio.create_task(self.operations.run(1.0))]

    def _after(self, done: Any) -> None:
        self.operations.start(done.leased)
        if done.unleased:
            self.operations.nudge()

    async def requests(self, key: str, operations: list[Any]) -> None:
        self.harness.when("request", Decision(Meter(), operations=operations))
        await self.batcher.handle([self.harness.message(key, Count(what="request"))])

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


def outcomes(harness: Harness) -> Counter[str]:
    meters = (harness.meter(f"t-{number}") for number in range(20))
    return Counter(text for meter in meters if meter for text in meter.received)


def test_a_provider_that_is_slow_and_was_busy_gives_up_nothing() -> None:
    """25 s per call within a timeout of 30 s, two 429s at each operation's first calls, 1,500 operations."""

    async def work() -> None:
        harness, calls = Harness(), Counter[str]()

        async def perform(operation: RepeatableCall, key: str) -> Outcome | NoOutcome:
            calls[key] += 1
            if calls[key] <= 2:
                return Retry("HTTP 429", after=2.0)
            await asyncio.sleep(25)
            return RepeatableCall.Done()

        harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
        worker = Running(harness)
        for number in range(15):
            await worker.requests(f"t-{number}", [RepeatableCall(str(n)) for n in range(100)])
        await worker.until(lambda: not harness.open_operations() and worker.batcher.idle(), hours=1)
        assert outcomes(harness) == {"repeated": 1500}
        assert set(calls.values()) == {3}, "no call was lost, none was wasted"
        await worker.stop()

    simulated(work())


def test_after_an_outage_every_operation_is_done_under_its_key_and_none_was_given_up() -> None:
    """Half an hour in which the calls are carried out and their answers lost."""

    async def work() -> None:
        harness, calls = Harness(), Counter[str]()

        async def perform(operation: RepeatableCall, key: str) -> Outcome | NoOutcome:
            calls[key] += 1
            if asyncio.get_running_loop().time() < 1800:
                await asyncio.sleep(3)
                return Unknown("connection closed")
            return RepeatableCall.Done()

        harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
        worker = Running(harness)
        for number in range(10):
            await worker.requests(f"t-{number}", [RepeatableCall(str(n)) for n in range(20)])
        await worker.until(lambda: not harness.open_operations() and worker.batcher.idle(), hours=2)
        assert outcomes(harness) == {"repeated": 200}
        assert len(calls) == 200, "every call of an operation under its one key"
        assert calls.total() < 2 * 200, "the circuit spared the provider the rest"
        await worker.stop()

    simulated(work())


def test_a_silent_tower_leaves_the_others_their_turns() -> None:
    """One destination of three hundred operations never answers; those of the other do not wait for it."""

    async def work() -> None:
        harness = Harness()
        silent: list[float] = []

        async def perform(operation: StrictCall, key: str) -> Outcome | NoOutcome:
            if operation.place == "north":
                silent.append(asyncio.get_running_loop().time())
                await asyncio.Event().wait()
            return StrictCall.Done()

        harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
        worker = Running(harness)
        for number in range(3):
            await worker.requests(f"t-{number}", [StrictCall("north", str(n)) for n in range(100)])
        for number in range(3, 6):
            await worker.requests(f"t-{number}", [StrictCall("south", str(n)) for n in range(100)])
        await worker.until(lambda: outcomes(harness)["called in time"] == 300, minutes=2)
        assert len(silent) < 100
        await worker.until(lambda: not harness.open_operations() and worker.batcher.idle(), minutes=15)
        told = outcomes(harness)
        assert told["called in time"] == 300
        assert told["No call could be made before the deadline."] > 200, "and none is said to have failed"
        await worker.stop()

    simulated(work())


def test_a_kind_that_is_nearly_full_does_not_throttle_the_others() -> None:
    """All turns of one kind hang; five hundred of another, which came later and unleased, are brought by few looks."""

    async def work() -> None:
        harness = Harness()
        hung = asyncio.Event()
        statements: Counter[str] = Counter()

        async def pause(statement: str) -> None:
            statements[statement] += 1
            await asyncio.sleep(0)

        async def perform(operation: Call | RepeatableCall, key: str) -> Outcome:
            if isinstance(operation, Call):
                await hung.wait()
                return Call.Done()
            await asyncio.sleep(0.05)
            return RepeatableCall.Done()

        harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
        harness.store.pause = pause
        worker = Running(harness, at_once=8)
        lease_budget = worker.operations.lease_budget("Call")
        await worker.requests("t-0", [Call(str(n)) for n in range(lease_budget - 1)])
        assert worker.operations.lease_budget("Call") == 1
        worker.batcher.capacity = NoCapacity()  # as if other workers had written them
        for number in range(1, 6):
            await worker.requests(f"t-{number}", [RepeatableCall(str(n)) for n in range(100)])
        began = asyncio.get_running_loop().time()
        await worker.until(lambda: outcomes(harness)["repeated"] == 500, minutes=1)
        assert asyncio.get_running_loop().time() - began < 20
        assert statements["lease"] < 40
        await worker.stop()

    simulated(work())
