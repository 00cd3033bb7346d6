"""The batcher takes what waits, tries again what can be, and finds the one message that the database refuses."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from shared.contracts.envelope import BadEnvelope
from shared.core import Decision, Refused
from shared.shell.batch.batcher import Duplicate
from shared.shell.batch.result import RetryFailed
from shared.shell.inbound.message import Inbound
from shared.shell.ports.store import Conflict, StoreUnavailable
from shared.simulation.memory_store import MemoryStore
from tests.unit.shell.tally import Count, Tally
from tests.unit.shell.world import World, breathe


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off takes no time here; everything else runs as it is."""
    sleep = asyncio.sleep

    async def at_once(seconds: float, result: Any = None) -> Any:
        return await sleep(0, result)

    monkeypatch.setattr("shared.shell.batch.batcher.asyncio.sleep", at_once)


def failing(times: int, error: Exception, at: str = "commit") -> Any:
    """A database that fails at a statement, some times."""
    left = times

    async def pause(statement: str) -> None:
        nonlocal left
        await breathe(statement)
        if statement == at and left:
            left -= 1
            raise error

    return pause


async def test_of_a_batch_only_the_message_that_the_database_refuses_is_set_aside(world: World) -> None:
    world.store = MemoryStore(breathe, checks={"tallies": lambda row: row["count"] < 100})
    world.when("too much", Decision(Tally(count=100)))
    messages = [world.message(f"t-{n}", Count()) for n in range(20)]
    messages[13] = world.record("t-13", Count(what="too much"))

    await world.batcher().handle(messages)

    assert world.parked() == [("t-13", "failed")]
    assert "23514" in (await world.store.parked())[0].error
    assert [n for n in range(20) if world.tally(f"t-{n}") != Tally(1)] == [13]
    assert len(world.store.rows("outbox")) == 20, "19 events and a dead letter"


async def test_after_it_everything_of_its_key_waits_also_in_the_same_batch(world: World) -> None:
    world.store = MemoryStore(breathe, checks={"tallies": lambda row: row["count"] < 100})
    world.when("too much", Decision(Tally(count=100)))
    whats = ("one more", "too much", "one more", "one more")

    await world.batcher().handle([world.message("t-1", Count(what=what)) for what in whats])

    assert world.tally("t-1") == Tally(1)
    assert [reason for _, reason in world.parked()] == ["failed", "behind", "behind"]


@pytest.mark.parametrize("at", ["begin", "claim", "load", "save", "publish", "commit"])
async def test_when_the_database_is_away_the_same_is_tried_until_it_is_back(world: World, at: str) -> None:
    world.store.pause = failing(12, StoreUnavailable("gone"), at)
    await world.batcher().handle([world.message("t-1", Count()), world.message("t-2", Count())])

    assert (world.tally("t-1"), world.tally("t-2"), world.parked()) == (Tally(1), Tally(1), [])


async def test_while_the_database_takes_nothing_the_handler_says_so(world: World) -> None:
    batcher, said = world.batcher(), list[bool]()
    fail = failing(2, StoreUnavailable("53100 DiskFullError"), "save")

    async def pause(at: str) -> None:
        if at == "begin":
            said.append(batcher.held_up)
        await fail(at)

    world.store.pause = pause
    await batcher.handle([world.message("t-1", Count())])

    assert (said, batcher.held_up) == ([False, True, True], False)


async def test_a_commit_whose_answer_was_lost_is_not_done_twice(world: World) -> None:
    world.store.pause = failing(1, StoreUnavailable("connection lost"), "committed")
    await world.batcher().handle([world.message("t-1", Count())])

    assert (world.tally("t-1"), len(world.events())) == (Tally(1), 1)
    assert world.done[-1].duplicates == 1


async def test_a_conflict_is_run_again_and_a_lasting_one_halved(world: World) -> None:
    world.store.pause = failing(9, Conflict("somebody else"), "save")
    await world.batcher().handle([world.message(f"t-{n}", Count()) for n in range(4)])

    assert [world.tally(f"t-{n}") for n in range(4)] == [Tally(1)] * 4
    assert len(world.done) == 2, "two halves"


async def test_workers_that_meet_at_the_same_rows_all_get_through(world: World) -> None:
    batchers = [world.batcher() for _ in range(4)]
    batches = [[world.message(f"t-{n}", Count(totals=("all",))) for n in range(10)] for _ in batchers]
    await asyncio.gather(*(batcher.handle(batch) for batcher, batch in zip(batchers, batches, strict=True)))

    assert (world.total("all"), [world.tally(f"t-{n}") for n in range(10)]) == (40, [Tally(4)] * 10)
    numbers = Counter((sent.envelope.subject, sent.envelope.sequence) for sent in world.sent())
    assert numbers == Counter({(f"t-{n}", sequence): 1 for n in range(10) for sequence in range(1, 5)})


