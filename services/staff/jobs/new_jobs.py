"""Makes jobs of what staff ask for: checks what they may do and where, and keeps which orders a bulk job is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.domain.bulk import MOST_ORDERS, command_of, permissions_of, unknown_options
from services.staff.domain.jobs import JobKind
from services.staff.jobs.job import Asked, Job, KeyReused, NewJob, earlier_job, make_job
from services.staff.jobs.requests import BulkRequest, ExportRequest, JobRequest
from services.staff.jobs.rights import ORDERS, START, TO_EXPORT, stores_with, token_of
from services.staff.jobs.rules import JobRules
from services.staff.jobs.selection import Selection, selection_of
from services.staff.order_conditions import DATE
from services.staff.order_list import problems_of_choice
from services.staff.order_query import PLANS, known_stores
from services.staff.people import audit_log
from services.staff.people.credentials import new_id
from shared.contracts.problems import MAX_PROBLEMS, problems_of
from shared.core import Problem
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, bad_request

FindZones = Callable[[AsyncConnection, Collection[str]], Awaitable[Collection[str]]]
"""The time zones of stores, by their ids; of those of which one is known."""
NAMED = 5
"""Ids that a problem names."""


async def no_zones(connection: AsyncConnection, stores: Collection[str]) -> Collection[str]:
    """UTC everywhere."""
    return ()


class MadeJob(NamedTuple):
    job: Job
    earlier: bool
    """It was made by an earlier request with the same Idempotency-Key."""


class _MadeMeanwhile(Exception):
    """A request with the same identity has made its job at the same time."""


@dataclass(frozen=True, slots=True)
class NewJobs:
    engine: AsyncEngine
    rules: JobRules
    now: Callable[[], datetime]
    zones: FindZones = no_zones

    async def export(self, caller: Principal, request: ExportRequest, identity: str) -> MadeJob:
        """Raises ProblemResponse."""
        check_filter(request)
        allowed = stores_with(caller, TO_EXPORT)

        async def make(connection: AsyncConnection, asked: Asked) -> Job:
            stores = await stores_asked(connection, allowed, request)
            await _selected(connection, stores, request)
            zoned = request.model_copy(update={"zone": request.zone or await self.zone_of(connection, stores)})
            new = NewJob(
                id=new_id(),
                kind=JobKind.EXPORT,
                actor=caller.name,
                token=token_of(caller),
                stores=stores,
                request=written(zoned),
                asked=asked,
                keep=self.rules.keep_exports,
            )
            return await self._made(connection, new, format=request.format, columns=list(request.columns))

        return await self._once(Asked.of(JobKind.EXPORT, identity, request), make)

    async def bulk(self, caller: Principal, request: BulkRequest, identity: str) -> MadeJob:
        """Raises ProblemResponse."""
        check_filter(request)
        allowed = stores_with(caller, (START, ORDERS, *_permissions(request)))

        async def make(connection: AsyncConnection, asked: Asked) -> Job:
            selection = await _selected(connection, await stores_asked(connection, allowed, request), request)
            id = new_id()
            kept = await _keep(connection, id, selection, of_items=request.choice().chosen.of_items)
            new = NewJob(
                id=id,
                kind=JobKind.BULK,
                actor=caller.name,
                token=token_of(caller),
                stores=sorted(kept),
                request=written(request),
                asked=asked,
                keep=self.rules.keep_jobs,
                total=sum(kept.values()),
            )
            return await self._made(connection, new, action=request.action, orders=new.total)

        return await self._once(Asked.of(JobKind.BULK, identity, request), make)

    async def zone_of(self, connection: AsyncConnection, stores: Collection[str]) -> str:
        """That of all of them, if they have the same one."""
        zones = set(await self.zones(connection, stores))
        return zones.pop() if len(zones) == 1 else "UTC"

    async def _once(self, asked: Asked, make: Callable[[AsyncConnection, Asked], Awaitable[Job]]) -> MadeJob:
        for _ in range(2):
            try:
                async with self.engine.begin() as connection:
                    if earlier := await earlier_job(connection, asked):
                        return MadeJob(earlier, earlier=True)
                    return MadeJob(await make(connection, asked), earlier=False)
            except _MadeMeanwhile:
                continue
            except KeyReused:
                title = "This Idempotency-Key was used for another request."
                raise ProblemResponse(HTTPStatus.UNPROCESSABLE_ENTITY, title, "idempotency_key_reused") from None
        raise AssertionError("made, and not there")

    async def _made(self, connection: AsyncConnection, new: NewJob, **detail: audit_log.Ids) -> Job:
        job = await make_job(connection, new, self.now())
        if job is None:
            raise _MadeMeanwhile
        about = {"stores": list(new.stores), **detail}
        await audit_log.record(connection, new.actor, f"{new.kind}.started", job.id, **about)
        return job


def check_filter(request: JobRequest) -> None:
    """Raises ProblemResponse (400)."""
    if problems := list(problems_of_choice(request.filter)):
        raise bad_request("The filter is invalid.", problems)


def _permissions(request: BulkRequest) -> tuple[str, ...]:
    """What is needed in the store of each order. Raises ProblemResponse (400) for what no owner would take."""
    choice = request.choice()
    if unknown := unknown_options(choice):
        text = f"{', '.join(unknown)} cannot be chosen for {choice.action}"
        raise bad_request("The job is invalid.", [Problem(field="options", code="unknown_field", text=text)])
    try:
        return permissions_of(command_of(choice))
    except ValidationError as wrong:
        raise bad_request("The job is invalid.", problems_of(wrong)[:MAX_PROBLEMS]) from None


async def stores_asked(
    connection: AsyncConnection, allowed: frozenset[str] | None, request: JobRequest
) -> Sequence[str]:
    """Those that the caller asks for; otherwise those that they may act for: of one who may do so anywhere, those that
    have orders. Raises ProblemResponse (403) for others."""
    named = set(request.filter.store)
    if allowed is not None and not named <= allowed:
        title = f"You may not do this in {', '.join(sorted(named - allowed)[:NAMED])}."
        raise ProblemResponse(HTTPStatus.FORBIDDEN, title, "forbidden")
    return sorted(named or (await known_stores(connection) if allowed is None else allowed))


async def _selected(connection: AsyncConnection, stores: Sequence[str], request: JobRequest) -> Selection:
    """Raises ProblemResponse (400) for orders that are named and are not there."""
    selection = await selection_of(connection, stores, request)
    if request.orders:
        query = sa.text("""select u.id from unnest(cast(:orders as text[])) as u(id) left join orders o
            on o.order_id = u.id and o.store = any(cast(:stores as text[])) where o.order_id is null limit :most""")
        values = {"orders": list(request.orders), "stores": list(stores), "most": NAMED}
        if missing := (await connection.execute(query, values)).scalars().all():
            text = f"there is no order {', '.join(missing)} in your stores"
            raise bad_request("An order is unknown.", [Problem(field="orders", code="unknown_order", text=text)])
    return selection


async def _keep(connection: AsyncConnection, job: str, selection: Selection, *, of_items: bool) -> Mapping[str, int]:
    """The orders as they are now, the oldest first; how many there are, by store. Raises ProblemResponse (409) for
    none, and for too many."""
    found = selection.condition()
    items = """(select array_agg(i.item order by i.item) from order_items i where i.order_id = o.order_id
        and i.kind <> 'delivery' and i.delivery = 'delivered')"""
    statement = f"""with found as (
            select o.order_id, o.store, {DATE} as at, {items if of_items else "null::text[]"} as items
            from orders o where {found.sql} limit :most),
        kept as (
            insert into job_orders (job, order_id, position, items, state)
            select :job, order_id, row_number() over (order by at, order_id), items, 'pending' from found)
        select store, count(*) as number from found group by store"""
    await connection.execute(PLANS)
    rows = await connection.execute(sa.text(statement), {**found.values, "most": MOST_ORDERS + 1, "job": job})
    kept: dict[str, int] = {row.store: row.number for row in rows}
    if not kept:
        raise ProblemResponse(HTTPStatus.CONFLICT, "No order matches.", "nothing_selected")
    if sum(kept.values()) > MOST_ORDERS:
        title = f"More than {MOST_ORDERS:,} orders match. Narrow the filter: a period, a status, a store."
        raise ProblemResponse(HTTPStatus.CONFLICT, title, "too_many_orders")
    return kept


def written(request: JobRequest) -> Mapping[str, Any]:
    """As it is kept."""
    return request.model_dump(mode="json", exclude_defaults=True)
