"""Keeps a destination that does not answer from taking all places. In memory, per worker and destination."""

from __future__ import annotations

import random
from dataclasses import dataclass

from shared.shell.ports.clock import back_off

FAILURES = 8
"""Calls without an answer, in a row, after which the circuit opens."""
MANY = 12
"""Calls in flight: with so many, no more are begun once the destination has been silent for SILENCE seconds."""
SILENCE = 2.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class Circuit:
    """Closed: calls are made. Open: none is. Half open, when the pause is over: one call probes; an outcome closes the
    circuit, anything else opens it again, for longer where there was no answer. All times in seconds."""

    in_flight: int = 0
    failures: int = 0
    answered_at: float = 0.0
    """When it last answered, or when it was first waited for."""
    open_until: float = 0.0
    pauses: int = 0
    probing: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES

    @property
    def idle(self) -> bool:
        """There is nothing to remember."""
        return not (self.in_flight or self.failures)

    def admits(self, now: float) -> bool:
        """Whether a call may be made that is not a probe."""
        return not self.is_open and not (self.in_flight >= MANY and now - self.answered_at > SILENCE)

    def wants_probe(self, now: float) -> bool:
        return self.is_open and not self.probing and now >= self.open_until

    def began(self, now: float) -> None:
        if not self.in_flight:
            self.answered_at = now
        self.in_flight += 1

    def succeeded(self, now: float) -> None:
        """There was an outcome, whatever it was."""
        self._answered(now)
        self.failures = self.pauses = 0

    def refused(self, now: float) -> None:
        """It answered, or refused to be called: `Retry`. Says nothing about the next call."""
        self._answered(now)

    def failed(self, now: float, rng: random.Random) -> None:
        """There was no answer. Those that were in progress when the circuit opened do not prolong its pause."""
        self._answered(now)
        was_open = self.is_open
        self.failures += 1
        if self.is_open and (not was_open or self.probing):
            self.pauses += 1
            self.open_until = now + back_off(FIRST_PAUSE, self.pauses, rng, LONGEST_PAUSE)

    def probed(self, now: float, rng: random.Random) -> None:
        """The probe has ended, whatever its outcome."""
        self.probing = False
        if self.is_open and self.open_until <= now:
            self.open_until = now + back_off(FIRST_PAUSE, self.pauses, rng, LONGEST_PAUSE)

    def not_made(self) -> None:
        """No call was made after all, or it was broken off."""
        self.in_flight -= 1

    def _answered(self, now: float) -> None:
        self.in_flight -= 1
        self.answered_at = now
