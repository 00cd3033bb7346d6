"""What can be wrong with an outside system for longer, and how a gateway stops calling it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OutageKind = Literal["answers_lost", "down", "silent", "slow", "operator"]
MARK = "for operators only"
"""Is in every text of an operator's fault: no customer may ever read it."""
CIRCUIT_AFTER = 8
"""Failures in a row after which a gateway makes no calls for a while."""
CIRCUIT_PAUSE = 5.0
ONE_TRIES = 60.0
"""Seconds that the others wait while one call tries."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What is wrong with an outside system. `answers_lost`: carried out, then the connection is closed. `down`: no
    connection. `silent`: no answer, nothing done. `slow`: works, but close to the caller's timeout. `operator`: refused
    because of our settings."""

    kind: OutageKind
    text: str = ""


class Circuit:
    """As the gateways have one: after failures in a row no call is made for a while, then one at a time."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        """Seconds that a pause grows to."""
        self._failures = 0
        self._opens = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call makes sense; 0: now."""
        if self._failures < CIRCUIT_AFTER:
            return 0.0
        if now < self._opens:
            return self._opens - now
        self._opens = now + ONE_TRIES  # one call tries; the others wait for its outcome
        return 0.0

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        self._failures += 1
        beyond = min(max(self._failures - CIRCUIT_AFTER, 0), 20)
        self._opens = now + min(CIRCUIT_PAUSE * 2**beyond, self._longest)
