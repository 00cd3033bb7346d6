"""Skipping the first parked message of a key, when the answer to an earlier request was lost."""

from __future__ import annotations

from shared.shell.parking import Parking, Released
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import Count


async def test_a_repetition_that_names_its_message_drops_no_other(harness: Harness) -> None:
    harness.when("boom", RuntimeError("boom"))
    await harness.batch(*(harness.message("t-1", Count(what="boom")) for _ in range(3)))
    parking = Parking(harness.registry, harness.store, harness.batcher(), harness.clock)
    first, second, third = (row.id for row in await parking.show("t-1"))

    assert (await parking.skip("t-1", first)).skipped
    again = await parking.skip("t-1", first)

    assert (again.skipped, [row.id for row in await parking.show("t-1")]) == (False, [second, third])
    assert (await parking.skip("t-1")).skipped
    assert [row.id for row in await parking.show("t-1")] == [third]
    assert await parking.skip("t-2") == Released(0)
