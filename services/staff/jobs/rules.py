"""How long jobs are kept, and how often a worker looks after them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class JobRules:
    keep_exports: timedelta = timedelta(days=7)
    """An export and its file are removed then."""
    keep_jobs: timedelta = timedelta(days=90)
    """Another job and its results are removed then."""
    lease: float = 30.0
    """Seconds without a word of a job's runner, after which another one takes it."""
    beat: float = 5.0
    """Seconds between two words."""
    poll: float = 2.0
    """Seconds between two looks for a job that another worker was told of."""
    later: float = 30.0
    """Seconds until a bulk job's next turn while an owner does not answer."""
    at_once: int = 16
    """Commands of a bulk job that are under way at the same time."""
    batch: int = 64
    """Commands whose outcomes are written together."""
