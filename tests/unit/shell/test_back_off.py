"""How long a retry waits."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from shared.shell.ports.clock import back_off


@given(st.floats(0.01, 60), st.integers(1, 200), st.integers(), st.floats(1, 7200))
def test_back_off_doubles_up_to_its_ceiling_with_jitter(first: float, attempts: int, seed: int, ceiling: float) -> None:
    full = min(first * 2.0 ** min(attempts - 1, 30), ceiling)
    assert full / 2 <= back_off(first, attempts, random.Random(seed), ceiling) <= full


def test_a_crowd_that_failed_together_does_not_come_back_together() -> None:
    delays = [back_off(10, 3, random.Random(seed)) for seed in range(100)]
    assert max(delays) - min(delays) > 15
