"""Jobs by HTTP: start, follow, pause, resume and cancel them; their results, files and schedules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Literal

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.cursors import MAX_CURSOR, WrongCursor, read_cursor, write_cursor
from services.staff.domain.jobs import JobKind, JobRequest, JobState, why_not
from services.staff.jobs.file import file_parts
from services.staff.jobs.job import Job, change_job, find_job, jobs_before
from services.staff.jobs.new_jobs import MadeJob, NewJobs
from services.staff.jobs.requests import BulkRequest, ExportRequest
from services.staff.jobs.rights import EXPORT, READ, START, TO_EXPORT, TO_STOP, needed_for
from services.staff.jobs.tables import job_orders
from services.staff.jobs.views import ActionList, JobPage, JobResult, JobResults, JobView, actions_for, view_of
from services.staff.order_list import Chosen, Store
from services.staff.people import audit_log
from services.staff.storage import orders
from shared.contracts.values import OrderStatus
from shared.core import Problem
from shared.shell.http.access import OWN_STORES, PRINCIPAL, RequestHandler, add_route, stores_of
from shared.shell.http.connection import may_be_read_slowly
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query, StrictQuery
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import IDEMPOTENCY_KEY, Number, body_in, query_in, strict_query_in
from shared.shell.http.web import identity_of

ROOT = "/api/v1/jobs"
PAGE, MOST = 50, 200
RESULTS, MOST_RESULTS = 200, 1000
CURSOR = "jobs"
ANY_FILE = "application/octet-stream"
PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
MADE = (
    DeclaredResponse(JobView, HTTPStatus.CREATED),
    DeclaredResponse(JobView, description="An earlier request with the same `Idempotency-Key` has made it."),
)


class JobsQuery(StrictQuery):
    store: tuple[Store, ...] = Chosen
    """Of these stores, and of no others."""
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many jobs."""
    after: str = Field(default="", max_length=MAX_CURSOR)
    """The `next` of the previous page."""


class ResultsQuery(Query):
    state: Literal["", "pending", "done", "refused", "unknown"] = ""
    """Only these. Missing: all."""
    limit: Number = Field(default=RESULTS, ge=1, le=MOST_RESULTS)
    """At most so many orders."""
    after: int = Field(default=0, ge=0, le=2**31)
    """The `next` of the previous page."""


class ActionsQuery(Query):
    status: OrderStatus | None = None
    """Of the orders' tab. Missing: of the tab of all orders."""


