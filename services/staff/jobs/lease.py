"""The right to run a job: one runner at a time has it, and whatever it writes is written only while it does. When it is
killed, the lease lapses, and any worker goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.domain.jobs import ENDED, RUNS, STOPPED, JobKind, JobState
from services.staff.jobs.job import Job, job_of

OPEN = "state in ('waiting', 'running', 'pausing', 'cancelling')"
"""As the index `jobs_open` has it."""
CLAIM = sa.text(f"""
    update jobs set lease = lease + 1, leased_by = :worker, leased_until = now() + make_interval(secs => :seconds),
        tries = tries + case when state = 'waiting' then 0 else 1 end, started_at = coalesce(started_at, now()),
        state = case when state = 'waiting' then 'running' else state end
    where id = (
        select id from jobs where kind = :kind and {OPEN} and case when state = 'waiting'
            then not_before is null or not_before <= now() else leased_until is null or leased_until < now() end
        order by created_at, id limit 1 for update skip locked)
    returning *""")
RENEW = sa.text("""
    update jobs set leased_until = now() + make_interval(secs => :seconds), total = coalesce(:total, total),
        done = coalesce(:done, done)
    where id = :id and lease = :lease returning state""")
HOLD = sa.text("select state from jobs where id = :id and lease = :lease for no key update")
RELEASE = sa.text("update jobs set leased_until = null where id = :id and lease = :lease")
"""What has no end of its lease can be taken at once."""
_STOPS = " ".join(f"when '{asked}' then '{then}'" for asked, then in STOPPED.items())
"""Staff may have asked again since the runner looked: what they have asked for last counts."""
AGAIN = sa.text(f"""
    update jobs set problem = :problem, tries = :tries, leased_until = null,
        not_before = now() + make_interval(secs => :seconds),
        state = case state {_STOPS} else :state end,
        ended_at = case when :ended or state = 'cancelling' then now() end
    where id = :id and lease = :lease and state = any(:runs)""")
END = sa.text("""
    update jobs set state = case when state = 'cancelling' and :state = 'failed' then 'cancelled' else :state end,
        problem = :problem, leased_until = null, ended_at = case when :ended then now() end
    where id = :id and lease = :lease and state = any(:runs)""")
STOP = sa.text(f"""
    update jobs set leased_until = null, ended_at = case when state = 'cancelling' then now() end,
        state = case state {_STOPS} else 'waiting' end
    where id = :id and lease = :lease and state = any(:runs)""")
RUNNING = sorted(state.value for state in RUNS)


class LeaseLost(Exception):
    """Another runner has the job, or it is there no more."""


class Stopped(Exception):
    """Staff have paused or cancelled the job."""


class Later(Exception):
    """The job can go on when someone else can: until then other jobs have their turn. The text is for staff."""


class JobFailed(Exception):
    """The job cannot be carried out, however often it is tried. The text is for staff."""


class JobRun:
    """A job that this worker runs."""

    def __init__(self, engine: AsyncEngine, job: Job, seconds: float) -> None:
        self.engine, self.job, self._seconds = engine, job, seconds
        self.asked = job.state
        self.done: int | None = None
        self.total: int | None = None

    @property
    def _own(self) -> dict[str, Any]:
        return {"id": self.job.id, "lease": self.job.lease}

    def check(self) -> None:
        """To be called between two steps. Raises Stopped."""
        if self.asked in STOPPED:
            raise Stopped

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[AsyncConnection]:
        """A transaction during which no other runner gets the job. Raises LeaseLost."""
        async with self.engine.begin() as connection:
            self._see((await connection.execute(HOLD, self._own)).scalar_one_or_none())
            yield connection

    async def renew(self) -> None:
        """With the progress. Raises LeaseLost."""
        values = {**self._own, "seconds": self._seconds, "total": self.total, "done": self.done}
        async with self.engine.begin() as connection:
            self._see((await connection.execute(RENEW, values)).scalar_one_or_none())

    async def release(self) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(RELEASE, self._own)

    async def end(self, state: JobState, problem: str = "") -> None:
        values = {**self._own, "state": state.value, "problem": problem, "ended": state in ENDED, "runs": RUNNING}
        async with self.engine.begin() as connection:
            await connection.execute(END, values)

    async def stop(self) -> None:
        """Staff have paused or cancelled it."""
        async with self.engine.begin() as connection:
            await connection.execute(STOP, {**self._own, "runs": RUNNING})

    async def again(self, state: JobState, problem: str, tries: int, seconds: float) -> None:
        """It failed: it ends, or waits for the next try."""
        values = {**self._own, "state": state.value, "problem": problem, "ended": state in ENDED, "runs": RUNNING}
        async with self.engine.begin() as connection:
            await connection.execute(AGAIN, {**values, "tries": tries, "seconds": seconds})

    def _see(self, state: str | None) -> None:
        if state is None or state not in RUNNING:
            raise LeaseLost
        self.asked = JobState(state)


async def claim(engine: AsyncEngine, kind: JobKind, worker: str, seconds: float) -> JobRun | None:
    """The oldest job of this kind that no runner has."""
    async with engine.begin() as connection:
        values = {"kind": kind.value, "worker": worker, "seconds": seconds}
        row = (await connection.execute(CLAIM, values)).mappings().one_or_none()
    return None if row is None else JobRun(engine, job_of(row), seconds)
