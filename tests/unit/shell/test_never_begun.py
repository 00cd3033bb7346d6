"""Operations whose beginning was committed with their row, and which certainly nobody began: they are in no doubt."""

from __future__ import annotations

import asyncio

from shared.core import Decision
from shared.shell.ports.store import StoreUnavailable
from tests.unit.shell.office import Office, heard
from tests.unit.shell.tally import Count, Ring, Tally
from tests.unit.shell.world import World


async def test_what_slept_through_its_lease_is_in_no_doubt(world: World, office: Office) -> None:
    """Its beginning was committed, but it never had its turn, and nobody else has taken it up yet."""
    world.when("want", Decision(Tally(), operations=[Ring("a")]))
    await office.batcher.handle([world.message("t-1", Count(what="want"))])
    world.later(seconds=100)
    office.operations.start(world.done[-1].leased)
    await office.settled()
    (row,) = world.wanted()
    assert (row.in_doubt, row.attempts, row.leased_by) == (False, 0, "")


async def test_what_was_committed_without_an_answer_is_in_no_doubt(world: World, office: Office) -> None:
    """Nobody began a call: who wrote its row did not know that it was there."""
    troubles = iter([StoreUnavailable("the answer of the commit is lost")])

    async def pause(statement: str) -> None:
        await asyncio.sleep(0)
        if statement == "committed" and (trouble := next(troubles, None)):
            raise trouble

    world.store.pause = pause
    await office.wants(Ring("a"))
    assert world.done[-1].duplicates == 1
    (row,) = world.wanted()
    assert (row.in_doubt, row.attempts, row.abandoned, row.leased_by) == (False, 0, False, "")
    await office.comes_back(seconds=1)
    assert world.bell.asked == [("perform", "a")]


async def test_what_is_decided_again_after_a_lost_transaction_is_performed_once(world: World, office: Office) -> None:
    troubles = iter([StoreUnavailable("the connection is lost")])

    async def pause(statement: str) -> None:
        await asyncio.sleep(0)
        if statement == "commit" and (trouble := next(troubles, None)):
            raise trouble

    world.store.pause = pause
    await office.wants(Ring("a"))
    await office.comes_back(seconds=1)
    assert (world.bell.asked, heard(world)) == ([("perform", "a")], ("rang",))
