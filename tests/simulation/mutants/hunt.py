"""Looks for a planted fault, seed after seed. `python -m tests.simulation.mutants.hunt` prints the table of all."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from deploy.simulation.run import Violation, simulate
from tests.simulation.mutants import doubts
from tests.simulation.mutants.plants import PLANTS, Plant

__all__ = ["PLANTS", "SECONDS", "Hunt", "doubts", "hunt"]

SECONDS = 60.0
"""Of CPU time, in which each must be found."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """How many seeds and seconds of CPU time it took, and what was seen; None when the fault survived."""

    seeds: int
    seconds: float
    found: Violation | None


def hunt(plant: Plant) -> Hunt:
    began = time.process_time()
    seed, found = 0, None
    with plant.put():
        while not found and time.process_time() - began < SECONDS:
            seed += 1
            found = next(iter(simulate(seed, plant.orders, plant.level).violations), None)
    return Hunt(seed, time.process_time() - began, found)


def main(words: list[str]) -> None:
    print("| fault | level | seeds | seconds | seen as |\n|---|---|---:|---:|---|")
    for plant in PLANTS.values():
        if all(word in plant.name for word in words):
            hunted = hunt(plant)
            seen = hunted.found.rule if hunted.found else "SURVIVED"
            print(f"| {plant.name} | {plant.level} | {hunted.seeds} | {hunted.seconds:.1f} | {seen} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
