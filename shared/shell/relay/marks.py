"""What the relay remembers between two reads: from where to read, and which topics to leave out."""

from __future__ import annotations

import random
from dataclasses import dataclass

from shared.shell.ports.clock import back_off
from shared.shell.ports.store import Running

SWEEP_SECONDS = 2.0
SWEEP_SHARE = 20
"""A sweep that takes long, because much waits for a topic, is done seldom: at most this part of the time."""
LONGEST_HOLD = 60.0
"""Seconds between two tries of a topic."""


class LowMark:
    """From where to read the outbox: above rows that were sent a while ago, and below which no transaction can commit
    any more. Spares walking over the dead rows of a queue. What is put back below it is found by the next sweep."""

    def __init__(self) -> None:
        self._trusted = 0
        self._next = 0
        """What will be trusted once it is old enough, and all transactions below `_begun` have ended."""
        self._begun = 0
        self._coming = 0
        """What is trusted once all from `_trusted` on was read once more."""
        self._highest = 0
        self._since = 0.0
        self._swept = float("-inf")
        self._pause = SWEEP_SECONDS
        self._sweeping = False

    def start(self, now: float) -> int:
        self._sweeping = now - self._swept >= self._pause
        if self._sweeping:
            self._swept = now
            return 0
        return self._trusted

    def read(self, seconds: float, *, whole: bool) -> None:
        """How long the read from `start` took, and whether it came to the end of the outbox."""
        if whole:
            self._trusted = max(self._trusted, self._coming)
        if self._sweeping:
            self._pause = max(SWEEP_SECONDS, seconds * SWEEP_SHARE)

    def sent(self, highest: int) -> None:
        self._highest = max(self._highest, highest)

    def is_old(self, now: float) -> bool:
        """Whether it may rise."""
        return self._highest > self._trusted and now - self._since >= SWEEP_SECONDS

    def rise(self, running: Running, now: float) -> None:
        """`running`: asked for after what was sent so far. A transaction takes its number before the ids of its rows,
        so those in progress may still commit lower ones; when they have, later rows of the same keys may come above,
        but what was read last may be from before they ended. So it rises with the next read."""
        self._since = now
        if running.oldest >= self._begun:
            self._coming, self._next, self._begun = self._next, self._highest, running.following

    def not_sent(self, lowest: int) -> None:
        """A row that was read is still in the outbox: no read may begin above it."""
        marks = self._trusted, self._coming, self._next, self._highest
        self._trusted, self._coming, self._next, self._highest = (min(mark, lowest - 1) for mark in marks)

    def reset(self) -> None:
        """Rows that were passed over are to be read again: the next read begins at the very beginning."""
        self._trusted = self._coming = self._next = self._highest = 0
        self._swept = float("-inf")


@dataclass(slots=True)
class Hold:
    """A topic that takes nothing: why, how often that was tried, and when it is tried next (event loop's time)."""

    error: str
    tries: int = 0
    until: float = 0.0


class HeldTopics:
    """Topics that are held up. Each is tried again by itself, with a growing pause."""

    def __init__(self, rng: random.Random) -> None:
        self.holds: dict[str, Hold] = {}
        self.count = 0
        """How often a topic was held so far."""
        self._rng = rng

    def hold(self, topic: str, error: str, now: float) -> Hold:
        hold = self.holds.setdefault(topic, Hold(error))
        hold.error, hold.tries = error, hold.tries + 1
        self.count += 1
        hold.until = now + back_off(0.25, hold.tries, self._rng, LONGEST_HOLD)
        return hold

    def release(self, topic: str) -> Hold | None:
        return self.holds.pop(topic, None)

    def due(self, now: float) -> set[str]:
        """Those to be tried again."""
        return {topic for topic, hold in self.holds.items() if hold.until <= now}

    def without(self, now: float) -> tuple[str, ...]:
        """Those whose time for a try has not come."""
        return tuple(sorted(topic for topic, hold in self.holds.items() if hold.until > now))
