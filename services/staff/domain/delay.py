"""How wrong sign-ins are slowed: the more there were, the longer the next one has to wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Slowing:
    free: int
    """As many wrong ones cost nothing."""
    most: float
    """Seconds that the next one waits at most."""

    def wait(self, failures: int) -> float:
        """Seconds from the last wrong sign-in until the next may come."""
        return min(self.most, 2.0 ** min(failures - self.free, 30)) if failures >= self.free else 0.0


OF_ACCOUNT = Slowing(free=5, most=300)
OF_ADDRESS = Slowing(free=20, most=900)
FORGOTTEN = timedelta(days=1)
"""After so long without a wrong one, all are forgotten."""
