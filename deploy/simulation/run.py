"""Runs of the simulation: one per seed, each a world of its own."""

from __future__ import annotations

import contextlib
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from deploy.simulation.checks import broken
from deploy.simulation.fault_profile import LEVELS
from deploy.simulation.few_numbers import few_numbers
from deploy.simulation.rest import NotAtRest
from deploy.simulation.trial import Trial
from deploy.simulation.world import World
from shared.simulation.loop import Deadlock, Endless, SeededLoop, run

MOST_STEPS = 20_000
"""Per order; most runs take some hundreds, one with an outage of days some thousands. More means that something goes
round in circles."""


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
    """One run."""

    seed: int
    lives: int
    violations: list[Violation]
    faults: Counter[str]
    digest: str
    """Of every line of the history."""
    steps: int
    command: str
    """Repeats this run exactly."""
    lines: Callable[[], Iterator[str]] = field(repr=False)
    """The whole history."""


@dataclass(slots=True)
class Summary:
    """What `orderbus simulate --json` prints."""

    seeds: str
    lives: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """What it took without what else the machine did."""
    violations: list[Violation] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    failing: list[str] = field(default_factory=list)
    """The command for each seed that failed."""

    @property
    def lives_per_second(self) -> float:
        return self.lives / self.seconds if self.seconds else 0.0

    def document(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "lives": self.lives,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "lives_per_second": round(self.lives_per_second, 1),
            "violations": [asdict(violation) for violation in self.violations],
            "faults_injected": dict(sorted(self.faults.items())),
            "again": self.failing,
        }


def simulate(seed: int, orders: int, level: str = "many") -> Result:
    """One run from its seed: the same arguments give the same history."""
    trials: list[Trial] = []

    async def live(loop: SeededLoop) -> None:
        trials.append(Trial(World(loop, seed, orders, level)))
        await trials[0].run()

    found: list[tuple[str, str, str]] = []
    with silence(), uncollected(), few_numbers(orders):
        try:
            run(seed, live, MOST_STEPS * (orders + 10))
        except (NotAtRest, Deadlock, Endless) as restless:
            found.append(("at_rest", "", str(restless)))
        world = trials[0].world
        found = [*found, *(("worker_died", "", trouble) for trouble in world.troubles)] if found else broken(trials[0])
    violations = [Violation(seed, rule, text, key, world.history.story(key)) for rule, key, text in found]
    return Result(
        seed,
        orders,
        violations,
        world.history.faults,
        world.history.digest(),
        world.loop.steps,
        f"orderbus simulate --seeds {seed} --orders {orders} --faults {level}",
        world.history.lines,
    )


def smaller(result: Result, orders: int, level: str) -> Result | None:
    """The same rule broken by the same seed with fewer orders or fewer faults, the smallest first; None: there is
    nothing smaller."""
    rules = {violation.rule for violation in result.violations}
    levels = list(LEVELS)[: list(LEVELS).index(level) + 1]
    for count in [count for count in (1, 2, 4, 8, 12) if count < orders]:
        for calmer in levels:
            tried = simulate(result.seed, count, calmer)
            if rules & {violation.rule for violation in tried.violations}:
                return tried
    return None


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """The cycle collector took a third of the CPU time; a run ends before its garbage matters."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """The shell's log says what the faults did; it is not needed."""
    before = structlog.get_config()

    def drop(logger: Any, name: str, event: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def simulate_many(
    first: int,
    last: int,
    orders: int,
    level: str = "many",
    on_violation: Callable[[Result], None] | None = None,
) -> Summary:
    summary = Summary(f"{first}-{last}")
    simulate(first, 1, "none")  # what is only done once (imports, schemas) is no part of the rate
    gc.collect()
    gc.freeze()  # what is there now stays: the collector need not look at it after each seed
    began, began_cpu = time.perf_counter(), time.process_time()
    for seed in range(first, last + 1):
        result = simulate(seed, orders, level)
        summary.lives += result.lives
        summary.violations += result.violations
        summary.faults += result.faults
        if result.violations:
            summary.failing.append(result.command)
            if on_violation:
                on_violation(result)
        del result
        gc.collect()
    gc.unfreeze()
    summary.seconds, summary.cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    return summary