async def test_a_bug_in_the_shell_costs_one_message_not_the_batch(world: World) -> None:
    async def pause(statement: str) -> None:
        if statement == "set_timers":
            raise BadEnvelope("a bug")

    world.when("late", lambda tally, message, context: Decision(tally, cancel=["late"]))
    world.store.pause = pause
    await world.batcher().handle([world.message("t-1", Count()), world.message("t-2", Count(what="late"))])

    assert (world.tally("t-1"), world.parked()) == (Tally(1), [("t-2", "failed")])


class TestReplies:
    """Somebody waits for the answer: an HTTP command."""

    def asked(self, world: World, what: str = "one more") -> Inbound:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return world.message("t-1", Count(what=what), reply=reply, fingerprint="f")

    async def answer(self, inbound: Inbound) -> Any:
        assert inbound.reply is not None
        return await asyncio.wait_for(inbound.reply, 1)

    async def test_the_answer_comes_after_the_commit(self, world: World) -> None:
        seen: list[bool] = []
        inbound = self.asked(world)
        assert inbound.reply is not None
        inbound.reply.add_done_callback(lambda _: seen.append(world.tally("t-1") == Tally(1)))
        await world.batcher().handle([inbound])
        assert await self.answer(inbound) == inbound.id
        assert seen == [True]

    async def test_a_refusal_is_the_answer_and_no_event(self, world: World) -> None:
        refused = Refused("no", "No.")
        world.when("no", refused)
        inbound = self.asked(world, "no")
        await world.batcher().handle([inbound])
        assert await self.answer(inbound) == refused
        assert world.sent() == []

    async def test_a_repetition_learns_that_it_is_one(self, world: World) -> None:
        first = self.asked(world)
        second = self.asked(world)
        second = Inbound(first.id, "t-1", Count(), reply=second.reply, fingerprint="f")
        batcher = world.batcher()
        await batcher.handle([first])
        await batcher.handle([second])
        assert isinstance(await self.answer(second), Duplicate)
        async with world.store.begin() as tx:
            kept = await tx.reply(first.id)
        assert kept is not None
        assert (kept.code, kept.fingerprint) == ("", "f")

    async def test_two_with_the_same_id_in_one_batch_are_both_answered(self, world: World) -> None:
        first, other = self.asked(world), self.asked(world)
        second = Inbound(first.id, "t-1", Count(), reply=other.reply, fingerprint="f")
        await world.batcher().handle([first, second])
        assert await self.answer(first) == first.id
        assert isinstance(await self.answer(second), Duplicate)

    async def test_a_command_by_http_that_makes_the_core_raise_is_answered_and_parks_nothing(
        self, world: World
    ) -> None:
        world.when("boom", RuntimeError("boom"))
        inbound = self.asked(world, "boom")
        await world.batcher().handle([inbound])
        answer = await self.answer(inbound)
        assert isinstance(answer, Refused)
        assert (answer.code, world.parked()) == ("internal", [])


class TestQueue:
    async def test_a_full_queue_holds_up_whoever_fills_it(self, world: World) -> None:
        batcher = world.batcher(batch=2)
        await batcher.put([world.message("t-1", Count()) for _ in range(4)])
        waiting = asyncio.create_task(batcher.put([world.message("t-1", Count())]))
        for _ in range(5):
            await breathe("")
        assert not waiting.done()

        running = asyncio.create_task(batcher.run())
        await asyncio.wait_for(waiting, 1)
        await batcher.drained()
        running.cancel()
        assert world.tally("t-1") == Tally(5)

    async def test_a_mark_is_reached_when_all_before_it_are_committed(self, world: World) -> None:
        batcher = world.batcher(batch=2)
        running = asyncio.create_task(batcher.run())
        reached: list[Tally | None] = []
        await batcher.put([world.message("t-1", Count()) for _ in range(3)], lambda: reached.append(world.tally("t-1")))
        await batcher.put([], lambda: reached.append(world.tally("t-1")))
        await batcher.drained()
        await breathe("")
        running.cancel()
        assert reached == [Tally(3), Tally(3)]

    async def test_nothing_is_reached_when_the_worker_dies_before_the_commit(self, world: World) -> None:
        async def stuck(statement: str) -> None:
            if statement == "commit":
                await asyncio.Event().wait()

        world.store.pause = stuck
        batcher = world.batcher()
        reached: list[int] = []
        await batcher.put([world.message("t-1", Count())], lambda: reached.append(1))
        running = asyncio.create_task(batcher.run())
        for _ in range(20):
            await breathe("")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (reached, world.everything()) == ([], "{}")


async def test_a_parked_message_that_fails_again_in_the_database_stays_parked(world: World) -> None:
    world.when("boom", RuntimeError("boom"))
    await world.counts("t-1", "boom")
    row = (await world.store.parked())[0]
    world.store.pause = failing(1, StoreUnavailable("gone"))
    with pytest.raises(RetryFailed, match="gone"):
        await world.batcher().retry_parked(Inbound(row.message_id, row.key, Count(), parked=row))
    assert world.parked() == [("t-1", "failed")]
