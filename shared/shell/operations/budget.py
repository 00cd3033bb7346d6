"""How many operations of a kind a worker holds."""

from __future__ import annotations

QUEUE_SECONDS = 20.0
"""How long a leased operation should wait for a free place, by how long calls took lately."""


class LeaseBudget:
    """As many as find a free place within QUEUE_SECONDS, so that slow ones do not wait here until their lease is over.
    Between one and sixteen per place."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._seconds = 0.0
        self.leases = 16 * at_once

    def took(self, seconds: float) -> None:
        """A call took so long."""
        self._seconds += (seconds - self._seconds) / 16
        per_place = 16.0 if self._seconds * 16 <= QUEUE_SECONDS else max(1.0, QUEUE_SECONDS / self._seconds)
        self.leases = int(self._at_once * per_place)
