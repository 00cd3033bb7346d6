"""Operations whose beginning was committed with their row, and which certainly were not begun: not in doubt."""

from __future__ import annotations

import asyncio

from shared.core import Decision
from shared.shell.ports.store import StoreUnavailable
from tests.unit.shell.harness import Harness
from tests.unit.shell.manual_worker import ManualWorker, received
from tests.unit.shell.meter import Call, Count, Meter


async def test_what_slept_through_its_lease_is_in_no_doubt(harness: Harness, worker: ManualWorker) -> None:
    """Its beginning was committed, but it never had a place, and no other worker has taken it up yet."""
    harness.when("request", Decision(Meter(), operations=[Call("a")]))
    await worker.batcher.handle([harness.message("t-1", Count(what="request"))])
    harness.later(seconds=100)
    worker.operations.start(harness.done[-1].leased)
    await worker.settled()
    (row,) = harness.open_operations()
    assert (row.in_doubt, row.attempts, row.leased_by) == (False, 0, "")


async def test_what_was_committed_without_an_answer_is_in_no_doubt(harness: Harness, worker: ManualWorker) -> None:
    """No call was begun: the worker that wrote its row did not know that it was committed."""
    troubles = iter([StoreUnavailable("the answer of the commit is lost")])

    async def pause(statement: str) -> None:
        await asyncio.sleep(0)
        if statement == "committed" and (trouble := next(troubles, None)):
            raise trouble

    harness.store.pause = pause
    await worker.requests(Call("a"))
    assert harness.done[-1].duplicates == 1
    (row,) = harness.open_operations()
    assert (row.in_doubt, row.attempts, row.abandoned, row.leased_by) == (False, 0, False, "")
    await worker.performs_due(seconds=1)
    assert harness.gateway.asked == [("perform", "a")]


async def test_what_is_decided_again_after_a_lost_transaction_is_performed_once(
    harness: Harness, worker: ManualWorker
) -> None:
    troubles = iter([StoreUnavailable("the connection is lost")])

    async def pause(statement: str) -> None:
        await asyncio.sleep(0)
        if statement == "commit" and (trouble := next(troubles, None)):
            raise trouble

    harness.store.pause = pause
    await worker.requests(Call("a"))
    await worker.performs_due(seconds=1)
    assert (harness.gateway.asked, received(harness)) == ([("perform", "a")], ("called",))
