"""The batcher takes what waits, tries again what can be, and finds the one message that the database refuses."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import pytest

from shared.contracts.envelope import BadEnvelope
from shared.core import Decision, Refused
from shared.shell.batch.batcher import Duplicate
from shared.shell.batch.result import RetryFailed
from shared.shell.inbound.message import Inbound
from shared.shell.ports.store import Conflict, StoreUnavailable
from shared.simulation.memory_store import MemoryStore
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.meter import Call, Count, Counted, Meter


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


async def test_of_a_batch_only_the_message_that_the_database_refuses_is_parked(harness: Harness) -> None:
    harness.store = MemoryStore(breathe, checks={"meters": lambda row: row["count"] < 100})
    harness.when("too much", Decision(Meter(count=100)))
    messages = [harness.message(f"t-{n}", Count()) for n in range(20)]
    messages[13] = harness.record("t-13", Count(what="too much"))

    await harness.batcher().handle(messages)

    assert harness.parked() == [("t-13", "failed")]
    assert "23514" in (await harness.store.parked())[0].error
    assert [n for n in range(20) if harness.meter(f"t-{n}") != Meter(1)] == [13]
    assert len(harness.store.rows("outbox")) == 20, "19 events and a dead letter"


@pytest.mark.parametrize(
    "wrong",
    [
        Decision(Meter(count=cast(Any, ("ada@example.org",)))),
        Decision(Meter(), events=[Counted(count=1).model_copy(update={"count": "ada@example.org"})]),
        Decision(Meter(), operations=[Call(cast(Any, ("ada@example.org",)))]),
    ],
    ids=["state", "event", "operation"],
)
async def test_what_could_not_be_read_again_is_never_written(harness: Harness, wrong: Decision[Meter]) -> None:
    harness.when("wrong", wrong)
    messages = [harness.message(f"t-{n}", Count()) for n in range(20)]
    messages[13] = harness.record("t-13", Count(what="wrong"))

    await harness.batcher().handle(messages)

    assert harness.parked() == [("t-13", "failed")]
    error = (await harness.store.parked())[0].error
    assert "wrong type" in error
    assert "ada@" not in error
    assert [n for n in range(20) if harness.meter(f"t-{n}") != Meter(1)] == [13]


async def test_after_it_everything_of_its_key_waits_also_in_the_same_batch(harness: Harness) -> None:
    harness.store = MemoryStore(breathe, checks={"meters": lambda row: row["count"] < 100})
    harness.when("too much", Decision(Meter(count=100)))
    whats = ("one more", "too much", "one more", "one more")

    await harness.batcher().handle([harness.message("t-1", Count(what=what)) for what in whats])

    assert harness.meter("t-1") == Meter(1)
    assert [reason for _, reason in harness.parked()] == ["failed", "behind", "behind"]


@pytest.mark.parametrize("at", ["begin", "claim", "load", "save", "publish", "commit"])
async def test_when_the_database_is_away_the_same_is_tried_until_it_is_back(harness: Harness, at: str) -> None:
    harness.store.pause = failing(12, StoreUnavailable("gone"), at)
    await harness.batcher().handle([harness.message("t-1", Count()), harness.message("t-2", Count())])

    assert (harness.meter("t-1"), harness.meter("t-2"), harness.parked()) == (Meter(1), Meter(1), [])


async def test_while_the_database_takes_nothing_the_handler_says_so(harness: Harness) -> None:
    batcher, said = harness.batcher(), list[bool]()
    fail = failing(2, StoreUnavailable("53100 DiskFullError"), "save")

    async def pause(at: str) -> None:
        if at == "begin":
            said.append(batcher.database_away)
        await fail(at)

    harness.store.pause = pause
    await batcher.handle([harness.message("t-1", Count())])

    assert (said, batcher.database_away) == ([False, True, True], False)


async def test_a_commit_whose_answer_was_lost_is_not_done_twice(harness: Harness) -> None:
    harness.store.pause = failing(1, StoreUnavailable("connection lost"), "committed")
    await harness.batcher().handle([harness.message("t-1", Count())])

    assert (harness.meter("t-1"), len(harness.events())) == (Meter(1), 1)
    assert harness.done[-1].duplicates == 1


async def test_a_conflict_is_run_again_and_a_lasting_one_halved(harness: Harness) -> None:
    harness.store.pause = failing(9, Conflict("another worker"), "save")
    await harness.batcher().handle([harness.message(f"t-{n}", Count()) for n in range(4)])

    assert [harness.meter(f"t-{n}") for n in range(4)] == [Meter(1)] * 4
    assert len(harness.done) == 2, "two halves"


async def test_workers_that_meet_at_the_same_rows_all_get_through(harness: Harness) -> None:
    batchers = [harness.batcher() for _ in range(4)]
    batches = [[harness.message(f"t-{n}", Count(totals=("all",))) for n in range(10)] for _ in batchers]
    await asyncio.gather(*(batcher.handle(batch) for batcher, batch in zip(batchers, batches, strict=True)))

    assert (harness.total("all"), [harness.meter(f"t-{n}") for n in range(10)]) == (40, [Meter(4)] * 10)
    numbers = Counter((sent.envelope.subject, sent.envelope.sequence) for sent in harness.sent())
    assert numbers == Counter({(f"t-{n}", sequence): 1 for n in range(10) for sequence in range(1, 5)})


async def test_a_bug_in_the_shell_costs_one_message_not_the_batch(harness: Harness) -> None:
    async def pause(statement: str) -> None:
        if statement == "set_timers":
            raise BadEnvelope("a bug")

    harness.when("late", lambda meter, message, context: Decision(meter, cancel=["late"]))
    harness.store.pause = pause
    await harness.batcher().handle([harness.message("t-1", Count()), harness.message("t-2", Count(what="late"))])

    assert (harness.meter("t-1"), harness.parked()) == (Meter(1), [("t-2", "failed")])


class TestReplies:
    """A caller waits for the reply: an HTTP command."""

    def asked(self, harness: Harness, what: str = "one more") -> Inbound:
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return harness.message("t-1", Count(what=what), reply=reply, fingerprint="f")

    async def answer(self, inbound: Inbound) -> Any:
        assert inbound.reply is not None
        return await asyncio.wait_for(inbound.reply, 1)

    async def test_the_answer_comes_after_the_commit(self, harness: Harness) -> None:
        seen: list[bool] = []
        inbound = self.asked(harness)
        assert inbound.reply is not None
        inbound.reply.add_done_callback(lambda _: seen.append(harness.meter("t-1") == Meter(1)))
        await harness.batcher().handle([inbound])
        assert await self.answer(inbound) == inbound.id
        assert seen == [True]

    async def test_a_refusal_is_the_answer_and_no_event(self, harness: Harness) -> None:
        refused = Refused("no", "No.")
        harness.when("no", refused)
        inbound = self.asked(harness, "no")
        await harness.batcher().handle([inbound])
        assert await self.answer(inbound) == refused
        assert harness.sent() == []

    async def test_a_repetition_learns_that_it_is_one(self, harness: Harness) -> None:
        first = self.asked(harness)
        second = self.asked(harness)
        second = Inbound(first.id, "t-1", Count(), reply=second.reply, fingerprint="f")
        batcher = harness.batcher()
        await batcher.handle([first])
        await batcher.handle([second])
        assert isinstance(await self.answer(second), Duplicate)
        async with harness.store.begin() as tx:
            kept = await tx.reply(first.id)
        assert kept is not None
        assert (kept.code, kept.fingerprint) == ("", "f")

    async def test_two_with_the_same_id_in_one_batch_are_both_answered(self, harness: Harness) -> None:
        first, other = self.asked(harness), self.asked(harness)
        second = Inbound(first.id, "t-1", Count(), reply=other.reply, fingerprint="f")
        await harness.batcher().handle([first, second])
        assert await self.answer(first) == first.id
        assert isinstance(await self.answer(second), Duplicate)

    async def test_a_command_by_http_that_makes_the_core_raise_is_answered_and_parks_nothing(
        self, harness: Harness
    ) -> None:
        harness.when("boom", RuntimeError("boom"))
        inbound = self.asked(harness, "boom")
        await harness.batcher().handle([inbound])
        answer = await self.answer(inbound)
        assert isinstance(answer, Refused)
        assert (answer.code, harness.parked()) == ("internal", [])


class TestQueue:
    async def test_a_full_queue_holds_up_what_fills_it(self, harness: Harness) -> None:
        batcher = harness.batcher(batch=2)
        await batcher.put([harness.message("t-1", Count()) for _ in range(4)])
        waiting = asyncio.create_task(batcher.put([harness.message("t-1", Count())]))
        for _ in range(5):
            await breathe("")
        assert not waiting.done()

        running = asyncio.create_task(batcher.run())
        await asyncio.wait_for(waiting, 1)
        await batcher.drained()
        running.cancel()
        assert harness.meter("t-1") == Meter(5)

    async def test_a_mark_is_reached_when_all_before_it_are_committed(self, harness: Harness) -> None:
        batcher = harness.batcher(batch=2)
        running = asyncio.create_task(batcher.run())
        reached: list[Meter | None] = []
        await batcher.put(
            [harness.message("t-1", Count()) for _ in range(3)], lambda: reached.append(harness.meter("t-1"))
        )
        await batcher.put([], lambda: reached.append(harness.meter("t-1")))
        await batcher.drained()
        await breathe("")
        running.cancel()
        assert reached == [Meter(3), Meter(3)]

    async def test_nothing_is_reached_when_the_worker_dies_before_the_commit(self, harness: Harness) -> None:
        async def stuck(statement: str) -> None:
            if statement == "commit":
                await asyncio.Event().wait()

        harness.store.pause = stuck
        batcher = harness.batcher()
        reached: list[int] = []
        await batcher.put([harness.message("t-1", Count())], lambda: reached.append(1))
        running = asyncio.create_task(batcher.run())
        for _ in range(20):
            await breathe("")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (reached, harness.everything()) == ([], "{}")


async def test_a_parked_message_that_fails_again_in_the_database_stays_parked(harness: Harness) -> None:
    harness.when("boom", RuntimeError("boom"))
    await harness.counts("t-1", "boom")
    row = (await harness.store.parked())[0]
    harness.store.pause = failing(1, StoreUnavailable("gone"))
    with pytest.raises(RetryFailed, match="gone"):
        await harness.batcher().retry_parked(Inbound(row.message_id, row.key, Count(), parked=row))
    assert harness.parked() == [("t-1", "failed")]
