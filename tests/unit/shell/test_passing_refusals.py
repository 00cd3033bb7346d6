"""A caller that is told to wait, or of an internal error, sends the same again under the same Idempotency-Key: such a
refusal is not kept."""

from __future__ import annotations

import asyncio
from uuid import UUID

from shared.core import Refused, hashed_id
from shared.core.fast_dataclasses import replace
from shared.shell.batch.batcher import Duplicate
from shared.shell.inbound.message import Inbound
from shared.shell.parking import Parking
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import Count, Meter


def asked(harness: Harness, what: str, id: UUID) -> Inbound:
    reply = asyncio.get_running_loop().create_future()
    return replace(harness.message("t-1", Count(what=what)), id=id, reply=reply)


async def told(inbound: Inbound) -> object:
    assert inbound.reply is not None
    answer = await inbound.reply
    return answer.code if isinstance(answer, Refused) else answer


async def test_it_is_not_kept(harness: Harness) -> None:
    harness.when("boom", RuntimeError("boom"))
    batcher, parking = harness.batcher(), Parking(harness.registry, harness.store, harness.batcher(), harness.clock)
    first, key = harness.message("t-1", Count(what="boom")), hashed_id("key")
    await harness.batch(first)
    for _ in range(2):
        inbound = asked(harness, "one more", key)
        await batcher.handle([inbound])
        assert await told(inbound) == "parked"
    assert (await parking.skip("t-1")).error == ""

    inbound, again = (asked(harness, "one more", key) for _ in range(2))
    await batcher.handle([inbound])
    await batcher.handle([again])
    assert await told(inbound) == key
    assert isinstance(await told(again), Duplicate)
    assert harness.meter("t-1") == Meter(1)


async def test_a_bug_is_not_kept_either(harness: Harness) -> None:
    harness.when("boom", RuntimeError("boom"))
    batcher, key = harness.batcher(), hashed_id("key")
    inbound = asked(harness, "boom", key)
    await batcher.handle([inbound, harness.message("t-2", Count())])
    assert await told(inbound) == "internal"
    harness.answers.clear()
    again = asked(harness, "boom", key)
    await batcher.handle([again])
    assert await told(again) == key
    assert harness.meter("t-1") == Meter(1)


async def test_a_repetition_in_the_same_batch_is_told_the_same(harness: Harness) -> None:
    harness.when("boom", RuntimeError("boom"))
    one, other = (asked(harness, "boom", hashed_id("key")) for _ in range(2))
    await harness.batcher().handle([one, other])
    assert [await told(one), await told(other)] == ["internal", "internal"]
