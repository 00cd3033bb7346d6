"""Turns at the outside, reserved in blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

from shared.shell.operations.rate_limit import LocalReservations, RateLimiter
from shared.shell.ports.store import StoreUnavailable
from shared.simulation.loop import SeededLoop


class Counted(LocalReservations):
    """Counts the statements that there would be."""

    def __init__(self) -> None:
        super().__init__()
        self.reserved: list[float] = []
        self.away = False

    async def reserve(self, name: str, length: float) -> float:
        await asyncio.sleep(0.001)
        if self.away:
            raise StoreUnavailable
        self.reserved.append(length)
        return await super().reserve(name, length)


def in_virtual_time(work: Coroutine[Any, Any, list[float]]) -> list[float]:
    loop = SeededLoop(1)
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


async def call(limiter: RateLimiter, name: str = "charges", within: float = 5.0) -> float:
    """When the turn had come; minus what it said where it did not come."""
    if (seconds := await limiter.acquire(name, within)) > 0:
        return -seconds
    return asyncio.get_running_loop().time()


def test_turns_are_evenly_spaced_over_all_workers_and_reserved_in_blocks() -> None:
    books = Counted()

    async def two_workers() -> list[float]:
        workers = RateLimiter(books, 20), RateLimiter(books, 20)
        return sorted(await asyncio.gather(*(call(worker) for worker in workers for _ in range(40))))

    times = in_virtual_time(two_workers())
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) > 0.049 and max(gaps) < 0.06, "80 calls in 4 s"
    assert len(books.reserved) == 16, "blocks of a quarter second"


def test_a_single_call_does_not_wait_and_each_name_has_its_own_rate() -> None:
    books = Counted()

    async def calls() -> list[float]:
        limiter = RateLimiter(books, 2)
        return [await call(limiter), await call(limiter, "refunds"), await call(limiter)]

    first, other, second = in_virtual_time(calls())
    assert (first < 0.01, other < 0.01, second > 0.49) == (True, True, True)
    assert books.reserved == [0.5, 0.5, 0.5]


def test_whose_turn_is_far_away_is_told_when_to_ask_again_and_takes_none() -> None:
    books = Counted()

    async def calls() -> list[float]:
        limiter = RateLimiter(books, 10)
        return await asyncio.gather(*(call(limiter, within=1.0) for _ in range(30)))

    times = in_virtual_time(calls())
    turned_away = [-time for time in times if time < 0]
    assert 18 <= len(turned_away) <= 20 and all(seconds >= 1.0 for seconds in turned_away)
    assert sum(books.reserved) < 1.5, "no turn was lost"


def test_without_the_database_no_call_is_made() -> None:
    books = Counted()
    books.away = True

    async def calls() -> list[float]:
        limiter = RateLimiter(books, 10)
        before = await asyncio.gather(call(limiter), call(limiter))
        books.away = False
        return [*before, await call(limiter)]

    first, second, later = in_virtual_time(calls())
    assert (first, second) == (-1.0, -1.0)
    assert later > 0


def test_calls_that_come_one_by_one_share_reservations_within_the_rate() -> None:
    books = Counted()

    async def calls() -> list[float]:
        workers = RateLimiter(books, 25), RateLimiter(books, 25)
        times = []
        for number in range(200):
            await asyncio.sleep(0.03)
            times.append(await call(workers[number % 2]))
        return times

    times = in_virtual_time(calls())
    for began in times:
        assert sum(began <= time < began + 1.0 for time in times) <= 25 + 7, "a block at most beyond the rate"
    assert len(books.reserved) < 100


def test_calls_that_are_not_made_in_time_lapse() -> None:
    books = Counted()

    async def calls() -> list[float]:
        limiter = RateLimiter(books, 20)
        for _ in range(20):
            await call(limiter)
        await asyncio.sleep(10)
        return sorted(await asyncio.gather(*(call(limiter) for _ in range(8))))

    times = in_virtual_time(calls())
    assert all(after - before > 0.049 for before, after in pairwise(times)), "no burst of what was saved up"
