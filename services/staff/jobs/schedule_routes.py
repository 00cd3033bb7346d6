"""Exports that are made each month, by HTTP."""

from __future__ import annotations

import functools
import hashlib
from http import HTTPStatus

import orjson
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.schedule import next_month
from services.staff.jobs.new_jobs import NewJobs, check_filter, stores_asked, written
from services.staff.jobs.requests import ScheduleRequest
from services.staff.jobs.rights import EXPORT, TO_EXPORT, stores_with, token_of
from services.staff.jobs.routes import ROOT
from services.staff.jobs.schedules import Schedule, all_schedules
from services.staff.jobs.tables import job_schedules
from services.staff.jobs.views import ScheduleList, ScheduleView
from services.staff.people import audit_log
from shared.contracts.times import zone_of
from shared.core import Problem
from shared.shell.http.access import OWN_STORES, PRINCIPAL, add_route, stores_of
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import IDEMPOTENCY_KEY, body_in
from shared.shell.http.web import identity_of

MOST = 100
GONE = DeclaredResponse(None, HTTPStatus.NO_CONTENT, media="", description="Removed. Exports that it has made stay.")
LIST = Declaration("Exports that are made each month", (DeclaredResponse(ScheduleList),))
MAKE = Declaration(
    "Make an export of each month, when it is over",
    (
        DeclaredResponse(ScheduleView, HTTPStatus.CREATED),
        DeclaredResponse(ScheduleView, description="An earlier request with the same `Idempotency-Key` has made it."),
    ),
    body=ScheduleRequest,
    headers=(IDEMPOTENCY_KEY,),
    refused=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
REMOVE = Declaration("Make no more exports of a schedule", (GONE,), refused=(HTTPStatus.NOT_FOUND,))


def add_schedules(application: web.Application, jobs: NewJobs) -> None:
    routes, add = ScheduleRoutes(jobs), functools.partial(add_route, application)
    add("GET", f"{ROOT}/schedules", routes.list, EXPORT, OWN_STORES, LIST)
    add("POST", f"{ROOT}/schedules", routes.make, EXPORT, OWN_STORES, MAKE)
    add("DELETE", f"{ROOT}/schedules/{{schedule}}", routes.remove, EXPORT, OWN_STORES, REMOVE)


class ScheduleRoutes:
    def __init__(self, jobs: NewJobs) -> None:
        self._jobs = jobs

    async def list(self, request: web.Request) -> web.StreamResponse:
        async with self._jobs.engine.connect() as connection:
            found = await all_schedules(connection)
        return json_response(ScheduleList([_view(one) for one in found if _is_visible(one, request)]))

    async def make(self, request: web.Request) -> web.StreamResponse:
        given, caller = await body_in(request, ScheduleRequest, "schedule"), request[PRINCIPAL]
        export, jobs = given.export, self._jobs
        check_filter(export)
        _check_period(given)
        allowed, id = stores_with(caller, TO_EXPORT), _id_of(identity_of(request))
        async with jobs.engine.begin() as connection:
            if earlier := await _earlier(connection, id, given):
                return json_response(_view(earlier))
            stores = await stores_asked(connection, allowed, export)
            scope = sorted(stores) if export.filter.store or allowed is not None else None
            zone = export.zone or await jobs.zone_of(connection, stores)
            count = sa.select(sa.func.count()).select_from(job_schedules)
            if (await connection.execute(count)).scalar_one() >= MOST:
                raise ProblemResponse(HTTPStatus.CONFLICT, f"There are {MOST} schedules already.", "too_many_schedules")
            values = {
                "id": id,
                "name": given.name,
                "actor": caller.name,
                "token": token_of(caller),
                "stores": scope,
                "request": orjson.dumps(written(export)).decode(),
                "zone": zone,
                "created_at": jobs.now(),
                "next_at": next_month(jobs.now(), zone_of(zone)),
            }
            insert = postgresql.insert(job_schedules).values(values).on_conflict_do_nothing()
            if not (await connection.execute(insert)).rowcount:  # a repetition was quicker
                if earlier := await _earlier(connection, id, given):
                    return json_response(_view(earlier))
                raise not_found("schedule")
            about = {"stores": scope, "format": export.format, "zone": zone}
            await audit_log.record(connection, caller.name, "schedule.made", id, **about)
            made = next(one for one in await all_schedules(connection) if one.id == id)
        return json_response(_view(made), HTTPStatus.CREATED)

    async def remove(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["schedule"]
        async with self._jobs.engine.begin() as connection:
            found = next((one for one in await all_schedules(connection) if one.id == id), None)
            if found is None or not _is_visible(found, request):
                raise not_found("schedule")
            await connection.execute(sa.delete(job_schedules).where(job_schedules.c.id == id))
            await audit_log.record(connection, request[PRINCIPAL].name, "schedule.removed", id)
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _id_of(identity: str) -> str:
    """That of the schedule which a request makes: the same one again makes no second."""
    return hashlib.sha256(f"schedule\x00{identity}".encode()).hexdigest()[:16]


async def _earlier(connection: AsyncConnection, id: str, given: ScheduleRequest) -> Schedule | None:
    """The schedule that the same request has made before. Raises ProblemResponse if something else was asked for."""
    found = next((one for one in await all_schedules(connection) if one.id == id), None)
    if found and (found.name, written(found.request)) != (given.name, written(given.export)):
        title = "This Idempotency-Key was used for another request."
        raise ProblemResponse(HTTPStatus.UNPROCESSABLE_ENTITY, title, "idempotency_key_reused")
    return found


def _check_period(given: ScheduleRequest) -> None:
    """The month is the period, and orders to come cannot be named. Raises ProblemResponse (400)."""
    export = given.export
    wrong = {
        "export.filter.placed_from": export.filter.placed_from is not None,
        "export.filter.placed_to": export.filter.placed_to is not None,
        "export.orders": bool(export.orders),
    }
    text = "is not for an export of each month"
    problems = [Problem(field=name, code="invalid_value", text=text) for name, given in wrong.items() if given]
    if problems:
        raise bad_request("The schedule is invalid.", problems)


def _is_visible(schedule: Schedule, request: web.Request) -> bool:
    stores = stores_of(request)
    return stores is None or bool(schedule.stores and schedule.stores <= stores)


def _view(schedule: Schedule) -> ScheduleView:
    return ScheduleView(
        id=schedule.id,
        name=schedule.name,
        actor=schedule.actor,
        stores=None if schedule.stores is None else sorted(schedule.stores),
        zone=schedule.zone,
        export=dict(written(schedule.request)),
        next_at=schedule.next_at,
        last_job=schedule.last_job,
    )
