"""Calls to the outside: leased, performed, asked about when in doubt, and given up in the end."""

from __future__ import annotations

import asyncio

import pytest

from shared.core import Decision, NotDone, NotTried, Retry, Unknown
from shared.shell.inbound.message import Meta
from shared.shell.operations.rules import Ended
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import Writes
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.manual_worker import ManualWorker, received
from tests.unit.shell.meter import Call, Count, Found, Meter, RepeatableCall, SerialCall


async def test_an_operation_is_performed_and_its_outcome_handled(harness: Harness, worker: ManualWorker) -> None:
    await worker.requests(Call("a"))
    assert (harness.gateway.asked, received(harness), harness.open_operations()) == (
        [("perform", "a")],
        ("called",),
        [],
    )


async def test_a_retry_waits_keeps_its_key_and_gives_up_at_its_deadline(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [Retry("busy"), Retry("busy"), Retry("still busy")]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=3)
    assert len(harness.gateway.asked) == 1, "at least half of the first delay of 8 s"
    await worker.performs_due(seconds=6)
    assert len(harness.gateway.asked) == 2
    await worker.performs_due(seconds=5)
    assert (len(harness.gateway.asked), received(harness)) == (2, ()), "a second is left"
    await worker.performs_due(seconds=1.1)

    assert harness.gateway.asked == [("perform", "a")] * 3
    assert len(harness.gateway.keys) == 1
    assert received(harness) == ("given up after 3 attempts: still busy",)


async def test_what_was_never_tried_is_never_given_up(harness: Harness, worker: ManualWorker) -> None:
    """A circuit that is open, a pause: however often, and however long."""
    harness.gateway.replies = [NotTried("paused")] * 50
    await worker.requests(Call("a"))
    for _ in range(49):
        await worker.performs_due(minutes=2)
    (row,) = harness.open_operations()
    assert (row.attempts, row.in_doubt, row.error, row.history) == (0, False, "paused", b"[]")
    await worker.performs_due(minutes=2)
    assert received(harness) == ("called",)


async def test_it_stays_in_doubt_through_retries(harness: Harness, worker: ManualWorker) -> None:
    """A lost answer, then a certain no: the first call may still have been carried out."""
    harness.gateway.replies = [Unknown("lost"), Retry("busy"), NotTried("paused"), Retry("busy")]
    await worker.requests(RepeatableCall("a"))
    for _ in range(3):
        await worker.performs_due(minutes=1)
    (row,) = harness.open_operations()
    assert (row.in_doubt, row.attempts) == (True, 3)
    assert [what for what, _ in harness.gateway.asked] == ["perform"] * 4, "safe to repeat under its key"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (NotDone(), "given up after 2 attempts: busy"),
        (RepeatableCall.Done("it repeated the first time"), "it repeated the first time"),
        (Unknown("the books are closed"), "the books are closed"),
    ],
)
async def test_who_gives_up_in_doubt_looks_into_the_books_first(
    harness: Harness, worker: ManualWorker, found: Found, told: str
) -> None:
    harness.gateway.replies, harness.gateway.found = [Unknown("lost"), Retry("busy")], [NotTried("paused"), found]
    await worker.requests(RepeatableCall("a"))
    await worker.performs_due(hours=2)
    assert received(harness) == (), "it was not possible to ask"
    await worker.performs_due(minutes=1)
    assert received(harness) == (told,)


async def test_a_retry_comes_when_the_outside_said(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [Retry("busy", after=600)]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=599)
    assert len(harness.gateway.asked) == 1
    await worker.performs_due(seconds=2)
    assert received(harness) == ("called",)


async def test_after_an_unknown_the_outside_is_asked_before_anything_is_repeated(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [Unknown("no answer")]
    harness.gateway.found = [Call.Done("it called the first time")]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=10)

    assert harness.gateway.asked == [("perform", "a"), ("find", "a")]
    assert received(harness) == ("it called the first time",)


async def test_what_was_certainly_not_done_is_performed_under_the_same_key(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.gateway.replies = [Unknown("no answer")]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=10)

    assert harness.gateway.asked == [("perform", "a"), ("find", "a"), ("perform", "a")]
    assert len(harness.gateway.keys) == 1