EXPORT_JOB = Declaration(
    *("Export orders as a file", MADE),
    body=ExportRequest,
    headers=(IDEMPOTENCY_KEY,),
    refused=(HTTPStatus.UNPROCESSABLE_ENTITY,),
)
BULK_JOB = Declaration(
    *("Do the same with many orders", MADE),
    body=BulkRequest,
    headers=(IDEMPOTENCY_KEY,),
    refused=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
ACTIONS = Declaration(
    "The bulk actions that are offered for orders of a status", (DeclaredResponse(ActionList),), query=ActionsQuery
)
LIST = Declaration("Jobs, the newest first", (DeclaredResponse(JobPage),), query=JobsQuery)
SHOW = Declaration("One job", (DeclaredResponse(JobView),), refused=(HTTPStatus.NOT_FOUND,))
REFUSED = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
RESULTS_OF = Declaration(
    "A bulk job's orders, with the outcome of each",
    (DeclaredResponse(JobResults),),
    query=ResultsQuery,
    refused=(HTTPStatus.NOT_FOUND,),
)
FILE = Declaration(
    "An export's file", (DeclaredResponse(None, media=ANY_FILE, description="The file."),), refused=REFUSED
)


def add_jobs(application: web.Application, jobs: NewJobs, wake: Callable[[JobKind], None]) -> None:
    """`wake`: a worker may look for a job of this kind at once."""
    routes, add = JobRoutes(jobs, wake), functools.partial(add_route, application)
    add("POST", f"{ROOT}/exports", routes.export, EXPORT, OWN_STORES, EXPORT_JOB)
    add("POST", f"{ROOT}/bulk", routes.bulk, START, OWN_STORES, BULK_JOB)
    add("GET", f"{ROOT}/actions", routes.actions, READ, OWN_STORES, ACTIONS)
    add("GET", ROOT, routes.list, READ, OWN_STORES, LIST)
    add("GET", f"{ROOT}/{{job}}", routes.show, READ, OWN_STORES, SHOW)
    add("GET", f"{ROOT}/{{job}}/results", routes.results, READ, OWN_STORES, RESULTS_OF)
    add("GET", f"{ROOT}/{{job}}/file", routes.file, EXPORT, OWN_STORES, FILE)
    summaries: dict[JobRequest, str] = {
        "pause": "Pause a job: what is under way is ended",
        "resume": "Go on with a job that is paused, or has failed",
        "cancel": "Cancel a job: what is done stays done",
    }
    for request, summary in summaries.items():
        declaration = Declaration(summary, (DeclaredResponse(JobView),), refused=REFUSED)
        add("POST", f"{ROOT}/{{job}}/{request}", routes.change(request), READ, OWN_STORES, declaration)


class JobRoutes:
    def __init__(self, jobs: NewJobs, wake: Callable[[JobKind], None]) -> None:
        self._jobs, self._wake = jobs, wake

    async def export(self, request: web.Request) -> web.StreamResponse:
        given = await body_in(request, ExportRequest, "job")
        return self._answer(await self._jobs.export(request[PRINCIPAL], given, identity_of(request)))

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        given = await body_in(request, BulkRequest, "job")
        return self._answer(await self._jobs.bulk(request[PRINCIPAL], given, identity_of(request)))

    def _answer(self, made: MadeJob) -> web.Response:
        self._wake(made.job.kind)
        return json_response(view_of(made.job), HTTPStatus.OK if made.earlier else HTTPStatus.CREATED)

    async def actions(self, request: web.Request) -> web.StreamResponse:
        return json_response(actions_for(query_in(request, ActionsQuery).status))

    async def list(self, request: web.Request) -> web.StreamResponse:
        given = strict_query_in(request, JobsQuery)
        async with self._jobs.engine.connect() as connection:
            found = await jobs_before(connection, stores_of(request), _place(given.after), given.limit + 1)
        shown = found[: given.limit]
        last = write_cursor(CURSOR, (shown[-1].created_at, shown[-1].id)) if len(found) > len(shown) else None
        return json_response(JobPage([view_of(job) for job in shown], last))

    async def show(self, request: web.Request) -> web.StreamResponse:
        async with self._jobs.engine.connect() as connection:
            return json_response(view_of(await _job(connection, request)))

    async def results(self, request: web.Request) -> web.StreamResponse:
        given = query_in(request, ResultsQuery)
        table = job_orders
        async with self._jobs.engine.connect() as connection:
            job = await _job(connection, request)
            query = sa.select(table, orders.c.number).join(orders, orders.c.order_id == table.c.order_id, isouter=True)
            query = query.where(table.c.job == job.id, table.c.position > given.after)
            query = query.where(table.c.state == given.state) if given.state else query
            rows = (await connection.execute(query.order_by(table.c.position).limit(given.limit + 1))).all()
        shown = rows[: given.limit]
        results = [JobResult(r.order_id, r.number, r.state, r.code or "", r.text or "", r.at) for r in shown]
        return json_response(JobResults(results, shown[-1].position if len(rows) > len(shown) else None))

    def change(self, asked: JobRequest) -> RequestHandler:
        async def handle(request: web.Request) -> web.StreamResponse:
            async with self._jobs.engine.begin() as connection:
                job = await _job(connection, request, locked=True)
                _check_may(request, job, needed_for(job) if asked == "resume" else TO_STOP[job.kind])
                state = await change_job(connection, job, asked, self._jobs.now())
                if state is None:
                    title = why_not(job.kind, job.state, asked)
                    raise ProblemResponse(HTTPStatus.CONFLICT, title, "wrong_job_state")
                if state is not job.state:
                    await audit_log.record(connection, request[PRINCIPAL].name, f"{job.kind}.{asked}", job.id)
                changed = await find_job(connection, job.id)
            assert changed is not None
            if state is JobState.WAITING:
                self._wake(job.kind)
            return json_response(view_of(changed))

        return handle

    async def file(self, request: web.Request) -> web.StreamResponse:
        async with self._jobs.engine.begin() as connection:
            job = await _job(connection, request)
            _check_may(request, job, TO_EXPORT)
            if job.file is None or job.file_size is None or job.state is not JobState.DONE:
                title = f"This job is {job.state}: it has no file." if job.kind is JobKind.EXPORT else "It has no file."
                raise ProblemResponse(HTTPStatus.CONFLICT, title, "no_file")
            if request.method != "HEAD":
                await audit_log.record(connection, request[PRINCIPAL].name, "export.downloaded", job.id)
        response = web.StreamResponse(headers=PRIVATE)
        response.headers["Content-Disposition"] = f'attachment; filename="{job.file}"'
        response.content_type, response.content_length = ANY_FILE, job.file_size
        may_be_read_slowly(request)
        await response.prepare(request)
        if request.method != "HEAD":
            async for part in file_parts(self._jobs.engine, job):
                await response.write(part)
        await response.write_eof()
        return response


async def _job(connection: AsyncConnection, request: web.Request, *, locked: bool = False) -> Job:
    """Of which every store is one of the caller's: one of no store is for callers of all. Raises ProblemResponse
    (404)."""
    job = await find_job(connection, request.match_info["job"], locked=locked)
    stores = stores_of(request)
    if job is None or not (stores is None or (job.stores and job.stores <= stores)):
        raise not_found("job")
    return job


def _check_may(request: web.Request, job: Job, permissions: Iterable[str]) -> None:
    """In all stores of a job. Raises ProblemResponse (403)."""
    for needed in permissions:
        caller = request[PRINCIPAL].where(needed)
        if not caller.may(needed) or not (caller.stores is None or job.stores <= caller.stores):
            raise ProblemResponse(HTTPStatus.FORBIDDEN, f"This needs the permission {needed}.", "forbidden")


def _place(after: str) -> tuple[datetime, str] | None:
    """Raises ProblemResponse (400)."""
    if not after:
        return None
    try:
        at, id = read_cursor(CURSOR, after, (datetime, str))
    except WrongCursor as wrong:
        problem = Problem(field="after", code="invalid_value", text=str(wrong))
        raise bad_request("The query is invalid.", [problem]) from None
    assert isinstance(at, datetime)
    return at, str(id)
