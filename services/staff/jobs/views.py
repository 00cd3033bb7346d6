"""Jobs, their results and schedules, as the API shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from services.staff.domain.bulk import ACTIONS, offered_for
from services.staff.domain.jobs import REQUESTS, JobState, after_request
from services.staff.jobs.job import Job
from services.staff.jobs.requests import BulkRequest, ExportRequest
from shared.contracts.values import OrderStatus
from shared.shell.http.declaration import Holds, Json


@dataclass(frozen=True, slots=True)
class JobFile:
    """What an export has made."""

    name: str
    """With the time zone, and the moment that it shows."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job."""

    id: str
    """The job's id."""
    kind: str
    """`export` or `bulk`."""
    state: str
    """`waiting`, `running`, `pausing`, `paused`, `cancelling`, `cancelled`, `failed` or `done`."""
    actor: str
    """Who started it."""
    stores: list[str]
    """The stores of its orders."""
    request: Annotated[Json, Holds(ExportRequest | BulkRequest)]
    """What was asked for."""
    total: int | None
    """How many orders it is about; null until they are counted."""
    done: int
    """How many of them it has dealt with."""
    refused: int
    """For how many of these the action was not carried out."""
    problem: str
    """What is wrong with it; empty: nothing."""
    created_at: datetime
    """When it was started."""
    started_at: datetime | None
    """When a worker took it."""
    ended_at: datetime | None
    """When it ended."""
    expires_at: datetime
    """When it is removed, with its file and its results."""
    file: JobFile | None
    """What an export has made."""
    may: list[str]
    """What can be asked of it now: `pause`, `resume`, `cancel`."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs."""

    jobs: list[JobView]
    """The newest first."""
    next: str | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """An order of a bulk job."""

    order: str
    """The order's id."""
    number: str | None
    """The order's number."""
    state: str
    """`pending`, `done`, `refused`, or `unknown`: it was sent, and its outcome is no longer kept."""
    code: str
    """Why it was refused."""
    text: str
    """The same in its owner's words."""
    at: datetime | None
    """When."""


@dataclass(frozen=True, slots=True)
class JobResults:
    """Orders of a bulk job, as it goes through them."""

    results: list[JobResult]
    """The page's orders."""
    next: int | None
    """The `after` of the next page; null on the last one."""


@dataclass(frozen=True, slots=True)
class ActionView:
    """A bulk action."""

    action: str
    """Its name."""
    permissions: list[str]
    """What it needs in each order's store."""
    options: list[str]
    """What can be chosen for it."""


@dataclass(frozen=True, slots=True)
class ActionList:
    """Bulk actions."""

    actions: list[ActionView]
    """Those that are offered for the orders of the status."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """An export that is made each month."""

    id: str
    """Its id."""
    name: str
    """What staff call it."""
    actor: str
    """Who made it. In their name it is exported, as long as they may."""
    stores: list[str] | None
    """Of these stores; null: of all."""
    zone: str
    """The time zone in which a month begins."""
    export: Annotated[Json, Holds(ExportRequest)]
    """What is exported."""
    next_at: datetime
    """When the next one is made."""
    last_job: str | None
    """The latest job."""


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """Exports that are made each month."""

    schedules: list[ScheduleView]
    """The oldest first."""


def view_of(job: Job) -> JobView:
    file = JobFile(job.file, job.file_size or 0) if job.file is not None and job.state is JobState.DONE else None
    given: dict[str, Any] = {
        name: getattr(job, name)
        for name in JobView.__dataclass_fields__
        if name not in ("kind", "state", "stores", "file", "may")
    }
    may = [request for request in REQUESTS if after_request(job.kind, job.state, request) not in (None, job.state)]
    return JobView(
        **given, kind=job.kind.value, state=job.state.value, stores=sorted(job.stores), file=file, may=list(may)
    )


def actions_for(status: OrderStatus | None) -> ActionList:
    found = [(name, ACTIONS[name]) for name in offered_for(status)]
    return ActionList([ActionView(name, [it.command.type], list(it.options)) for name, it in found])
