"""A worker that died in a call: what was begun is in doubt, and looked for before it is repeated."""

from __future__ import annotations

import asyncio

from shared.core import Decision, Operation, Outcome, Retry
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.manual_worker import ManualWorker, received
from tests.unit.shell.meter import Call, Count, Meter, RepeatableCall


async def dies_in_a_call(harness: Harness, worker: ManualWorker, operation: Operation) -> None:
    """The gateway never returns, and the worker is gone."""
    calls: list[str] = []

    async def perform(wanted: Operation, key: str) -> Outcome:
        calls.append(key)
        await asyncio.Event().wait()
        raise AssertionError

    harness.gateway.perform, well = perform, harness.gateway.perform  # type: ignore[method-assign, assignment]
    harness.when("request", Decision(Meter(), operations=[operation]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    worker.operations.start(harness.done[-1].leased)
    while not calls:
        await breathe("")
    for task in worker.operations._tasks:
        task.cancel()
    harness.gateway.perform = well  # type: ignore[method-assign]


async def test_a_worker_that_died_in_a_call_leaves_its_operation_in_doubt(
    harness: Harness, worker: ManualWorker
) -> None:
    await dies_in_a_call(harness, worker, Call("a"))
    (row,) = harness.open_operations()
    assert (row.attempts, row.in_doubt) == (1, True), "committed before the call"
    other = ManualWorker(harness, "meter-1")
    await other.performs_due(seconds=60)
    assert harness.gateway.asked == [], "its lease is not over"
    await other.performs_due(seconds=60)
    assert harness.gateway.asked == [("find", "a"), ("perform", "a")]
    assert received(harness) == ("called",)


async def test_what_is_safe_to_repeat_is_repeated_after_a_crash_under_its_key(
    harness: Harness, worker: ManualWorker
) -> None:
    await dies_in_a_call(harness, worker, RepeatableCall("a"))
    (row,) = harness.open_operations()
    assert (row.attempts, row.in_doubt) == (0, False), "nothing was written before the call"
    assert await harness.store.release("meter-0") == 1
    await ManualWorker(harness).performs_due(seconds=1)
    assert harness.gateway.asked == [("perform", "a")]
    assert received(harness) == ("repeated",)


async def test_what_is_safe_to_repeat_is_looked_for_once_its_key_is_forgotten(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [Retry("busy", after=3601)]
    await worker.requests(RepeatableCall("a"))
    await worker.performs_due(seconds=3602)
    assert harness.gateway.asked == [("perform", "a"), ("find", "a"), ("perform", "a")]


async def test_of_hundreds_leased_by_a_worker_that_died_only_those_that_began_are_in_doubt(harness: Harness) -> None:
    worker = ManualWorker(harness)
    hung = asyncio.Event()

    async def perform(operation: Operation, key: str) -> Outcome:
        await hung.wait()
        raise AssertionError

    harness.gateway.perform = perform  # type: ignore[method-assign]
    for number in range(6):
        harness.when("request", Decision(Meter(), operations=[Call(str(n)) for n in range(10)]))
        await worker.batcher.handle([harness.message(f"t-{number}", Count(what="request"))])
        worker.operations.start(harness.done[-1].leased)
    for _ in range(20):
        await breathe("")
    for task in worker.operations._tasks:
        task.cancel()
    assert len(harness.open_operations()) == 60 and all(row.leased_by for row in harness.open_operations())
    assert sum(row.in_doubt for row in harness.open_operations()) == 4, "as many as were called at once"
    await harness.store.release("meter-0")
    assert sum(row.in_doubt for row in harness.open_operations()) == 4
