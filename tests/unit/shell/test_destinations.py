"""Outside systems that are not called for a while: paused for the operator's fault, or because they do not answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from shared.core import NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.operations.circuit import FAILURES, MANY
from shared.shell.operations.destinations import LONGEST_PROBE
from tests.unit.shell.office import Office, heard
from tests.unit.shell.tally import Peal, Ring
from tests.unit.shell.world import World, breathe


def value(world: World, name: str) -> float:
    return world.metrics.registry.get_sample_value(name, {"service": "tally", "worker": "tally-0"}) or 0.0


async def test_a_fault_of_the_operators_pauses_the_destination_and_nothing_is_told_to_the_core(
    world: World, office: Office
) -> None:
    world.bell.replies = [OperatorFault("HTTP 401: the key has expired")]
    await office.wants(Ring("a"))
    await office.wants(Ring("b"), Ring("c"), key="t-2")

    assert world.bell.asked == [("perform", "a")], "the others are not tried"
    assert heard(world) == ()
    assert [(row.attempts, row.in_doubt, row.history) for row in world.wanted()] == [(0, False, b"[]")] * 3
    assert sorted(row.error for row in world.wanted()) == ["", "", "HTTP 401: the key has expired"]
    (pause,) = await world.store.paused_destinations()
    assert (pause.destination, pause.reason, pause.by) == ("Ring", "HTTP 401: the key has expired", "tally-0")
    assert value(world, "orderbus_destination_pauses_total") == 1, "one alert"
    world.store.now = lambda: world.clock.at + timedelta(minutes=5)
    sizes = await world.store.gauge()
    assert (sizes["destinations_paused"], sizes["operations_late"]) == (1, 0), "one alert is enough"


async def test_one_operation_probes_and_its_success_lets_the_others_go_on(world: World, office: Office) -> None:
    world.bell.replies = [OperatorFault("wrong key")] * 4
    await office.wants(Ring("a"), Ring("b"), Ring("c"))
    asked = len(world.bell.asked)
    await office.comes_back(seconds=7)
    assert len(world.bell.asked) == asked, "too early"
    await office.comes_back(seconds=9)
    assert len(world.bell.asked) == asked + 1, "one probe"
    assert value(world, "orderbus_destination_pauses_total") == 1
    await office.comes_back(seconds=10)
    assert len(world.bell.asked) == asked + 1, "the next one comes later"
    await office.comes_back(seconds=60)
    assert len({note for _, note in world.bell.asked[asked:]}) == 2, "not with the same one: it may be that one's fault"

    assert await world.store.paused_destinations() == []
    await office.comes_back(seconds=1)
    assert heard(world) == ("rang",) * 3


async def test_two_workers_share_a_pause_and_its_probes(world: World, office: Office) -> None:
    world.bell.replies = [OperatorFault("wrong key")] * 3
    await office.wants(Ring("a"), Ring("b"), Ring("c"))
    other = Office(world, "tally-1")
    world.bell.replies = [OperatorFault("wrong key")] * 9
    world.bell.asked.clear()
    world.later(seconds=16)
    await asyncio.gather(office.comes_back(seconds=1), other.comes_back(seconds=1))
    assert len(world.bell.asked) == 1
    await other.comes_back(seconds=LONGEST_PROBE)
    assert len(world.bell.asked) == 2


async def test_a_person_resumes(world: World, office: Office) -> None:
    world.bell.replies = [OperatorFault("wrong key")]
    await office.wants(Ring("a"))
    assert await world.store.resume_destination("Ring")
    office.operations.resumed("Ring")
    await office.comes_back(seconds=1)
    assert heard(world) == ("rang",)
    assert not await world.store.resume_destination("Ring"), "once is enough"


async def test_a_success_from_before_the_pause_does_not_end_it(world: World, office: Office) -> None:
    answered = asyncio.Event()

    async def perform(operation: Ring, key: str) -> Any:
        if operation.note == "slow":
            await answered.wait()
            return Ring.Done()
        return OperatorFault("wrong key")

    world.bell.perform = perform  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(office.wants(Ring("slow"), Ring("b")))
    while not await world.store.paused_destinations():
        await breathe("")
    answered.set()
    await waiting
    assert len(await world.store.paused_destinations()) == 1


async def test_at_a_strict_deadline_a_paused_operation_is_told_as_not_tried(world: World, office: Office) -> None:
    world.bell.replies = [OperatorFault("sk_live_… is not valid")]
    await office.wants(Peal("north"))
    world.bell.replies = [OperatorFault("sk_live_… is not valid")] * 9
    for _ in range(9):
        await office.comes_back(minutes=1)
    assert heard(world) == ()
    await office.comes_back(minutes=1.1)
    assert heard(world) == ("No call could be made before the deadline.",), "not what the operator must mend"
    assert world.wanted() == []


async def test_a_destination_that_does_not_answer_is_left_alone_and_others_of_its_kind_go_on(
    world: World, office: Office
) -> None:
    world.bell.replies = [Unknown("time-out")] * FAILURES
    await office.wants(*(Peal("north", str(n)) for n in range(FAILURES + 4)))
    assert len(world.bell.asked) == FAILURES
    await office.wants(Peal("south"), key="t-2")
    assert world.bell.asked[FAILURES:] == [("perform", "")]
    left = [row for row in world.wanted() if not row.in_doubt]
    assert len(left) == 4
    assert {row.error for row in left} == {"tower north does not answer at the moment"}
    assert {row.attempts for row in left} == {0}


class TestCircuit:
    """By the event loop's clock."""

    async def opened(self, world: World, office: Office) -> Any:
        world.bell.replies = [Unknown("time-out")] * FAILURES
        await office.wants(*(Ring(str(n)) for n in range(FAILURES + 2)))
        world.bell.asked.clear()
        return office.operations.destinations.circuits["Ring"]

    async def test_one_operation_probes_when_the_pause_is_over(self, world: World, office: Office) -> None:
        circuit = await self.opened(world, office)
        await office.comes_back(seconds=1)
        assert world.bell.asked == [], "not yet"
        circuit.open_until = 0.0
        world.bell.replies = [Retry("HTTP 503")]
        await office.comes_back(seconds=1)
        assert world.bell.asked == [("perform", "8")]
        assert circuit.is_open
        circuit.open_until = 0.0
        await office.comes_back(seconds=1)
        assert world.bell.asked[1:] == [("perform", "9")]
        await office.comes_back(seconds=60)
        assert office.operations.destinations.avoided() == []
        assert len(heard(world)) == FAILURES + 2

    async def test_the_pause_grows_while_nothing_answers(self, world: World, office: Office) -> None:
        circuit = await self.opened(world, office)
        pauses = []
        for _ in range(6):
            circuit.open_until = 0.0
            world.bell.found = [Unknown("time-out")]
            world.bell.replies = [Unknown("time-out")]
            world.later(minutes=1)
            await office.comes_back(seconds=1)
            pauses.append(circuit.open_until - asyncio.get_running_loop().time())
        assert pauses[5] > 8 * pauses[0]
        assert pauses[5] <= 30

    async def test_a_probe_that_made_no_call_proves_nothing(self, world: World, office: Office) -> None:
        circuit = await self.opened(world, office)
        circuit.open_until = 0.0
        world.bell.replies = [NotTried("its turn had not come")]
        await office.comes_back(seconds=1)
        assert (circuit.is_open, circuit.probing) == (True, False)
        assert circuit.open_until > asyncio.get_running_loop().time()

    async def test_a_silent_destination_does_not_take_all_turns(self, world: World) -> None:
        office = Office(world)
        office.operations = world.operations(at_once=48)
        office.batcher = world.batcher(office.operations)
        calls: list[str] = []

        async def perform(operation: Peal, key: str) -> Outcome:
            calls.append(operation.tower)
            if operation.tower == "north":
                await asyncio.Event().wait()
            return Peal.Done()

        world.bell.perform = perform  # type: ignore[method-assign, assignment]
        wanting = asyncio.create_task(office.wants(*(Peal("north", str(n)) for n in range(MANY))))
        while len(calls) < MANY:
            await breathe("")
        circuit = office.operations.destinations.circuits["tower north"]
        circuit.answered_at -= 5  # nothing was heard of it for five seconds
        other = asyncio.create_task(office.wants(*(Peal("north", str(n)) for n in range(5)), Peal("south"), key="t-2"))
        while "south" not in calls:
            await breathe("")
        assert calls.count("north") == MANY
        for task in (wanting, other):
            task.cancel()
        await office.operations.drain(0)


async def test_retries_alone_open_no_circuit(world: World, office: Office) -> None:
    """A server that is busy answers: each operation backs off by itself, and one that is refused harms no other."""
    world.bell.replies = [Retry("busy")] * 30
    await office.wants(*(Ring(str(n)) for n in range(30)))
    assert len(world.bell.asked) == 30
    assert office.operations.destinations.circuits == {}
    assert all(row.due - row.requested_at > timedelta(seconds=3) for row in world.wanted())
