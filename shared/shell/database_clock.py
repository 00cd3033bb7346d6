"""A worker's clock: the time is the database's, whatever the machine's own clock says.

All workers of a service decide by one clock then: what is due, whose lease is over, what is old enough to be erased.
Between two comparisons the time is carried on by the monotonic clock, which cannot be set.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from shared.errors import ReportedError
from shared.settings import name_of
from shared.shell.ports.clock import Clock, SystemClock

MOST_SKEW = timedelta(minutes=1)
"""By which the machine's clock may differ from the database's."""
EXACT = timedelta(seconds=1)
"""A comparison that took longer does not move the clock, except for the first one."""
STEP = timedelta(milliseconds=250)
"""Smaller differences are the network's."""


class ClocksDiffer(ReportedError):
    """A worker must not start: one of two clocks is wrong, and what is old is decided by them."""

    exit_code = 4

    def __init__(self, service: str, machine: datetime, database: datetime) -> None:
        ahead = machine - database
        apart, side = (ahead, "ahead of") if ahead > timedelta(0) else (-ahead, "behind")
        super().__init__(
            f"{name_of((service, 'database_url'))}: the clock of this machine ({machine:%Y-%m-%d %H:%M:%S} UTC) is "
            f"{_words(apart)} {side} the clock of the database's server ({database:%Y-%m-%d %H:%M:%S} UTC). Set the "
            "wrong one, and keep both by NTP."
        )


class DatabaseClock:
    """See `ports.clock`. Before the first comparison it is the machine's own."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[datetime]],
        machine: Clock | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask`: what the database's clock says."""
        self._ask, self._machine, self._elapsed = ask, machine or SystemClock(), elapsed
        self._at: datetime | None = None
        self._since = 0.0
        self._agrees = True

    def now(self) -> datetime:
        if self._at is None:
            return self._machine.now()
        return self._at + timedelta(seconds=self._elapsed() - self._since)

    def agrees(self) -> bool:
        """Whether the machine's clock and the database's were less than a minute apart when last compared."""
        return self._agrees

    async def compare(self) -> None:
        """Ask the database for the time. While the machine's clock says something else, one of the two is wrong,
        and it is not known which: then the time goes on as before. Raises StoreUnavailable."""
        began = self._elapsed()
        said = await self._ask()
        ended, machine = self._elapsed(), self._machine.now()
        took = timedelta(seconds=ended - began)
        said += took / 2
        self._agrees = abs(machine - said) <= MOST_SKEW + took / 2
        if not self._agrees:
            return
        moved = self._at is None or abs(self.now() - said) > STEP + took / 2
        if moved and (self._at is None or took <= EXACT):
            self._at, self._since = said, ended

    async def start(self, service: str) -> None:
        """The first comparison. Raises ClocksDiffer, StoreUnavailable."""
        await self.compare()
        if not self._agrees:
            raise ClocksDiffer(service, self._machine.now(), await self._ask())


def _words(apart: timedelta) -> str:
    for seconds, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if (number := apart.total_seconds() / seconds) >= 2:
            return f"{number:.0f} {unit}"
    return f"{apart.total_seconds():.0f} seconds"
