"""What pairs of measurements say: a loss is found, noise is not taken for one, too few pairs say nothing."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.benchmarks.pairs import ENOUGH, Measurement, Pair, cpu_by_process, cpu_ratio, rate_ratio


def pairs(after_over_before: float, *, count: int = 7, noise: float = 0.01) -> list[Pair]:
    """Measurements of a code that needs so much of the other's CPU time, in hours of different speed."""
    rng = random.Random(3)
    found = []
    for _ in range(count):
        hour = rng.uniform(1.0, 1.5)

        def turn(cost: float, hour: float = hour) -> Measurement:
            cost *= hour * rng.uniform(1 - noise, 1 + noise)
            return Measurement(
                1500 / cost, 1600 / cost, {"p50": 1, "p99": 2}, {"checkout": cost, "PostgreSQL": 2 * cost}
            )

        found.append(Pair(turn(3.0), turn(3.0 * after_over_before)))
    return found


def test_the_same_code_passes() -> None:
    found = cpu_ratio(pairs(1.0))
    assert found.low <= 1.0 <= found.high
    assert abs(found.middle - 1) < 0.02
    assert found.verdict == "pass"


def test_a_loss_fails() -> None:
    given = pairs(1.08)
    assert not cpu_ratio(given).passes
    assert not rate_ratio(given).passes
    assert "FAIL" in str(cpu_ratio(given))


def test_a_gain_passes() -> None:
    found = rate_ratio(pairs(0.8))
    assert found.low > 1.2
    assert found.passes


def test_a_loss_within_the_noise_does_not_fail() -> None:
    found = cpu_ratio(pairs(1.04, noise=0.06))
    assert found.low < 0.97 < found.high
    assert found.passes


def test_the_hour_makes_no_difference() -> None:
    given = pairs(1.0, noise=0.0)
    assert cpu_ratio(given).high - cpu_ratio(given).low < 1e-9


def test_few_pairs_give_no_verdict() -> None:
    assert "no verdict" in cpu_ratio(pairs(1.5, count=ENOUGH - 1)).verdict


def test_the_same_pairs_say_the_same_again() -> None:
    given = pairs(1.02)
    assert cpu_ratio(given) == cpu_ratio(given)


def test_cpu_time_is_shown_by_process() -> None:
    given = pairs(1.0, noise=0.0)
    given[0] = replace(given[0], after=replace(given[0].after, cpu={**given[0].after.cpu, "new part": 9.0}))
    shown = cpu_by_process(given)
    assert next(iter(shown)) == "PostgreSQL"
    assert shown["new part"] == (0.0, 0.0)  # in the median
