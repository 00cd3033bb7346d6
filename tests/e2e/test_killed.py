"""Every path once more, all at the same time, while one service's process is killed (SIGKILL) again and again: all
orders end where they would have ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator

import pytest

from deploy.check.run import check
from deploy.demo.play import Play
from deploy.demo.rest import comes_to_rest
from deploy.demo.result import double_charged, lost, rows_of
from deploy.demo.stories import STORIES
from deploy.devstack.processes import Worker
from services.registry import SERVICES
from tests.e2e.conversation import World

KILLS = 3


@contextlib.asynccontextmanager
async def killed_now_and_then(worker: Worker, rng: random.Random) -> AsyncIterator[None]:
    """Kill the worker at random moments; its supervisor starts it again each time."""

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.1, 1.2))
            worker.kill()

    killing = asyncio.create_task(kill())
    try:
        yield
        await killing
    finally:
        killing.cancel()


@pytest.mark.slow
@pytest.mark.skipif("ORDERBUS_LONG" not in os.environ, reason="ORDERBUS_LONG=1: each service in turn")
@pytest.mark.parametrize("service", SERVICES)
async def test_orders_survive_the_death_of(world: World, service: str) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    await world.edges.command("fulfillment", f"/stores/{world.store}/stock/numbered", {"quantity": 1})
    play = Play(world.shop, world.edges, world.outside, world.bank, [*STORIES, *STORIES], seed=seed, rate=0)

    async with killed_now_and_then(world.services.worker(service), random.Random(seed)):
        await play.run()
    await world.services.until_ready()
    assert await comes_to_rest(world.settings, play), "something is still in progress"

    rows = await rows_of(world.edges, play)
    astray = [
        (life.story.name, life.trouble, rows.get(life.order.id, {}).get("status"))
        for life in lost(play.tally.lives, rows)
    ]
    assert astray == []
    assert double_charged(play.tally.lives, await world.bank.books()) == 0
    report = await check(world.settings)
    assert report.ok, report.invariants
