"""A service's database is restored to an earlier point, as docs/operations.md says: nothing is done a second time, and
nothing is lost that was given over HTTP.

    dump every database ─► more orders ─► for each service: stop it, restore, `orderbus restore`, start it ─► compare

What may happen once per order (a charge, a refund, a code) and once per identity (a mail, a webhook) is counted at the
outside: at the Stripe sandbox, the mail server, the receivers, and in what fulfillment told on its topic.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from deploy.check.topics import Topics, read
from deploy.client.http import ApiClient
from deploy.client.storefront import Follower
from deploy.demo.catalogue import HOOK
from deploy.demo.shop import Order
from deploy.demo.stories import DECLINED_CARD
from deploy.devstack.postgres import OWNER, find_programs
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.contracts.checkout import STATUS
from shared.contracts.envelope import BadMessage
from shared.contracts.fulfillment import EVENTS, ItemDelivered
from shared.core import Refusal
from tests.faults.paths import PATHS, Journey, Scene, Staff, Way, troubles, walk
from tests.faults.scenario import FaultScenario, lost_of
from tests.faults.system import SCARCE, System
from tests.faults.table import LONG
from tests.runbook import CommandFailed, follow, procedure

BEFORE, AFTER, DURING, SECONDS = (150, 300, 60, 15.0) if LONG else (6, 14, 4, 4.0)
"""Customers before the dump, in the gap that the restores lose, and while each service is restored; seconds over which
each group comes."""
RESTORED = len(SERVICES) if LONG else 1
"""How many services' databases; the seed says which."""
BROKEN_OFF = 3 if LONG else 1
"""How often each restore is killed before it ends."""
BACK_UP, RESTORE = "Back up", "Restore one database"
"""Headings of the procedures."""
WAYS = [way for way in PATHS if not way.store and not {SCARCE, "workshop"}.intersection(way.skus)]


@dataclass(frozen=True)
class Effects:
    """What the outside knows, each by what it should be the only one of."""

    charges: Mapping[str, int]
    """How many, by order."""
    refunds: Mapping[str, Collection[str]]
    """Stripe's ids, by order."""
    mails: Mapping[tuple[str, str], Collection[str]]
    """Message-IDs, by recipient and subject, one for each email."""
    webhooks: Mapping[tuple[str, str, str], Collection[str]]
    """`webhook-id`s, by receiver, event and order, one for each request."""
    codes: Mapping[tuple[str, str], Collection[str]]
    """By order and item."""


async def test_a_restored_database_does_nothing_twice(scenario: FaultScenario, tmp_path: Path) -> None:
    system, rng, began = scenario.system, random.Random(scenario.seed), time.monotonic()
    staff = await troubles(system, crowd(BEFORE) + crowd(AFTER) + crowd(DURING) * RESTORED)
    told = await customers(system, rng, BEFORE, staff)
    told += (await asyncio.gather(customers(system, rng, AFTER, staff), dump(system, tmp_path)))[0]
    by_http = given_over_http(system.edges)
    told += await walk(system, by_http)
    await system.at_rest()
    failures, lost, before, statuses = list[str](), list[str](), await effects(system), await ends(system)
    if LONG:
        await refused_while_workers_run(system, rng.choice(SERVICES), tmp_path)
    for service in rng.sample(SERVICES, RESTORED):
        restoring = restore(system, service, tmp_path, rng)
        more, printed = await asyncio.gather(customers(system, rng, DURING, staff), restoring)
        await system.at_rest()
        after = await effects(system)
        failures += [f"{service} restored: {what}" for what in differences(before, after)]
        failures += [f"{service} restored: {what}" for what in await numbers_given_twice(system)]
        found = [*lost_of(more), *changed(statuses, await ends(system)), *await misled(system)]
        lost += [f"{service} restored: {what}\n{printed}" for what in found]
        told, before = [*told, *more], after
    violated = await system.check()
    remark = f"{RESTORED} databases, {AFTER + len(by_http)} orders in the gap, {len(failures)} effects twice"
    scenario.table.add(
        "(o) databases restored, one after the other",
        len(told),
        len(lost),
        len(failures),
        time.monotonic() - began,
        remark,
    )
    assert not failures, "\n".join(failures)
    assert not lost, "\n".join(lost)
    assert violated == {}


async def cancelled_over_http(api: ApiClient, scene: Scene) -> None:
    await scene.buys(DECLINED_CARD)
    await scene.is_told_of_the_decline()
    await over_http(api, scene, "checkout", "cancel", {"reason": "By the form."})
    await scene.sees("cancelled")


