"""Whether the parts of a worker make progress: one that stands still while work waits makes it not ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

PARTS = ("reader", "batcher", "relay", "timers", "operations")
PROJECTOR = "projector"
"""A part of a service that has a projection."""
STANDSTILL_SECONDS = 60.0


class Progress:
    """For each part, since when work has been waiting for it without any of it being done."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        allowances: Mapping[str, float] | None = None,
        parts: tuple[str, ...] = PARTS,
    ) -> None:
        """`allowances`: seconds by part that a single step of it may take, on top of the minute."""
        self.parts = parts
        self._now = now
        self._allowances = allowances or {}
        self._since: dict[str, float | None] = dict.fromkeys(parts)

    def waits(self, part: str) -> None:
        """There is work; or the part cannot even find out."""
        if self._since[part] is None:
            self._since[part] = self._now()

    def advanced(self, part: str) -> None:
        """Some of it was done, more may be waiting."""
        self._since[part] = self._now()

    def rests(self, part: str) -> None:
        """Nothing waits."""
        self._since[part] = None

    def age(self, part: str) -> float:
        """Seconds for which work has waited without progress; 0 when nothing waits."""
        since = self._since[part]
        return 0.0 if since is None else max(0.0, self._now() - since)

    def ages(self) -> dict[str, float]:
        return {part: round(self.age(part), 1) for part in self.parts}

    def standing_still(self) -> list[str]:
        """The parts that have made no progress for a minute although work waits."""
        return [part for part in self.parts if self.age(part) >= STANDSTILL_SECONDS + self._allowances.get(part, 0.0)]