async def test_an_unknown_that_cannot_be_resolved_is_told_as_unresolved(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [Unknown("no answer")]
    harness.gateway.found = [Unknown("who knows"), Unknown("still unknown")]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=10)
    assert received(harness) == ()
    await worker.performs_due(seconds=20)

    assert [what for what, _ in harness.gateway.asked] == ["perform", "find", "find"], "never performed again"
    assert received(harness) == ("still unknown",)


async def test_a_call_that_got_no_answer_at_the_deadline_is_looked_for_a_little_later(
    harness: Harness, worker: ManualWorker
) -> None:
    """It may still be in progress at the other end: what the books say at once proves nothing."""
    harness.gateway.replies = [Retry("busy"), Unknown("no answer")]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=16)
    assert (harness.gateway.asked, received(harness)) == ([("perform", "a")] * 2, ())
    await worker.performs_due(seconds=20)
    assert harness.gateway.asked[2:] == [("find", "a")]
    assert received(harness) == ("given up after 2 attempts: no answer",)


async def test_a_retry_after_a_retry_is_not_in_doubt(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [Retry("busy")]
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=10)
    assert [what for what, _ in harness.gateway.asked] == ["perform", "perform"]


async def test_a_gateway_that_raises_leaves_the_outcome_unknown(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [RuntimeError("our bug")]
    await worker.requests(Call("a"))
    (row,) = harness.open_operations()
    assert (row.in_doubt, row.leased_by) == (True, "")
    assert b"RuntimeError" in row.history
    assert b"our bug" not in row.history, "it could quote a secret"


async def test_a_worker_that_stops_releases_what_it_did_not_begin(harness: Harness, worker: ManualWorker) -> None:
    harness.when("request", Decision(Meter(), operations=[Call(str(n)) for n in range(20)]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    worker.operations.start(harness.done[-1].leased)
    await worker.operations.drain(1)
    assert harness.gateway.asked == []
    assert {(row.leased_by, row.in_doubt, row.abandoned, row.attempts) for row in harness.open_operations()} == {
        ("", False, False, 0)
    }


async def test_beginnings_of_the_same_moment_are_one_statement(harness: Harness) -> None:
    statements: list[str] = []

    async def pause(statement: str) -> None:
        statements.append(statement)
        await asyncio.sleep(0)

    harness.store.pause = pause
    worker = ManualWorker(harness)
    worker.operations.call_budget = lambda kind: 0  # type: ignore[method-assign]
    await worker.requests(*(Call(str(n)) for n in range(4)))
    assert statements.count("begin_calls") == 1
    assert len(harness.gateway.asked) == 4


async def test_what_has_its_turn_at_once_is_begun_with_its_row(harness: Harness) -> None:
    statements: list[str] = []

    async def pause(statement: str) -> None:
        statements.append(statement)
        await asyncio.sleep(0)

    worker = ManualWorker(harness)
    worker.operations = harness.operations(at_once=2)
    worker.batcher = harness.batcher(worker.operations)
    harness.when("request", Decision(Meter(), operations=[Call(str(n)) for n in range(3)]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    assert sorted((row.attempts, row.in_doubt) for row in harness.open_operations()) == [
        (0, False),
        (1, True),
        (1, True),
    ]

    harness.store.pause = pause
    worker.operations.start(harness.done[-1].leased)
    await worker.settled()
    assert statements.count("begin_calls") == 1, "for the third, whose turn had to come"
    assert [call for call, _ in harness.gateway.asked] == ["perform"] * 3


async def test_an_attempt_that_could_outlive_its_lease_is_not_begun(harness: Harness, worker: ManualWorker) -> None:
    harness.when("request", Decision(Meter(), operations=[Call("a")]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    leased = harness.done[-1].leased
    harness.later(seconds=61)  # frozen: of the 90 s of the lease, less than the timeout of 30 s is left
    worker.operations.start(leased)
    await worker.settled()
    assert harness.gateway.asked == []


async def test_an_outcome_that_comes_after_the_lease_was_lost_changes_nothing(
    harness: Harness, worker: ManualWorker
) -> None:
    harness.when("request", Decision(Meter(), operations=[Call("a")]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    (row, operation) = harness.done[-1].leased[0]
    harness.later(seconds=120)
    other = ManualWorker(harness, "meter-1")
    await other.operations.lease()
    worker.operations._deliver(Ended(row, Call.Done("too late")), operation, Meta())
    await worker.settled()
    assert received(harness) == ()
    await other.settled()
    assert received(harness) == ("called",)


async def test_serial_operations_go_one_after_the_other(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [Retry("busy", after=100)]
    await worker.requests(SerialCall("1"), SerialCall("2"), SerialCall("3"))
    assert harness.gateway.asked == [("perform", "1")]
    await worker.performs_due(seconds=50)
    assert len(harness.gateway.asked) == 1, "the others wait for the first, however long it takes"
    for _ in range(3):
        await worker.performs_due(seconds=51)
    assert [note for _, note in harness.gateway.asked] == ["1", "1", "2", "3"]


async def test_what_has_been_due_for_long_is_looked_for_every_few_seconds(
    harness: Harness, worker: ManualWorker
) -> None:
    """A lease that ran out, a retry that waited for room: their rows lie among the dead ones of the queue."""
    await worker.performs_due(seconds=1)
    harness.when("request", Decision(Meter(), operations=[Call("a")]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    harness.later(seconds=600)

    await worker.operations.lease()
    await worker.settled()
    assert harness.gateway.asked == []
    await worker.performs_due(seconds=1)
    assert harness.gateway.asked == [("find", "a"), ("perform", "a")]


async def test_no_more_are_performed_at_once_than_allowed(harness: Harness) -> None:
    worker = ManualWorker(harness)
    worker.operations = harness.operations(at_once=2)
    worker.batcher = harness.batcher(worker.operations)
    running, most = 0, 0

    async def perform(operation: Call, key: str) -> Call.Done:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await breathe("")
        running -= 1
        return Call.Done()

    harness.gateway.perform = perform  # type: ignore[method-assign, assignment]
    await worker.requests(*(Call(str(n)) for n in range(8)))
    assert most == 2


async def test_a_kind_that_hangs_takes_no_room_from_others(harness: Harness, worker: ManualWorker) -> None:
    harness.when("request", Decision(Meter(), operations=[Call(str(n)) for n in range(100)]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    worker.operations.start(harness.done[-1].leased)
    assert worker.operations.lease_budget("Call") == 0
    assert worker.operations.lease_budget("SerialCall") == 64
    await worker.operations.drain(0)
    assert worker.operations.lease_budget("SerialCall") == 0, "a worker that stops takes nothing more"


async def test_an_operation_that_this_version_does_not_know_waits_for_one_that_does(
    harness: Harness, worker: ManualWorker
) -> None:
    await worker.requests()
    async with harness.store.begin() as tx:
        row = harness.open_operations()
        assert row == []
        strange = OperationRow(
            id=harness.message("x", Count()).id,
            key="t-1",
            kind="Call",
            payload=b'{"tune":"ding"}',
            meta=b'["","","","system"]',
            due=harness.clock.at,
            requested_at=harness.clock.at,
            destination="Call",
        )
        await tx.write(Writes(operations=[strange]))
    await worker.performs_due(seconds=1)
    (left,) = harness.open_operations()
    assert (left.in_doubt, left.due, left.attempts, left.leased_by) == (False, strange.due, 0, "")


async def test_the_runner_takes_what_is_due_by_itself(harness: Harness, worker: ManualWorker) -> None:
    harness.gateway.replies = [Retry("busy", after=1)]
    await worker.requests(Call("a"))
    harness.later(seconds=2)
    running = [asyncio.create_task(worker.operations.run(0.001)), asyncio.create_task(worker.batcher.run())]
    async with asyncio.timeout(2):
        while received(harness) != ("called",):
            await asyncio.sleep(0.001)
    for task in running:
        task.cancel()
