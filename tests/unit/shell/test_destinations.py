"""Outside systems that are not called for a while: paused for the operator's fault, or because they do not answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from shared.core import NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.operations.circuit import FAILURES, MANY
from shared.shell.operations.destinations import LONGEST_PROBE
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.manual_worker import ManualWorker, received
from tests.unit.shell.meter import Call, StrictCall


def value(harness: Harness, name: str) -> float:
    return harness.metrics.registry.get_sample_value(name, {"service": "meter", "worker": "meter-0"}) or 0.0


async def test_a_fault_of_the_operators_pauses_the_destination_and_nothing_is_told_to_the_core(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [OperatorFault("HTTP 401: the key has expired")]
    await worker.requests(Call("a"))
    await worker.requests(Call("b"), Call("c"), key="t-2")

    assert harness.gateway.asked == [("perform", "a")], "the others are not tried"
    assert received(harness) == ()
    assert [(row.attempts, row.in_doubt, row.history) for row in harness.open_operations()] == [(0, False, b"[]")] * 3
    assert sorted(row.error for row in harness.open_operations()) == ["", "", "HTTP 401: the key has expired"]
    (pause,) = await harness.store.paused_destinations()
    assert (pause.destination, pause.reason, pause.by) == ("Call", "HTTP 401: the key has expired", "meter-0")
    assert value(harness, "orderbus_destination_pauses_total") == 1, "one alert"
    harness.store.now = lambda: harness.clock.at + timedelta(minutes=5)
    sizes = await harness.store.gauge()
    assert (sizes["destinations_paused"], sizes["operations_late"]) == (1, 0), "one alert is enough"


async def test_one_operation_probes_and_its_success_lets_the_others_go_on(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [OperatorFault("wrong key")] * 4
    await worker.requests(Call("a"), Call("b"), Call("c"))
    asked = len(harness.gateway.asked)
    await worker.performs_due(seconds=7)
    assert len(harness.gateway.asked) == asked, "too early"
    await worker.performs_due(seconds=9)
    assert len(harness.gateway.asked) == asked + 1, "one probe"
    assert value(harness, "orderbus_destination_pauses_total") == 1
    await worker.performs_due(seconds=10)
    assert len(harness.gateway.asked) == asked + 1, "the next one comes later"
    await worker.performs_due(seconds=60)
    assert len({note for _, note in harness.gateway.asked[asked:]}) == 2, (
        "not with the same one: it may be that one's fault"
    )

    assert await harness.store.paused_destinations() == []
    await worker.performs_due(seconds=1)
    assert received(harness) == ("called",) * 3


async def test_two_workers_share_a_pause_and_its_probes(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [OperatorFault("wrong key")] * 3
    await worker.requests(Call("a"), Call("b"), Call("c"))
    other = ManualWorker(harness, "meter-1")
    harness.gateway.replies = [OperatorFault("wrong key")] * 9
    harness.gateway.asked.clear()
    harness.later(seconds=16)
    await asyncio.gather(worker.performs_due(seconds=1), other.performs_due(seconds=1))
    assert len(harness.gateway.asked) == 1
    await other.performs_due(seconds=LONGEST_PROBE)
    assert len(harness.gateway.asked) == 2


async def test_a_worker_that_starts_probes_what_is_paused(harness: Harness, worker: ManualWorker) -> None:
    """Its settings may be the corrected ones."""
    harness.gateway.replies = [OperatorFault("wrong key")] * 99
    await worker.requests(Call("a"), Call("b"))
    for _ in range(5):
        await worker.performs_due(seconds=LONGEST_PROBE)
    (pause,) = await harness.store.paused_destinations()
    assert pause.probe_at > harness.clock.at + timedelta(seconds=60)
    harness.gateway.asked.clear()
    other = ManualWorker(harness, "meter-1")
    await other.performs_due(seconds=1)
    await other.performs_due(seconds=1)
    await worker.performs_due(seconds=1)
    assert len(harness.gateway.asked) == 1, "once"
    harness.gateway.replies = []
    corrected = ManualWorker(harness, "meter-2")
    await corrected.performs_due(seconds=1)
    assert await harness.store.paused_destinations() == []
    assert len(harness.gateway.asked) >= 2


async def test_staff_resume(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [OperatorFault("wrong key")]
    await worker.requests(Call("a"))
    assert await harness.store.resume_destination("Call")
    worker.operations.resumed("Call")
    await worker.performs_due(seconds=1)
    assert received(harness) == ("called",)
    assert not await harness.store.resume_destination("Call"), "once is enough"


async def test_a_success_from_before_the_pause_does_not_end_it(harness: Harness, worker: ManualWorker) -> None:
    answered = asyncio.Event()

    async def perform(operation: Call, key: str) -> Any:
        if operation.note == "slow":
            await answered.wait()
            return Call.Done()
        return OperatorFault("wrong key")

    harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(worker.requests(Call("slow"), Call("b")))
    while not await harness.store.paused_destinations():
        await breathe("")
    answered.set()
    await waiting
    assert len(await harness.store.paused_destinations()) == 1


async def test_at_a_strict_deadline_a_paused_operation_is_told_as_not_tried(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [OperatorFault("sk_live_… is not valid")]
    await worker.requests(StrictCall("north"))
    harness.gateway.replies = [OperatorFault("sk_live_… is not valid")] * 9
    for _ in range(9):
        await worker.performs_due(minutes=1)
    assert received(harness) == ()
    await worker.performs_due(minutes=1.1)
    assert received(harness) == ("No call could be made before the deadline.",), "not what the operator must fix"
    assert harness.open_operations() == []


async def test_a_destination_that_does_not_answer_is_left_alone_and_others_of_its_kind_go_on(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [Unknown("time-out")] * FAILURES
    await worker.requests(*(StrictCall("north", str(n)) for n in range(FAILURES + 4)))
    assert len(harness.gateway.asked) == FAILURES
    await worker.requests(StrictCall("south"), key="t-2")
    assert harness.gateway.asked[FAILURES:] == [("perform", "")]
    left = [row for row in harness.open_operations() if not row.in_doubt]
    assert len(left) == 4
    assert {row.error for row in left} == {"place north does not answer at the moment"}
    assert {row.attempts for row in left} == {0}


class TestCircuit:
    """By the event loop's clock."""

    async def opened(self, harness: Harness, worker: ManualWorker) -> Any:
        harness.gateway.replies = [Unknown("time-out")] * FAILURES
        await worker.requests(*(Call(str(n)) for n in range(FAILURES + 2)))
        harness.gateway.asked.clear()
        return worker.operations.destinations.circuits["Call"]

    async def test_one_operation_probes_when_the_pause_is_over(self, harness: Harness, worker: ManualWorker) -> None:
        circuit = await self.opened(harness, worker)
        await worker.performs_due(seconds=1)
        assert harness.gateway.asked == [], "not yet"
        circuit.open_until = 0.0
        harness.gateway.replies = [Retry("HTTP 503")]
        await worker.performs_due(seconds=1)
        assert harness.gateway.asked == [("perform", "8")]
        assert circuit.is_open
        circuit.open_until = 0.0
        await worker.performs_due(seconds=1)
        assert harness.gateway.asked[1:] == [("perform", "9")]
        await worker.performs_due(seconds=60)
        assert worker.operations.destinations.avoided() == []
        assert len(received(harness)) == FAILURES + 2

    async def test_the_pause_grows_while_nothing_answers(self, harness: Harness, worker: ManualWorker) -> None:
        circuit = await self.opened(harness, worker)
        pauses = []
        for _ in range(6):
            circuit.open_until = 0.0
            harness.gateway.found = [Unknown("time-out")]
            harness.gateway.replies = [Unknown("time-out")]
            harness.later(minutes=1)
            await worker.performs_due(seconds=1)
            pauses.append(circuit.open_until - asyncio.get_running_loop().time())
        assert pauses[5] > 8 * pauses[0]
        assert pauses[5] <= 30

    async def test_a_probe_that_made_no_call_proves_nothing(self, harness: Harness, worker: ManualWorker) -> None:
        circuit = await self.opened(harness, worker)
        circuit.open_until = 0.0
        harness.gateway.replies = [NotTried("its turn had not come")]
        await worker.performs_due(seconds=1)
        assert (circuit.is_open, circuit.probing) == (True, False)
        assert circuit.open_until > asyncio.get_running_loop().time()

    async def test_a_silent_destination_does_not_take_all_turns(self, harness: Harness) -> None:
        worker = ManualWorker(harness)
        worker.operations = harness.operations(at_once=48)
        worker.batcher = harness.batcher(worker.operations)
        calls: list[str] = []

        async def perform(operation: StrictCall, key: str) -> Outcome:
            calls.append(operation.place)
            if operation.place == "north":
                await asyncio.Event().wait()
            return StrictCall.Done()

        harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
        wanting = asyncio.create_task(worker.requests(*(StrictCall("north", str(n)) for n in range(MANY))))
        while len(calls) < MANY:
            await breathe("")
        circuit = worker.operations.destinations.circuits["place north"]
        circuit.answered_at -= 5  # nothing was received of it for five seconds
        other = asyncio.create_task(
            worker.requests(*(StrictCall("north", str(n)) for n in range(5)), StrictCall("south"), key="t-2")
        )
        while "south" not in calls:
            await breathe("")
        assert calls.count("north") == MANY
        for task in (wanting, other):
            task.cancel()
        await worker.operations.drain(0)


async def test_retries_alone_open_no_circuit(harness: Harness, worker: ManualWorker) -> None:
    """A server that is busy answers: each operation backs off by itself, and one that is refused harms no other."""
    harness.gateway.replies = [Retry("busy")] * 30
    await worker.requests(*(Call(str(n)) for n in range(30)))
    assert len(harness.gateway.asked) == 30
    assert worker.operations.destinations.circuits == {}
    assert all(row.due - row.requested_at > timedelta(seconds=3) for row in harness.open_operations())
