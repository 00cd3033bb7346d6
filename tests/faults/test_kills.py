"""Whatever is killed when, an order ends as it would have ended in peace."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from deploy.devstack.processes import Services, Worker
from services.registry import SERVICES
from tests.faults.paths import LAST_COPY, PATHS, End, Journey, ends, walk
from tests.faults.scenario import charged_twice
from tests.faults.system import HESITANT, System
from tests.faults.table import LONG, Table

ROUNDS, COPIES, SECONDS = (2, 59, 55.0) if LONG else (1, 3, 20.0)
EVERY = (1.5, 4.5)
"""Seconds between two blows."""
BOTH = 0.3
"""The share of blows that strike both workers of a service."""


async def test_every_path_ends_as_in_peace_while_processes_are_killed(system: System, table: Table, seed: int) -> None:
    rng = random.Random(seed)
    crowd = [*PATHS, *(way for way in PATHS if LAST_COPY in way.skus)]  # two customers for one last copy
    peaceful = await walk(system, crowd)
    await system.at_rest()
    expected = _by_name(peaceful, await ends(system, peaceful))
    assert [end for found in expected.values() for end in found if end["trouble"]] == []

    began, told, wrong, twice = time.monotonic(), list[Journey](), list[str](), 0
    last_copies, struck = Counter[str](), Counter[str]()
    for _ in range(ROUNDS):
        many = [replace(way, store=HESITANT) if way.store else way for way in crowd * COPIES]
        rng.shuffle(many)
        many.sort(key=lambda way: not way.store)  # those who have to be waited for come first
        async with blows(system.services, rng, struck):
            told = await walk(system, many, seconds=SECONDS)
        await system.at_rest()
        found = await ends(system, told)
        wrong += [
            f"{it.path.name} {it.order.id}: {difference(end, expected[it.path.name])}"
            for it, end in zip(told, found, strict=True)
            if end not in expected[it.path.name]
        ]
        twice += len(await charged_twice(system, told))
        last_copies.update(it.order.status for it in told if LAST_COPY in it.path.skus)

    violated = await system.check()
    remark = f"{sum(struck.values())} kills; every end compared with one in peace"
    what = "(a) SIGKILL of one worker or both"
    table.add(what, ROUNDS * len(told), len(wrong), twice, time.monotonic() - began, remark)
    assert not wrong, "\n".join(wrong)
    assert not twice
    assert last_copies == {"completed": ROUNDS * COPIES, "cancelled": ROUNDS * COPIES}
    assert set(struck) == set(SERVICES)
    assert violated == {}


def _by_name(told: list[Journey], found: list[End]) -> dict[str, list[End]]:
    expected: dict[str, list[End]] = {}
    for it, end in zip(told, found, strict=True):
        expected.setdefault(it.path.name, []).append(end)
    return expected


def difference(end: End, expected: list[End]) -> str:
    """In what it differs from the expected end that is nearest."""
    nearest = min(expected, key=lambda wanted: sum(end[name] != wanted[name] for name in end))
    return "; ".join(f"{n} is {end[n]}, expected {nearest[n]}" for n in end if end[n] != nearest[n])


@contextlib.asynccontextmanager
async def blows(services: Services, rng: random.Random, struck: Counter[str]) -> AsyncIterator[None]:
    """SIGKILL one worker, or both of a service, again and again for SECONDS; counts the blows by service."""
    began = time.monotonic()

    async def strike() -> None:
        for service in _in_turn(rng):
            await asyncio.sleep(rng.uniform(*EVERY))
            if time.monotonic() - began > SECONDS:
                return
            workers = [worker for worker in services.workers if worker.service == service]
            victims = workers if rng.random() < BOTH else [rng.choice(workers)]
            _kill(victims)
            struck[service] += 1
            print(f"{time.monotonic() - began:6.1f} s  killed {', '.join(victim.name for victim in victims)}")

    striking = asyncio.create_task(strike())
    try:
        yield
    finally:
        striking.cancel()


def _in_turn(rng: random.Random) -> Iterator[str]:
    """Services in rounds, each round in another order: so that each is killed often."""
    return itertools.chain.from_iterable(rng.sample(SERVICES, k=len(SERVICES)) for _ in itertools.count())


def _kill(victims: list[Worker]) -> None:
    for victim in victims:
        victim.kill(signal.SIGKILL)
