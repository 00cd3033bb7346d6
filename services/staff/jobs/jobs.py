"""What staff's service runs of jobs: a runner in each worker, and what is cleared away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.jobs import RUNS, JobKind
from services.staff.jobs.bulk import BulkSender
from services.staff.jobs.export import Exporter
from services.staff.jobs.new_jobs import FindZones, NewJobs, no_zones
from services.staff.jobs.owner import CommandSender
from services.staff.jobs.routes import add_jobs
from services.staff.jobs.rules import JobRules
from services.staff.jobs.runner import Runner, Work
from services.staff.jobs.schedule_routes import add_schedules
from services.staff.jobs.schedules import make_due
from services.staff.jobs.tables import job_orders, job_parts, jobs
from services.staff.people.credentials import new_id
from services.staff.people.rules import utc_now

AT_ONCE = 100
"""Jobs that are removed together."""


class Jobs:
    """`upkeep` and `run` are the service's."""

    def __init__(
        self,
        engine: AsyncEngine,
        sender: CommandSender,
        rules: JobRules | None = None,
        now: Callable[[], datetime] = utc_now,
        zones: FindZones = no_zones,
    ) -> None:
        self.rules = rules or JobRules()
        self.new = NewJobs(engine, self.rules, now, zones)
        works: dict[JobKind, Work] = {JobKind.EXPORT: Exporter(engine), JobKind.BULK: BulkSender(sender, self.rules)}
        self.runner = Runner(engine, new_id(), works, self.rules)

    def add_routes(self, application: web.Application) -> None:
        add_schedules(application, self.new)  # before the routes of one job: no job is called `schedules`
        add_jobs(application, self.new, self.runner.wake)

    async def run(self) -> None:
        """In each worker, until it stops."""
        await self.runner.run()

    async def upkeep(self, now: datetime) -> None:
        """Begin monthly exports, and remove what is too old."""
        await make_due(self.new, now)
        self.runner.wake(JobKind.EXPORT)
        while await self._remove(now):
            pass

    async def _remove(self, now: datetime) -> bool:
        runs = sorted(state.value for state in RUNS)
        old = sa.select(jobs.c.id).where(jobs.c.expires_at < now, jobs.c.state.not_in(runs)).limit(AT_ONCE)
        async with self.new.engine.begin() as connection:
            ids = (await connection.execute(old.with_for_update(skip_locked=True))).scalars().all()
            for table, column in ((job_parts, job_parts.c.job), (job_orders, job_orders.c.job), (jobs, jobs.c.id)):
                await connection.execute(sa.delete(table).where(column.in_(ids)))
        return len(ids) == AT_ONCE
