"""What pairs of measurements say: the median of their ratios, how sure it is, and whether that passes. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

AT_LEAST = 0.97
"""Fails when the whole interval is below."""
ENOUGH = 5
"""Pairs; with fewer, the whole interval can be on one side at random."""
CONFIDENCE = 0.90
RESAMPLES = 10_000


@dataclass(frozen=True)
class Measurement:
    """One measurement of one code."""

    rate: float
    """Settled orders per second."""
    rate_until_completed: float
    latency: Mapping[str, int]
    """Milliseconds, placed to completed: `p50`, `p99`."""
    cpu: Mapping[str, float]
    """Milliseconds per settled order, by process; without the customers."""
    load: float = 0.0
    """The machine's load average of the last minute, before."""

    @property
    def cpu_in_all(self) -> float:
        return sum(self.cpu.values())


@dataclass(frozen=True)
class Pair:
    """Both codes, one directly after the other."""

    before: Measurement
    after: Measurement


@dataclass(frozen=True)
class Ratio:
    """After over before, in the median of all pairs, with its interval. More is better."""

    middle: float
    low: float
    high: float
    pairs: int

    @property
    def passes(self) -> bool:
        return self.pairs < ENOUGH or self.high >= AT_LEAST

    @property
    def verdict(self) -> str:
        if self.pairs < ENOUGH:
            return f"no verdict: {self.pairs} of at least {ENOUGH} pairs"
        return "pass" if self.passes else f"FAIL: the whole interval is below {AT_LEAST}"

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({CONFIDENCE:.0%}: {self.low:.3f} … {self.high:.3f})  {self.verdict}"


def ratio(pairs: Sequence[Pair], of: Callable[[Measurement], float]) -> Ratio:
    """`of`: the figure of a turn of which more is better. The interval is a percentile bootstrap of the median, the
    same for the same pairs."""
    ratios = [of(pair.after) / of(pair.before) for pair in pairs]
    rng = random.Random(len(ratios))
    medians = sorted(median(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    outside = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Ratio(median(ratios), medians[outside], medians[-1 - outside], len(ratios))


def rate_ratio(pairs: Sequence[Pair]) -> Ratio:
    return ratio(pairs, lambda turn: turn.rate)


def cpu_ratio(pairs: Sequence[Pair]) -> Ratio:
    """Of settled orders per second of CPU time."""
    return ratio(pairs, lambda turn: 1 / turn.cpu_in_all)


def cpu_by_process(pairs: Sequence[Pair]) -> dict[str, tuple[float, float]]:
    """Medians of milliseconds per settled order, before and after, the largest first."""
    names = {name for pair in pairs for turn in (pair.before, pair.after) for name in turn.cpu}
    found = {
        name: (_median_of(name, (p.before for p in pairs)), _median_of(name, (p.after for p in pairs)))
        for name in names
    }
    return dict(sorted(found.items(), key=lambda entry: -max(entry[1])))


def _median_of(name: str, turns: Iterable[Measurement]) -> float:
    return median(turn.cpu.get(name, 0.0) for turn in turns)
