"""A command by HTTP that is repeated: what it is told, and for how long."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.core import Refused, hashed_id
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.problems import ProblemResponse
from shared.shell.ports.http_api import Accepted
from shared.simulation.memory_database import INBOX, REPLIES
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import Count

KEEP = 9


async def ask(api: ShellHttpApi, what: str, key: str = "k") -> Accepted | Refused | str:
    try:
        return await api.submit(Count(what=what), "t-1", identity=key, actor="staff")
    except ProblemResponse as problem:
        return problem.code


async def test_a_refused_command_is_refused_again_and_no_other_is_told_anything(api: ShellHttpApi) -> None:
    assert await ask(api, "refused") == Refused("no", "No.")
    assert await ask(api, "refused") == Refused("no", "No.")
    assert await ask(api, "one more") == "idempotency_key_reused"


async def test_a_reply_that_is_lost_is_never_taken_for_an_acceptance(harness: Harness, api: ShellHttpApi) -> None:
    await ask(api, "refused")
    harness.store.rows(REPLIES).clear()
    assert [await ask(api, what) for what in ("refused", "one more")] == ["outcome_forgotten"] * 2


@pytest.mark.parametrize("later", [timedelta(microseconds=-1), timedelta(0), timedelta(microseconds=1)])
async def test_id_and_reply_are_forgotten_together(harness: Harness, api: ShellHttpApi, later: timedelta) -> None:
    """Whatever the database's clock says: the reply is written a moment after the id."""
    await ask(api, "refused")
    _, seen_at = next((at, at) for at, _ in harness.store.rows(INBOX).values())
    await harness.store.housekeep(seen_at + timedelta(days=KEEP) + later, KEEP)
    id = hashed_id("meter", "k")
    assert (id in harness.store.rows(INBOX)) == (id in harness.store.rows(REPLIES))


async def test_after_that_the_key_is_a_new_one(harness: Harness, api: ShellHttpApi) -> None:
    await ask(api, "refused")
    harness.clock.at += timedelta(days=KEEP, hours=1)
    await harness.store.housekeep(harness.clock.at, KEEP)
    answer = await ask(api, "one more")
    assert isinstance(answer, Accepted) and not answer.duplicate
    assert await ask(api, "one more") == Accepted(answer.id, duplicate=True)


async def test_what_is_not_committed_in_time_has_its_own_outcome_later(harness: Harness) -> None:
    """ "busy" is no outcome: it is not kept, and the repetition is told what happened meanwhile."""
    harness.when("refused", Refused("no", "No."))
    batcher, no_engine = harness.batcher(), None
    parts = (harness.registry, harness.store, batcher, harness.clock, no_engine)
    impatient = ShellHttpApi(*parts, commit_timeout=0)  # type: ignore[arg-type]
    api = ShellHttpApi(*parts)  # type: ignore[arg-type]
    assert [await ask(impatient, "one more", "k-1"), await ask(impatient, "refused", "k-2")] == ["busy"] * 2
    assert not harness.store.rows(REPLIES)
    running = asyncio.create_task(batcher.run())
    try:
        assert await ask(api, "one more", "k-1") == Accepted(str(hashed_id("meter", "k-1")), duplicate=True)
        assert await ask(api, "refused", "k-2") == Refused("no", "No.")
        assert await ask(api, "another", "k-2") == "idempotency_key_reused"
        assert await ask(api, "one more", "k-3") == Accepted(str(hashed_id("meter", "k-3")))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
