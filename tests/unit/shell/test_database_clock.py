"""A worker's time is the database's: a wrong clock of its machine is said, and decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.shell.database_clock import ClocksDiffer, DatabaseClock

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
MONTH = timedelta(days=30)


class Rig:
    """A machine, a database's server, and what the machine counts since it was switched on."""

    def __init__(self) -> None:
        self.machine = self.database = NOON
        self.seconds, self.answer_takes = 1000.0, 0.01
        self.clock = DatabaseClock(self.ask, self, lambda: self.seconds)

    def now(self) -> datetime:
        return self.machine

    async def ask(self) -> datetime:
        self.passes(self.answer_takes / 2)
        said = self.database
        self.passes(self.answer_takes / 2)
        return said

    def passes(self, seconds: float) -> None:
        self.seconds += seconds
        self.machine += timedelta(seconds=seconds)
        self.database += timedelta(seconds=seconds)

    def is_right(self, within: float = 0.3) -> bool:
        return abs(self.clock.now() - self.database) < timedelta(seconds=within)


async def test_the_time_is_the_databases() -> None:
    rig = Rig()
    rig.machine += timedelta(seconds=40)

    await rig.clock.start("checkout")
    assert rig.is_right()

    rig.passes(3600)
    assert rig.is_right()


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (MONTH, "is 30 days ahead of the clock of the database's server"),
        (-MONTH, "is 30 days behind"),
        (timedelta(seconds=61), "is 61 seconds ahead"),
    ],
)
async def test_a_worker_whose_clock_is_wrong_does_not_start(shift: timedelta, said: str) -> None:
    rig = Rig()
    rig.machine += shift

    with pytest.raises(ClocksDiffer, match=f"ORDERBUS_CHECKOUT__DATABASE_URL: .*{said}.*NTP") as wrong:
        await rig.clock.start("checkout")
    assert wrong.value.exit_code == 4


async def test_an_answer_that_takes_long_is_no_difference() -> None:
    rig = Rig()
    rig.answer_takes = 150
    await rig.clock.start("checkout")
    assert rig.is_right()


async def test_a_clock_that_goes_wrong_later_is_noticed_and_decides_nothing() -> None:
    rig = Rig()
    await rig.clock.start("checkout")

    rig.machine += MONTH
    await rig.clock.compare()
    assert (rig.clock.agrees(), rig.is_right()) == (False, True)

    rig.machine -= MONTH
    await rig.clock.compare()
    assert (rig.clock.agrees(), rig.is_right()) == (True, True)


async def test_a_database_whose_clock_goes_wrong_moves_nothing() -> None:
    rig = Rig()
    await rig.clock.start("checkout")

    rig.database += MONTH
    await rig.clock.compare()
    assert not rig.clock.agrees()
    assert abs(rig.clock.now() - rig.machine) < timedelta(seconds=1)


async def test_a_machine_that_slept_catches_up() -> None:
    """The monotonic clock stands still while a virtual machine is suspended."""
    rig = Rig()
    await rig.clock.start("checkout")

    rig.machine += timedelta(hours=1)
    rig.database += timedelta(hours=1)
    await rig.clock.compare()
    assert (rig.clock.agrees(), rig.is_right()) == (True, True)
