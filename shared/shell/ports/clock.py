"""Time, as the shell gets it: production's is real, the simulation's its own. And how long to wait before a retry."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def back_off(first: float, attempts: int, rng: random.Random, ceiling: float = 3600.0) -> float:
    """Seconds before the next attempt: doubled each time up to the ceiling, with jitter so that a crowd that failed
    together does not come back together. Between half of the full delay and all of it ("equal jitter")."""
    full = min(first * 2.0 ** min(max(attempts, 1) - 1, 30), ceiling)
    return full / 2 + rng.random() * full / 2
