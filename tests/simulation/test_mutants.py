"""Does it find bugs? Each known fault, planted in the real code, must be found."""

from __future__ import annotations

import os
import time

import pytest

from deploy.simulation.run import simulate
from tests.simulation.mutants.plants import PLANTS

SECONDS = 60.0
"""In which each must be found."""


@pytest.mark.skipif("ORDERBUS_LONG" not in os.environ, reason="ORDERBUS_LONG=1 plants faults, up to a minute each")
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str) -> None:
    began = time.process_time()
    with PLANTS[name]():
        for seed in range(1, 10_000):
            found = simulate(seed, 20, "many").violations
            if found or time.process_time() - began > SECONDS:
                break

    seconds = time.process_time() - began
    assert found, f"{name} survived {seed} seeds ({seconds:.0f} s)"
    print(f"{name}: {seed} seeds, {seconds:.1f} s: {found[0].rule}: {found[0].text}")


def test_without_a_plant_the_same_seeds_are_clean() -> None:
    assert [violation for seed in range(1, 4) for violation in simulate(seed, 20).violations] == []
