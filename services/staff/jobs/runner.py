"""Runs jobs in a worker, one of each kind at a time. Any worker may take any job; which one does, its lease says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.jobs import STOPPED, JobKind, JobState, after_failure, gives_up, pause_after_failure
from services.staff.jobs.lease import JobFailed, JobRun, Later, LeaseLost, Stopped, claim
from services.staff.jobs.rules import JobRules

AWAY = (sa.exc.SQLAlchemyError, OSError, TimeoutError)
"""The database cannot be reached, or refuses for now."""
Work = Callable[[JobRun], Awaitable[None]]
"""Carries a job out, whatever of it is done already. Calls `check` between two steps; raises Stopped and LeaseLost."""
log = structlog.get_logger(__name__)


class Runner:
    def __init__(self, engine: AsyncEngine, worker: str, works: Mapping[JobKind, Work], rules: JobRules) -> None:
        self._engine, self._worker, self._works, self._rules = engine, worker, works, rules
        self._woken = {kind: asyncio.Event() for kind in works}

    def wake(self, kind: JobKind) -> None:
        """There is a job of this kind: look at once."""
        if kind in self._woken:
            self._woken[kind].set()

    async def run(self) -> None:
        """Until it is cancelled; then the jobs that it has are free for other workers at once."""
        await asyncio.gather(*(self._lane(kind) for kind in self._works))

    async def _lane(self, kind: JobKind) -> None:
        while True:
            self._woken[kind].clear()
            try:
                ran = await self.run_next(kind)
            except AWAY as trouble:
                log.warning("jobs cannot be read, retrying later", error=type(trouble).__name__)
                ran = False
            if not ran:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken[kind].wait(), self._rules.poll)

    async def run_next(self, kind: JobKind) -> bool:
        """Whether there was one."""
        run = await claim(self._engine, kind, self._worker, self._rules.lease)
        if run is None:
            return False
        log.info("job taken", job=run.job.id, kind=kind.value, lease=run.job.lease)
        try:
            await self._carry_out(run)
        except asyncio.CancelledError:
            with suppress(*AWAY):
                await asyncio.wait_for(asyncio.shield(run.release()), 2.0)
            raise
        return True

    async def _carry_out(self, run: JobRun) -> None:
        job = run.job
        if run.asked in STOPPED:  # its runner was killed before it could say so
            await run.stop()
            return
        if gives_up(job.tries):
            await run.end(JobState.FAILED, f"It was broken off {job.tries} times.")
            return
        try:
            await self._with_lease(run)
            await run.end(JobState.DONE)
        except Stopped:
            await run.stop()
        except Later as later:
            await run.again(JobState.WAITING, str(later), job.tries, self._rules.later)
        except LeaseLost:
            log.info("job taken by another runner", job=job.id)
        except JobFailed as failed:
            await run.end(JobState.FAILED, str(failed))
        except AWAY as trouble:
            log.warning("job broken off, retrying later", job=job.id, error=type(trouble).__name__)
            with suppress(*AWAY):
                await run.again(JobState.WAITING, "", job.tries, self._rules.poll)
        except Exception as bug:
            tries = job.tries + 1
            log.exception("job failed", job=job.id, error=type(bug).__name__, tries=tries)
            text = f"It failed {tries} times; the log says why ({type(bug).__name__})."
            await run.again(after_failure(tries), text, tries, pause_after_failure(tries))

    async def _with_lease(self, run: JobRun) -> None:
        """The work, and the word that its runner is there. Whichever ends first ends the other."""
        work = asyncio.ensure_future(self._works[run.job.kind](run))
        beat = asyncio.ensure_future(self._beat(run))
        try:
            await asyncio.wait({work, beat}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                beat.result()  # raises LeaseLost
            work.result()
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.gather(work, beat, return_exceptions=True)

    async def _beat(self, run: JobRun) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._rules.lease
        while True:
            await asyncio.sleep(self._rules.beat)
            now = loop.time()
            try:
                await run.renew()
                ends = now + self._rules.lease
            except AWAY:
                if loop.time() >= ends:
                    raise LeaseLost from None
