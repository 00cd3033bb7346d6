"""Bulk jobs: one command to each order, whatever is killed, paused or away meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest
import pytest_asyncio
import sqlalchemy as sa

from services.staff.domain.bulk import key_of
from services.staff.domain.jobs import JobKind
from services.staff.domain.roles import GivenRole
from services.staff.jobs import bulk, new_jobs
from services.staff.jobs.jobs import Jobs
from services.staff.jobs.lease import JobRun, LeaseLost, claim
from services.staff.jobs.owner import DONE, CommandOutcome, OrderCommand, OrderHeldUp
from services.staff.jobs.rules import JobRules
from services.staff.jobs.tables import jobs
from services.staff.people.accounts import write_roles
from services.staff.people.tables import users
from services.staff.storage import order_items, orders
from tests.integration.conftest import NewDatabase
from tests.integration.staff_jobs_rig import NOW, ORDERS, RULES, JobsApi, jobs_api

NOT_PAID = CommandOutcome("refused", "not_paid", "This order is not paid yet. Refund it after payment.")
CREATED = [made.order["order_id"] for made in ORDERS if made.order["status"] == "created"]
COMPLETED = [made.order["order_id"] for made in ORDERS if made.order["status"] == "completed"]
REFUND = {"action": "refund", "filter": {"status": ["completed"]}}
CANCEL = {"action": "cancel", "filter": {"status": ["created"]}}


@pytest_asyncio.fixture
async def api(new_database: NewDatabase) -> AsyncIterator[JobsApi]:
    async with jobs_api(new_database) as api:
        yield api


async def run(api: JobsApi) -> bool:
    return await api.jobs.runner.run_next(JobKind.BULK)


async def test_all_that_match_are_sent_and_each_has_its_outcome(api: JobsApi) -> None:
    refused = set(CREATED[::5])
    api.owners.refuse = lambda command: NOT_PAID if command.key.partition("/")[2] in refused else DONE
    job = await api.started("bulk", {**CANCEL, "reason": "Closing."})
    assert (job["state"], job["total"], job["done"]) == ("waiting", len(CREATED), 0)
    assert await run(api)
    shown = await api.shown(job)
    assert (shown["state"], shown["done"], shown["refused"]) == ("done", len(CREATED), len(refused))
    results = await api.results(job)
    assert sorted(each["order"] for each in results) == sorted(CREATED)
    assert {each["order"] for each in await api.results(job, state="refused")} == refused
    assert {(each["code"], each["text"]) for each in results if each["order"] in refused} == {
        ("not_paid", "This order is not paid yet. Refund it after payment.")
    }
    some = api.owners.carried_out[key_of(job["id"], CREATED[0])]
    assert (some.service, some.path) == ("checkout", f"/orders/{CREATED[0]}/cancel")
    assert (some.body, some.actor, some.permissions) == ({"reason": "Closing."}, "all", ("order.cancel",))
    assert some.store in ("main", "game", "course")
    assert api.owners.most_under_way <= RULES.at_once
    assert not await run(api)


async def test_orders_that_match_later_are_not_in_it(api: JobsApi) -> None:
    job = await api.started("bulk", CANCEL)
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(orders).values(status="created", order_facets=["status:created"]))
    await run(api)
    assert sorted(each["order"] for each in await api.results(job)) == sorted(CREATED)


async def test_a_selection(api: JobsApi) -> None:
    chosen = CREATED[:3]
    await api.started("bulk", {"action": "complete", "orders": chosen})
    await run(api)
    assert sorted(command.path for command in api.owners.carried_out.values()) == [
        f"/orders/{order}/complete" for order in chosen
    ]


async def test_a_return_names_what_was_delivered_when_the_job_was_made(api: JobsApi) -> None:
    made = next(one for one in ORDERS if len(one.parts["order_items"]) == 2)
    nothing = next(one for one in ORDERS if not one.parts["order_items"])
    ids = [one.order["order_id"] for one in (made, nothing)]
    asked = {"action": "return", "reason": "Recalled.", "options": {"refund": True}, "orders": ids}
    job = await api.started("bulk", asked)
    async with api.engine.begin() as connection:
        await connection.execute(sa.update(order_items).values(delivery="revoked"))
    await run(api)
    (command,) = api.owners.carried_out.values()
    assert command.body == {"refund": True, "reason": "Recalled.", "items": [{"item": "1"}, {"item": "2"}]}
    assert command.permissions == ("delivery.return", "payment.refund")
    assert [each["code"] for each in await api.results(job, state="refused")] == ["nothing_to_return"]


FATE: ContextVar[str] = ContextVar("fate", default="")
"""How a worker ends: `silent` leaves its lease to lapse, `frozen` does not renew it and goes on."""


@pytest.fixture
def fates(monkeypatch: pytest.MonkeyPatch) -> None:
    release, renew = JobRun.release, JobRun.renew

    async def maybe_release(run: JobRun) -> None:
        if not FATE.get():
            await release(run)

    async def maybe_renew(run: JobRun) -> None:
        if FATE.get() != "frozen":
            await renew(run)

    monkeypatch.setattr(JobRun, "release", maybe_release)
    monkeypatch.setattr(JobRun, "renew", maybe_renew)


@pytest.mark.usefixtures("fates")
@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_random_each_order_gets_its_command_once(api: JobsApi, seed: int) -> None:
    rng, fates = random.Random(seed), Counter[str]()
    deck = itertools.cycle(rng.sample(("", "silent", "frozen"), 3))
    rules = JobRules(lease=0.3, beat=0.1, poll=0.02, batch=6, at_once=3)
    api.owners.seconds = 0.02  # so all of it takes longer than workers live
    job = await api.started("bulk", REFUND)

    async def killed() -> None:
        fate = next(deck)
        fates[fate] += 1
        FATE.set(fate)
        worker = asyncio.create_task(Jobs(api.engine, api.owners, rules, lambda: NOW).run())
        await asyncio.sleep(rng.uniform(0.2, 0.9))
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    for _ in range(100):
        if (await api.shown(job))["state"] == "done":
            break
        await asyncio.gather(*(asyncio.create_task(killed()) for _ in range(2)))
    shown = await api.shown(job)
    assert (shown["state"], shown["done"], shown["refused"]) == ("done", len(COMPLETED), 0)
    assert set(api.owners.carried_out) == {key_of(job["id"], order) for order in COMPLETED}
    assert {each["state"] for each in await api.results(job)} == {"done"}
    assert set(fates) == {"", "silent", "frozen"}


async def test_a_frozen_runner_writes_nothing_once_its_lease_has_lapsed(api: JobsApi) -> None:
    job = await api.started("bulk", CANCEL)
    frozen = await claim(api.engine, JobKind.BULK, "frozen", 0.0)
    assert frozen is not None
    assert await run(api)
    with pytest.raises(LeaseLost):
        await bulk._note(frozen, [(CREATED[0], NOT_PAID)])
    shown = await api.shown(job)
    assert (shown["state"], shown["done"], shown["refused"]) == ("done", len(CREATED), 0)


async def test_a_frozen_runner_writes_nothing_while_another_one_has_the_job(api: JobsApi) -> None:
    job = await api.started("bulk", CANCEL)
    frozen = await claim(api.engine, JobKind.BULK, "frozen", 0.0)
    assert frozen is not None and await claim(api.engine, JobKind.BULK, "next", 30.0) is not None
    with pytest.raises(LeaseLost):
        await bulk._note(frozen, [(CREATED[0], NOT_PAID)])
    shown = await api.shown(job)
    assert (shown["state"], shown["done"]) == ("running", 0)


async def test_paused_resumed_and_cancelled(api: JobsApi) -> None:
    api.owners.seconds = 0.02
    job = await api.started("bulk", REFUND)
    runner = asyncio.create_task(run(api))
    await asyncio.sleep(0.15)
    status, changed = await api.ask("POST", f"/{job['id']}/pause")
    assert (status, changed["state"], changed["may"]) == (200, "pausing", ["resume", "cancel"])
    await runner
    paused = await api.shown(job)
    assert paused["state"] == "paused" and 0 < paused["done"] < len(COMPLETED)
    assert paused["done"] == len(api.owners.carried_out), "what was sent is noted"
    assert not await run(api)
    assert (await api.ask("POST", f"/{job['id']}/resume"))[1]["state"] == "waiting"
    runner = asyncio.create_task(run(api))
    await asyncio.sleep(0.1)
    assert (await api.ask("POST", f"/{job['id']}/cancel"))[1]["state"] == "cancelling"
    await runner
    cancelled = await api.shown(job)
    assert cancelled["state"] == "cancelled" and cancelled["done"] < len(COMPLETED)
    assert cancelled["done"] == len(api.owners.carried_out) == len(set(api.owners.sent))
    assert (await api.ask("POST", f"/{job['id']}/resume"))[0] == 409


@pytest.mark.parametrize(("asked", "states"), [("cancel", {"cancelled"}), ("resume", {"waiting", "done"})])
async def test_what_is_asked_for_last_counts(api: JobsApi, asked: str, states: set[str]) -> None:
    """Also after the runner has seen the request before it, and is ending what it began."""
    api.owners.seconds = 0.2
    job = await api.started("bulk", REFUND)
    runner = asyncio.create_task(run(api))
    await asyncio.sleep(0.1)
    await api.ask("POST", f"/{job['id']}/pause")
    await asyncio.sleep(0.15)  # longer than the beat: it knows
    assert (await api.ask("POST", f"/{job['id']}/{asked}"))[0] == 200
    await runner
    assert (await api.shown(job))["state"] in states


async def test_who_may_not_send_the_commands_of_a_job_cannot_go_on_with_it(api: JobsApi) -> None:
    job = await api.started("bulk", REFUND)
    await api.ask("POST", f"/{job['id']}/pause")
    status, problem = await api.ask("POST", f"/{job['id']}/resume", who="agent")
    assert (status, problem["title"]) == (403, "This needs the permission payment.refund.")
    assert (await api.ask("POST", f"/{job['id']}/cancel", who="agent"))[0] == 200, "who starts jobs may stop them"


@pytest.mark.parametrize("ends", [False, True])
async def test_an_order_that_is_held_up_holds_up_no_other(
    api: JobsApi, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    monkeypatch.setattr(bulk, "LONGEST_PAUSE", 0.02)
    stuck, tries = CREATED[0], 0

    def refuse(command: OrderCommand) -> CommandOutcome:
        nonlocal tries
        if command.key.partition("/")[2] != stuck:
            return DONE
        tries += 1
        if ends and tries == 3:
            return DONE
        raise OrderHeldUp("checkout answers 409: A message of this order is parked.")

    api.owners.refuse = refuse
    job = await api.started("bulk", CANCEL)
    await run(api)
    shown = await api.shown(job)
    assert (shown["state"], shown["done"], shown["refused"]) == ("done", len(CREATED), 0 if ends else 1)
    unknown = await api.results(job, state="unknown")
    assert [each["order"] for each in unknown] == ([] if ends else [stuck])
    assert tries == (3 if ends else bulk.PASSES)


async def test_an_owner_that_is_away_for_long_lets_other_jobs_have_their_turn(
    api: JobsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAUSE", 0.01)
    monkeypatch.setattr(bulk, "LONGEST_PAUSE", 0.02)
    api.owners.away = 10_000
    first = await api.started("bulk", REFUND)
    assert await run(api)
    waiting = await api.shown(first)
    assert (waiting["state"], waiting["problem"]) == ("waiting", "checkout does not answer.")
    api.owners.away = 0
    second = await api.started("bulk", CANCEL)
    assert await run(api)
    assert (await api.shown(second))["state"] == "done"
    assert (await api.shown(first))["state"] == "waiting"


async def test_a_job_ends_with_the_token_by_which_it_was_started(api: JobsApi) -> None:
    job = await api.started("bulk", CANCEL)
    async with api.engine.begin() as connection:
        person = {"id": "1", "email": "a@example.com", "name": "A", "password": "x", "created_at": NOW}
        await connection.execute(sa.insert(users).values(person))
        await write_roles(connection, "1", [GivenRole("manager", "*")])
        await connection.execute(sa.update(jobs).values(actor="user:1", token="gone"))
    await run(api)
    shown = await api.shown(job)
    assert (shown["state"], shown["done"]) == ("failed", 0)
    assert shown["problem"] == "The token by which this job was started is valid no more."


async def test_an_owner_that_is_away_is_waited_for(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PAUSE", 0.3)
    api.owners.away = 3
    job = await api.started("bulk", CANCEL)
    runner = asyncio.create_task(run(api))
    await asyncio.sleep(0.2)
    waiting = await api.shown(job)
    assert (waiting["state"], waiting["problem"]) == ("running", "checkout does not answer.")
    await runner
    shown = await api.shown(job)
    assert (shown["state"], shown["problem"], shown["done"]) == ("done", "", len(CREATED))
    assert set(api.owners.carried_out) == {key_of(job["id"], order) for order in CREATED}


async def test_what_is_asked_for_is_checked_at_once(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    status, problem = await api.ask("POST", "/bulk", {"action": "release", "filter": {"held": True}})
    assert (status, problem["problems"][0]["field"]) == (400, "reason")
    status, problem = await api.ask("POST", "/bulk", {**CANCEL, "options": {"refund": True}})
    assert (status, problem["problems"][0]["field"]) == (400, "options")
    assert (await api.ask("POST", "/bulk", {"action": "explode"}))[0] == 400
    status, problem = await api.ask("POST", "/bulk", {"action": "cancel", "filter": {"source": ["unheard-of"]}})
    assert (status, problem["code"]) == (409, "nothing_selected")
    monkeypatch.setattr(new_jobs, "MOST_ORDERS", 5)
    status, problem = await api.ask("POST", "/bulk", CANCEL)
    assert (status, problem["code"]) == (409, "too_many_orders")
    async with api.engine.connect() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(jobs))).scalar_one() == 0


async def test_each_command_needs_its_own_permission(api: JobsApi) -> None:
    assert (await api.ask("POST", "/bulk", CANCEL, who="agent"))[0] == 201
    assert (await api.ask("POST", "/bulk", {"action": "refund"}, who="agent"))[0] == 403
    assert (await api.ask("POST", "/bulk", CANCEL, who="viewer"))[0] == 403
    job = await api.started("bulk", CANCEL, who="game")
    assert job["stores"] == ["game"]
    assert (await api.ask("GET", f"/{job['id']}", who="game"))[0] == 200


async def test_the_actions_of_a_tab(api: JobsApi) -> None:
    _, found = await api.ask("GET", "/actions?status=completed")
    names = [each["action"] for each in found["actions"]]
    assert "refund" in names and "cancel" not in names
