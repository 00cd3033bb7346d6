"""Searches for an injected bug, seed after seed. `python -m tests.simulation.mutants.hunt` prints the table of all."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from deploy.simulation.run import Violation, simulate
from tests.simulation.mutants import (
    builds,
    completion,
    deliveries,
    failed_payments,
    files,
    games,
    messages,
    money,
    monitor,
    newcomers,
    numbers,
    read_models,
    requests,
    unknowns,
)
from tests.simulation.mutants.catalogue import MUTANTS, Mutant

__all__ = [
    "MUTANTS",
    "SECONDS",
    "Hunt",
    "builds",
    "completion",
    "deliveries",
    "failed_payments",
    "files",
    "games",
    "hunt",
    "messages",
    "money",
    "monitor",
    "newcomers",
    "numbers",
    "read_models",
    "requests",
    "unknowns",
]

SECONDS = 60.0
"""Of CPU time, in which each must be found."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """How many seeds and seconds of CPU time it took, and what was seen; None when the fault survived."""

    seeds: int
    seconds: float
    found: Violation | None


def hunt(mutant: Mutant) -> Hunt:
    began = time.process_time()
    tried, found = 0, None
    with mutant.put():
        for seed in mutant.seeds:
            tried += 1
            found = next(iter(simulate(seed, mutant.orders, mutant.level).violations), None)
            if found or time.process_time() - began > SECONDS:
                break
    return Hunt(tried, time.process_time() - began, found)


def main(words: list[str]) -> None:
    print("| fault | level | seeds | seconds | seen as |\n|---|---|---:|---:|---|")
    for mutant in MUTANTS.values():
        if all(word in mutant.name for word in words):
            hunted = hunt(mutant)
            seen = hunted.found.rule if hunted.found else "SURVIVED"
            print(f"| {mutant.name} | {mutant.level} | {hunted.seeds} | {hunted.seconds:.1f} | {seen} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
