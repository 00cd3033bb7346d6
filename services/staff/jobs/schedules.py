"""Exports of each month: rows, of which a job is made once the month is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.jobs import JobKind
from services.staff.domain.schedule import month_before, next_month
from services.staff.jobs.job import Asked, NewJob, make_job
from services.staff.jobs.new_jobs import NewJobs, written
from services.staff.jobs.requests import ExportRequest
from services.staff.jobs.tables import job_schedules
from services.staff.order_query import known_stores
from services.staff.people import audit_log
from services.staff.people.credentials import new_id
from shared.contracts.times import zone_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    id: str
    name: str
    actor: str
    token: str
    stores: frozenset[str] | None
    request: ExportRequest
    zone: str
    next_at: datetime
    last_job: str | None


async def all_schedules(connection: AsyncConnection) -> list[Schedule]:
    """The oldest first."""
    query = sa.select(job_schedules).order_by(job_schedules.c.created_at, job_schedules.c.id)
    return [_schedule(row) for row in (await connection.execute(query)).mappings()]


async def make_due(jobs: NewJobs, now: datetime) -> int:
    """Make the jobs of months that are over. Several workers may do so at the same time: each month has one job."""
    made = 0
    while await _make_next(jobs, now):
        made += 1
    return made


async def _make_next(jobs: NewJobs, now: datetime) -> bool:
    due = sa.select(job_schedules).where(job_schedules.c.next_at <= now).order_by(job_schedules.c.next_at).limit(1)
    async with jobs.engine.begin() as connection:
        row = (await connection.execute(due.with_for_update(skip_locked=True))).mappings().one_or_none()
        if row is None:
            return False
        schedule = _schedule(row)
        zone, end = zone_of(schedule.zone), schedule.next_at
        stores = await _stores(connection, schedule)
        values: dict[str, Any] = {"next_at": next_month(end, zone)}
        if stores:
            period = {"placed_from": month_before(end, zone), "placed_to": end}
            request = schedule.request.model_copy(
                update={"filter": schedule.request.filter.model_copy(update=period), "zone": schedule.zone}
            )
            asked = Asked.of(JobKind.EXPORT, f"schedule {schedule.id} {end.isoformat()}", request)
            new = NewJob(
                id=new_id(),
                kind=JobKind.EXPORT,
                actor=schedule.actor,
                token=schedule.token,
                stores=stores,
                request=written(request),
                asked=asked,
                keep=jobs.rules.keep_exports,
            )
            if job := await make_job(connection, new, now):
                values["last_job"] = job.id
                about: dict[str, audit_log.Ids] = {"stores": list(stores), "schedule": schedule.id}
                await audit_log.record(connection, schedule.actor, "export.started", job.id, **about)
        mine = job_schedules.c.id == schedule.id
        await connection.execute(sa.update(job_schedules).where(mine).values(values))
    log.info("monthly export begun", schedule=schedule.id, job=values.get("last_job"))
    return True


async def _stores(connection: AsyncConnection, schedule: Schedule) -> Sequence[str]:
    """Those that have orders."""
    known, named = set(await known_stores(connection)), set(schedule.request.filter.store)
    return sorted(known & (named or known) & (known if schedule.stores is None else schedule.stores))


def _schedule(row: sa.RowMapping) -> Schedule:
    return Schedule(
        id=row["id"],
        name=row["name"],
        actor=row["actor"],
        token=row["token"],
        stores=None if row["stores"] is None else frozenset(row["stores"]),
        request=ExportRequest.model_validate(orjson.loads(row["request"])),
        zone=row["zone"],
        next_at=row["next_at"],
        last_job=row["last_job"],
    )
