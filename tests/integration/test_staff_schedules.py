"""Monthly exports, and jobs whose starter may no longer do what they ask for."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
import sqlalchemy as sa

from services.staff.domain.jobs import JobKind
from services.staff.domain.roles import GivenRole
from services.staff.jobs.jobs import Jobs
from services.staff.jobs.tables import job_schedules, jobs
from services.staff.people.accounts import write_roles
from services.staff.people.tables import grants, users
from tests.integration.conftest import NewDatabase
from tests.integration.staff_jobs_rig import NOW, ORDERS, RULES, JobsApi, jobs_api

OCTOBER = datetime(2026, 10, 1, 4, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC)
"""In New York."""


@pytest_asyncio.fixture
async def api(new_database: NewDatabase) -> AsyncIterator[JobsApi]:
    async with jobs_api(new_database) as api:
        yield api


async def schedule(api: JobsApi, body: object, **how: str) -> tuple[int, dict[str, object]]:
    status, found = await api.ask("POST", "/schedules", body, **how)
    return status, found


async def test_each_month_one_export_of_its_orders_is_made(api: JobsApi) -> None:
    asked = {"name": "For the books", "export": {"zone": "America/New_York", "columns": ["order"]}}
    status, made = await schedule(api, asked)
    assert (status, made["next_at"]) == (201, "2026-12-01T05:00:00+00:00")
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(job_schedules).values(next_at=OCTOBER[1]))
    workers = [Jobs(api.engine, api.owners, RULES, lambda: NOW) for _ in range(3)]
    await asyncio.gather(*(worker.upkeep(NOW) for worker in workers))
    _, page = await api.ask("GET", "")
    (job,) = page["jobs"]
    assert await api.jobs.runner.run_next(JobKind.EXPORT)
    _, file = await api.ask("GET", f"/{job['id']}/file")
    rows = list(csv.reader(io.StringIO(file.decode("utf-8-sig"))))[1:]
    assert sorted(row[0] for row in rows) == sorted(placed_in_october())
    assert rows
    _, found = await api.ask("GET", "/schedules")
    (shown,) = found["schedules"]
    assert (shown["next_at"], shown["last_job"]) == ("2026-12-01T05:00:00+00:00", job["id"])


async def test_the_same_request_again_makes_no_second_schedule(api: JobsApi) -> None:
    asked = {"name": "n", "export": {"columns": ["order"]}}
    answers = await asyncio.gather(*(schedule(api, asked, key="the-key") for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
    assert len({str(made["id"]) for _, made in answers}) == 1
    status, refused = await schedule(api, asked | {"name": "another"}, key="the-key")
    assert (status, refused["code"]) == (422, "idempotency_key_reused")
    _, found = await api.ask("GET", "/schedules")
    assert len(found["schedules"]) == 1


def placed_in_october() -> Iterator[str]:
    for made in ORDERS:
        if made.order["placed_at"] and OCTOBER[0] <= made.order["placed_at"] < OCTOBER[1]:
            yield made.order["order_id"]


async def test_months_that_were_missed_are_made_one_by_one(api: JobsApi) -> None:
    await schedule(api, {"name": "n", "export": {}})
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(job_schedules).values(next_at=datetime(2026, 9, 1, tzinfo=UTC)))
    await api.jobs.upkeep(NOW)
    await api.jobs.upkeep(NOW)
    _, page = await api.ask("GET", "")
    assert sorted(job["request"]["filter"]["placed_from"][:10] for job in page["jobs"]) == [
        *("2026-08-01", "2026-09-01", "2026-10-01")
    ]


async def test_a_schedule_is_of_stores_that_its_maker_may_export(api: JobsApi) -> None:
    assert (await schedule(api, {"name": "n", "export": {}}, who="agent"))[0] == 403
    assert (await schedule(api, {"name": "n", "export": {"filter": {"store": ["main"]}}}, who="game"))[0] == 403
    status, problem = await api.ask("POST", "/schedules", {"name": "n", "export": {"orders": ["o-1"]}})
    assert (status, problem["code"]) == (400, "bad_request")
    _, made = await schedule(api, {"name": "n", "export": {}}, who="game")
    assert made["stores"] == ["game"]
    _, everywhere = await schedule(api, {"name": "all", "export": {}})
    assert everywhere["stores"] is None
    _, seen = await api.ask("GET", "/schedules", who="game")
    assert [each["id"] for each in seen["schedules"]] == [made["id"]]
    assert (await api.ask("DELETE", f"/schedules/{everywhere['id']}", who="game"))[0] == 404
    assert (await api.ask("DELETE", f"/schedules/{made['id']}", who="game"))[0] == 204
    assert (await api.ask("DELETE", f"/schedules/{made['id']}"))[0] == 404


async def test_a_store_without_orders_has_schedules_and_exports_of_its_own(api: JobsApi) -> None:
    _, made = await schedule(api, {"name": "n", "export": {}}, who="new")
    assert made["stores"] == ["new"], "and of what it sells later"
    job = await api.started("exports", {}, who="new")
    assert job["stores"] == ["new"]
    for path in (f"/{job['id']}", f"/{job['id']}/file"):
        assert (await api.ask("GET", path, who="game"))[0] == 404
    assert (await api.ask("DELETE", f"/schedules/{made['id']}", who="game"))[0] == 404
    for path, name in (("", "jobs"), ("/schedules", "schedules")):
        assert (await api.ask("GET", path, who="game"))[1][name] == []
        assert len((await api.ask("GET", path, who="new"))[1][name]) == 1


@pytest.mark.parametrize("kind", ["jobs", "schedules"])
async def test_what_is_of_no_store_is_for_callers_of_all(api: JobsApi, kind: str) -> None:
    made = (
        (await schedule(api, {"name": "n", "export": {}}))[1]
        if kind == "schedules"
        else await api.started("exports", {})
    )
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(jobs if kind == "jobs" else job_schedules).values(stores=[]))
    path = "/schedules" if kind == "schedules" else ""
    assert (await api.ask("GET", path, who="game"))[1][kind] == []
    assert (await api.ask("GET", path))[1][kind][0]["id"] == made["id"]


@pytest.fixture
def actor() -> str:
    return "user:id-ann"


async def user_with(api: JobsApi, *roles: GivenRole) -> None:
    async with api.engine.begin() as connection:
        values = {"id": "id-ann", "email": "ann@example.com", "name": "Ann", "created_at": NOW}
        await connection.execute(sa.insert(users).values(values))
        await write_roles(connection, "id-ann", roles)


async def test_a_user_who_loses_a_right_sends_no_more_commands(api: JobsApi, actor: str) -> None:
    await user_with(api, GivenRole("agent", "main"), GivenRole("agent", "game"))
    job = await api.started("bulk", {"action": "cancel", "filter": {"status": ["created"], "store": ["main", "game"]}})
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(actor=actor))
        await connection.execute(sa.delete(grants).where(grants.c.store == "game"))
    await api.jobs.runner.run_next(JobKind.BULK)
    assert {command.store for command in api.owners.carried_out.values()} == {"main"}
    refused = await api.results(job, state="refused")
    assert refused and {each["code"] for each in refused} == {"forbidden"}


async def test_a_user_who_is_gone_starts_nothing_any_more(api: JobsApi, actor: str) -> None:
    await user_with(api, GivenRole("manager", "*"))
    export = await api.started("exports", {})
    sent = await api.started("bulk", {"action": "cancel", "filter": {"status": ["created"]}})
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(jobs).values(actor=actor))
        await connection.execute(sa.update(users).values(disabled_at=NOW))
    for job, kind in ((export, JobKind.EXPORT), (sent, JobKind.BULK)):
        await api.jobs.runner.run_next(kind)
        shown = await api.shown(job)
        assert (shown["state"], shown["problem"]) == ("failed", "The user who started this job is there no more.")
    assert not api.owners.sent


async def test_pages_of_jobs(api: JobsApi) -> None:
    made = [(await api.started("exports", {}))["id"] for _ in range(5)]
    found, after = list[str](), ""
    while True:
        _, page = await api.ask("GET", f"?limit=2&after={after}")
        found += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert sorted(found) == sorted(made) and len(found) == 5
    assert (await api.ask("GET", "?after=wrong"))[0] == 400
