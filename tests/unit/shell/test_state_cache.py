"""States that are remembered spare parsing, and never stand in for a row that has changed."""

from __future__ import annotations

import asyncio

import pytest

from shared.core import Ref
from shared.shell.batch.state_cache import SIZE, Cached, StateCache
from shared.shell.ports.store import StoreUnavailable
from tests.unit.shell.harness import Harness, breathe
from tests.unit.shell.meter import Count, Meter

ROW = Ref(Meter, "t-1")


def test_a_state_is_found_with_its_version() -> None:
    recent = StateCache()
    recent.keep(ROW, Cached(3, Meter(count=3)))
    recent.keep(ROW, Cached(4, Meter(count=4)))

    assert recent.states(Meter, ["t-1", "t-2"]) == {"t-1": Cached(4, Meter(count=4))}


def test_the_oldest_are_forgotten() -> None:
    recent = StateCache(size=2)
    for number in range(3):
        recent.keep(Ref(Meter, f"t-{number}"), Cached(1, Meter(count=number)))

    assert recent.states(Meter, ["t-0", "t-1", "t-2"]) == {
        "t-1": Cached(1, Meter(count=1)),
        "t-2": Cached(1, Meter(count=2)),
    }


async def test_a_worker_goes_on_from_what_another_one_saved() -> None:
    harness = Harness()
    one, other = harness.batcher(), harness.batcher()

    for batcher in (one, other, one, one, other):
        await batcher.handle([harness.message("t-1", Count())])

    assert harness.meter("t-1") == Meter(count=5)


async def test_what_is_forgotten_meanwhile_is_still_what_was_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database left a row's content out, for it was known; then a message of another key pushes it out."""
    harness = Harness()
    batcher = harness.batcher()
    await batcher.handle([harness.message("t-1", Count())])

    async def full(statement: str) -> None:
        await breathe(statement)
        if statement == "load":
            for number in range(SIZE):
                batcher._cache.keep(Ref(Meter, f"x-{number}"), Cached(1, Meter()))

    monkeypatch.setattr(harness.store, "pause", full)
    await batcher.handle([harness.message("t-1", Count())])

    assert harness.meter("t-1") == Meter(count=2)


async def test_nothing_is_remembered_of_a_batch_that_was_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    batcher, other = harness.batcher(), harness.batcher()
    await batcher.handle([harness.message("t-1", Count())])
    left = 1

    async def cut_off(statement: str) -> None:
        nonlocal left
        await breathe(statement)
        if statement == "commit" and left:
            left -= 1
            raise StoreUnavailable("cut off before the commit")

    pause = asyncio.sleep

    async def another_is_quicker(seconds: float) -> None:
        await pause(0)
        if seconds:
            await other.handle([harness.message("t-1", Count())])

    monkeypatch.setattr("shared.shell.batch.batcher.asyncio.sleep", another_is_quicker)
    harness.store.pause = cut_off
    await batcher.handle([harness.message("t-1", Count())])

    assert harness.meter("t-1") == Meter(count=3)
