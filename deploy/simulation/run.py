"""Runs of the simulation: one per seed, each a world of its own."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from deploy.simulation.checks import broken
from deploy.simulation.people import People
from deploy.simulation.world import NotAtRest, World
from shared.simulation.loop import Deadlock, Endless, SeededLoop, run


MOST_STEPS = 10_000
"""Per order; a run takes some hundreds. More means that something goes round in circles."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must always hold, and did not."""

    seed: int
    rule: str
    text: str
    key: str = ""
    story: Sequence[str] = ()


@dataclass(slots=True)
class Result:
    seed: int
    lives: int
    violations: list[Violation]
    faults: Counter[str]
    digest: str
    steps: int


@dataclass(slots=True)
class Summary:
    """What `orderbus simulate --json` prints."""

    seeds: str
    lives: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)


def simulate(seed: int, orders: int, level: str = "many") -> Result:
    """One run from its seed: the same arguments give the same history."""
    worlds: list[World] = []

    async def live(loop: SeededLoop) -> None:
        worlds.append(World(loop, seed, orders, level))
        await worlds[0].run(People(worlds[0]).act)

    found: list[tuple[str, str, str]] = []
    with silence():
        try:
            run(seed, live, MOST_STEPS * (orders + 10))
        except (NotAtRest, Deadlock, Endless) as restless:
            found.append(("at_rest", "", str(restless)))
        world = worlds[0]
        found = found or broken(world)
    violations = [Violation(seed, rule, text, key, world.history.story(key)) for rule, key, text in found]
    return Result(seed, orders, violations, world.history.faults, world.history.digest(), world.loop.steps)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """The shell's log says what the faults did; nobody needs to read it."""
    before = structlog.get_config()

    def drop(logger: Any, name: str, event: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def simulate_many(first: int, last: int, orders: int, level: str = "many") -> Summary:
    summary = Summary(f"{first}-{last}")
    began = time.perf_counter()
    for seed in range(first, last + 1):
        result = simulate(seed, orders, level)
        summary.lives += result.lives
        summary.violations += result.violations
        summary.faults += result.faults
    summary.seconds = time.perf_counter() - began
    return summary
