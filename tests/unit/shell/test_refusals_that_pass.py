"""Whoever is told to wait, or that we have a bug, sends the same again under the same Idempotency-Key: such a refusal
is not kept."""

from __future__ import annotations

import asyncio
from uuid import UUID

from shared.core import Refused, hashed_id
from shared.core.fast_dataclasses import replace
from shared.shell.batch.batcher import Duplicate
from shared.shell.inbound.message import Inbound
from shared.shell.parking import Parking
from tests.unit.shell.tally import Count, Tally
from tests.unit.shell.world import World


def asked(world: World, what: str, id: UUID) -> Inbound:
    reply = asyncio.get_running_loop().create_future()
    return replace(world.message("t-1", Count(what=what)), id=id, reply=reply)


async def told(inbound: Inbound) -> object:
    assert inbound.reply is not None
    answer = await inbound.reply
    return answer.code if isinstance(answer, Refused) else answer


async def test_it_is_not_kept(world: World) -> None:
    world.when("boom", RuntimeError("boom"))
    batcher, parking = world.batcher(), Parking(world.registry, world.store, world.batcher(), world.clock)
    first, key = world.message("t-1", Count(what="boom")), hashed_id("key")
    await world.batch(first)
    for _ in range(2):
        inbound = asked(world, "one more", key)
        await batcher.handle([inbound])
        assert await told(inbound) == "parked"
    assert (await parking.skip("t-1")).error == ""

    inbound, again = (asked(world, "one more", key) for _ in range(2))
    await batcher.handle([inbound])
    await batcher.handle([again])
    assert await told(inbound) == key
    assert isinstance(await told(again), Duplicate)
    assert world.tally("t-1") == Tally(1)


async def test_a_bug_is_not_kept_either(world: World) -> None:
    world.when("boom", RuntimeError("boom"))
    batcher, key = world.batcher(), hashed_id("key")
    inbound = asked(world, "boom", key)
    await batcher.handle([inbound, world.message("t-2", Count())])
    assert await told(inbound) == "internal"
    world.answers.clear()
    again = asked(world, "boom", key)
    await batcher.handle([again])
    assert await told(again) == key
    assert world.tally("t-1") == Tally(1)


async def test_a_repetition_in_the_same_batch_is_told_the_same(world: World) -> None:
    world.when("boom", RuntimeError("boom"))
    one, other = (asked(world, "boom", hashed_id("key")) for _ in range(2))
    await world.batcher().handle([one, other])
    assert [await told(one), await told(other)] == ["internal", "internal"]