async def refunded_over_http(api: ApiClient, scene: Scene) -> None:
    await scene.buys()
    await scene.sees("completed")
    await over_http(api, scene, "payments", "refund", {"amount": int(scene.order.latest["purchased"]) // 10})
    await scene.order.shows(
        lambda it: it.latest["payment_status"] == "partially_refunded", "a refund", within=scene.timeout
    )


async def shipped_over_http(api: ApiClient, scene: Scene) -> None:
    await scene.buys()
    await scene.order.shows(waits_for_a_parcel, "a parcel to send", within=scene.timeout)
    await over_http(api, scene, "fulfillment", "ship", {"carrier": "DHL", "tracking": f"JD{scene.order.id[-12:]}"})
    await scene.sees("completed")


def waits_for_a_parcel(order: Order) -> bool:
    return any(item["delivery"] == "waiting" for item in order.latest.get("items") or ())


async def declined_and_left(scene: Scene) -> None:
    await scene.buys(DECLINED_CARD)
    await scene.is_told_of_the_decline()


async def over_http(api: ApiClient, scene: Scene, service: str, what: str, body: Mapping[str, object]) -> None:
    await api.command(service, f"/orders/{scene.order.id}/{what}", body)


def given_over_http(api: ApiClient) -> list[Way]:
    cancelled, refunded = partial(cancelled_over_http, api), partial(refunded_over_http, api)
    return [
        Way("cancelled over HTTP", cancelled, ("print", "tides"), frozenset({"cancelled"}), declines=1),
        Way("refunded over HTTP", refunded),
        Way("shipped over HTTP", partial(shipped_over_http, api), ("atlas", "print")),
        Way("declined and left", declined_and_left, ("tides",), frozenset({"pending_payment"}), declines=1),
    ]


def crowd(number: int) -> list[Way]:
    return (WAYS * (number // len(WAYS) + 1))[:number]


async def customers(system: System, rng: random.Random, number: int, staff: Mapping[str, Staff]) -> list[Journey]:
    ways = crowd(number)
    rng.shuffle(ways)
    return await walk(system, ways, seconds=SECONDS, staff=staff)


# As an operator would


async def dump(system: System, folder: Path) -> None:
    """All databases, while the services work."""
    await asyncio.sleep(SECONDS / 4)
    for name in SERVICES:
        for line in procedure(BACK_UP):
            await follow(line, named(system, name, folder))


async def restore(system: System, service: str, folder: Path, rng: random.Random) -> str:
    """Stop all its workers, run the procedure, its last command killed at some moment and repeated, start them. Returns
    what `orderbus restore` printed."""
    workers = [worker for worker in system.services.workers if worker.service == service]
    for worker in workers:
        worker.restarting = False
        worker.kill()
    async with asyncio.timeout(30):
        while any(worker.pid for worker in workers):
            await asyncio.sleep(0.05)
    settings, (*restoring, catching_up) = named(system, service, folder), procedure(RESTORE)
    for line in restoring:
        await follow(line, settings)
    for _ in range(BROKEN_OFF):
        with suppress(CommandFailed):
            await follow(f"timeout --signal KILL {rng.uniform(1.0, 8.0):.2f} {catching_up}", settings)
    printed = await follow(catching_up, settings, within=240)
    for worker in workers:
        worker.restarting = True
    return printed


async def refused_while_workers_run(system: System, service: str, folder: Path) -> None:
    """Nothing was restored, and by mistake the command is given."""
    (*_, catching_up), settings = procedure(RESTORE), named(system, service, folder)
    with pytest.raises(CommandFailed, match="are still running"):
        await follow(catching_up, settings)
    connection = await asyncpg.connect(settings["DATABASE"])
    assert await connection.fetchval("select count(*) from restore_epoch") == 0
    await connection.close()


def named(system: System, service: str, folder: Path) -> dict[str, str]:
    """The names in the procedures."""
    programs = os.pathsep.join([str(find_programs()), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **{name: value for name, value in os.environ.items() if name != "ORDERBUS_CONFIG"},
        **system.stack.environment(),
        "PATH": programs,
        "SERVICE": service,
        "SERVER": system.stack.postgres.url("postgres"),
        "ROLE": OWNER,
        "DATABASE": system.stack.postgres.url(service),
        "BACKUPS": str(folder),
    }


# The outcome


async def effects(system: System) -> Effects:
    charges: defaultdict[str, int] = defaultdict(int)
    refunds: defaultdict[str, set[str]] = defaultdict(set)
    for intent in (await system.bank.books())["payment_intents"]:
        order = intent["metadata"].get("order", "")
        charges[order] += intent["effects"]["charges"]
        refunds[order] |= {refund["id"] for refund in intent["refunds"]}
    mails: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for mail in await all_mails(system):
        mails[", ".join(mail["to"]), mail["subject"]].append(mail["message_id"])
    webhooks: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name in await system.outside.hooks():
        for posted in await system.outside.received(name) if name.startswith(HOOK) else ():
            body = posted["body"]
            webhooks[name, body.partition('"data"')[0].partition('"timestamp"')[0], number_in(body)].append(
                posted["headers"]["webhook-id"]
            )
    return Effects(charges, refunds, mails, webhooks, await told_codes(system))


async def all_mails(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while some := (await system.outside.mails(after=len(found)))["mails"]:
        found += some
    return found


def number_in(body: str) -> str:
    return body.partition('"order_number":"')[2].partition('"')[0]


async def told_codes(system: System) -> dict[tuple[str, str], set[str]]:
    """Every code that fulfillment ever told, read from the beginning of its topic."""
    codes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    async with Follower(system.settings.kafka, [EVENTS], from_beginning=True, types={ItemDelivered.type}) as follower:
        async for batch in follower.batches():
            if not batch:
                return codes
            for record in batch:
                if code := record.body["instructions"].get("code"):
                    codes[record.key, record.body["item"]].add(code)
    raise AssertionError


async def ends(system: System) -> dict[str, str]:
    """Every order's status, as checkout knows it."""
    connection = await asyncpg.connect(system.stack.postgres.url("checkout"))
    try:
        rows = await connection.fetch("select key, status || ' ' || payment_status as end from orders")
        return {row["key"]: row["end"] for row in rows}
    finally:
        await connection.close()


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [f"{order} was {end}, is {after.get(order)}" for order, end in before.items() if after.get(order) != end]


def differences(before: Effects, after: Effects) -> list[str]:
    found = [
        f"{order}: charged {count} times instead of {before.charges.get(order, 1)}"
        for order, count in after.charges.items()
        if count > before.charges.get(order, 1)
    ]
    for what in ("refunds", "mails", "webhooks", "codes"):
        known: Mapping[object, Collection[str]] = getattr(before, what)
        for about, ids in getattr(after, what).items():
            if about in known and (more := Counter(ids) - Counter(known[about])):
                found.append(f"{what} of {about}: {sorted(known[about])} and then {sorted(more.elements())}")
    customers = {to for to, _ in before.mails if "grace" in to}
    found += [
        f"a mail more to {to}: {subject}" for to, subject in set(after.mails) - set(before.mails) if to in customers
    ]
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for about, codes in after.codes.items():
        for code in codes:
            owners[code].add(about)
    return [*found, *(f"code {code} for {sorted(map(str, some))}" for code, some in owners.items() if len(some) > 1)]


async def numbers_given_twice(system: System) -> list[str]:
    """Facts of one key from one service that have the same number."""
    given: defaultdict[tuple[str, str, int], set[UUID]] = defaultdict(set)
    for topic in (topic.name for topic in TOPICS if topic.name.endswith(".events.v1")):
        async with Topics(system.settings.kafka, [topic]) as topics:
            async for records in topics.read(topics.first):
                for record in records:
                    with suppress(BadMessage):  # another fault's garbage
                        seen = read(record, topic)
                        if seen.sequence and seen.kind and not issubclass(seen.kind, Refusal):
                            given[seen.source, seen.key, seen.sequence].add(seen.id)
    return [f"{who}: given to {sorted(map(str, ids))}" for who, ids in given.items() if len(ids) > 1]


async def misled(system: System) -> list[str]:
    """Orders of which a reader of the status topic that skips old revisions, as documented, believes something else
    than checkout."""
    believed: dict[str, dict[str, Any]] = {}
    async with Follower(system.settings.kafka, [STATUS], from_beginning=True) as follower:
        async for batch in follower.batches():
            if not batch:
                break
            for record in batch:
                known = believed.get(record.key)
                if known is None or record.body["revision"] > known["revision"]:
                    believed[record.key] = dict(record.body)
    truth = await ends(system)
    told = {order: f"{body['status']} {body['payment_status']}" for order, body in believed.items()}
    return [
        f"{order} is {end}, a reader believes {told.get(order)}"
        for order, end in truth.items()
        if told.get(order) != end
    ]
