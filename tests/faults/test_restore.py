"""A service's database is restored to an earlier point, as docs/operations.md says: nothing is done a second time.

    dump every database ─► more orders ─► for each service: stop it, restore, set its group back, start it ─► compare

What may happen once per order (a charge, a refund, a code) and once per identity (a mail, a webhook) is counted at the
outside: at the Stripe sandbox, the mail server, the receivers, and in what fulfillment told on its topic.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.check.reclaim import reclaim
from deploy.client.storefront import Follower
from deploy.demo.catalogue import HOOK
from deploy.devstack.postgres import OWNER, find_programs
from deploy.devstack.processes import Worker
from services.registry import SERVICES
from shared.contracts.fulfillment import EVENTS, ItemDelivered
from shared.shell.kafka.source import close_client, connection
from tests.faults.paths import PATHS, Journey, Staff, Way, troubles, walk
from tests.faults.scenario import FaultScenario, lost_of
from tests.faults.system import SCARCE, System
from tests.faults.table import LONG

BEFORE, AFTER, DURING, SECONDS = (150, 300, 60, 15.0) if LONG else (6, 14, 4, 4.0)
"""Customers before the dump, in the gap that the restores lose, and while each service is restored; seconds over which
each group comes."""
RESTORED = len(SERVICES) if LONG else 2
"""How many services' databases; the seed says which."""
EARLIER = timedelta(seconds=5)
"""Before the dump: where the group is set back to."""
WAYS = [way for way in PATHS if not way.store and not {SCARCE, "workshop"}.intersection(way.skus)]


@dataclass(frozen=True)
class Effects:
    """What the outside knows, each by what it should be the only one of."""

    charges: Mapping[str, int]
    """How many, by order."""
    refunds: Mapping[str, Collection[str]]
    """Stripe's ids, by order."""
    mails: Mapping[tuple[str, str], Collection[str]]
    """Message-IDs, by recipient and subject."""
    webhooks: Mapping[tuple[str, str, str], Collection[str]]
    """`webhook-id`s, by receiver, event and order."""
    codes: Mapping[tuple[str, str], Collection[str]]
    """By order and item."""


async def test_a_restored_database_does_nothing_twice(scenario: FaultScenario, tmp_path: Path) -> None:
    system, rng, began = scenario.system, random.Random(scenario.seed), time.monotonic()
    # By HTTP, which a restored database does not hear again: everything before the dump.
    staff = await troubles(system, crowd(BEFORE) + crowd(AFTER) + crowd(DURING) * RESTORED)
    told = await customers(system, rng, BEFORE, staff)
    dumped_at = datetime.now(UTC)
    told += (await asyncio.gather(customers(system, rng, AFTER, staff), dump(system, tmp_path)))[0]
    await system.at_rest()
    failures, lost, before, statuses = list[str](), list[str](), await effects(system), await ends(system)
    for service in rng.sample(SERVICES, RESTORED):
        restoring = restore(system, service, tmp_path, dumped_at - EARLIER)
        more = (await asyncio.gather(customers(system, rng, DURING, staff), restoring))[0]
        await system.at_rest()
        after = await effects(system)
        failures += [f"{service} restored: {what}" for what in differences(before, after)]
        lost += [f"{service} restored: {what}" for what in (*lost_of(more), *changed(statuses, await ends(system)))]
        told, before = [*told, *more], after
    remark = f"{RESTORED} databases, {AFTER} orders in the gap, {len(failures)} effects twice"
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
        await program("pg_dump", "--format=custom", f"--file={folder / name}", system.stack.postgres.url(name))


async def restore(system: System, service: str, folder: Path, moment: datetime) -> None:
    workers = [worker for worker in system.services.workers if worker.service == service]
    for worker in workers:
        worker.restarting = False
        worker.kill()
    async with asyncio.timeout(30):
        while any(worker.pid for worker in workers):
            await asyncio.sleep(0.05)
    admin = await asyncpg.connect(system.stack.postgres.url("postgres"))
    await admin.execute(f'drop database "{service}" with (force)')
    await admin.execute(f'create database "{service}" owner {OWNER}')
    await admin.close()
    await program("pg_restore", f"--dbname={system.stack.postgres.url(service)}", str(folder / service))
    await set_group_back(system, service, moment)
    if service == "fulfillment":
        reclaimed = await reclaim(system.settings.kafka, system.stack.postgres.url(service))
        assert reclaimed.reclaimed, "the gap has orders with codes"
        assert not reclaimed.nowhere
    await caught_up(system, workers[0])
    for worker in workers:
        worker.restarting = True


async def caught_up(system: System, worker: Worker) -> None:
    """Run one worker alone until it has read everything again."""
    worker.more_arguments, worker.restarting = ("--catch-up",), True
    async with asyncio.timeout(90):
        await everything_read(system, worker)
    worker.more_arguments, worker.restarting = (), False
    worker.kill(signal.SIGTERM)
    while worker.pid:
        await asyncio.sleep(0.05)


async def everything_read(system: System, worker: Worker) -> None:
    """Until it is ready, nothing is left to read, and nothing was read for as long as gauges are old."""
    before, since = -1, 0.0
    while True:
        await asyncio.sleep(0.5)
        if await system.edges.ready(worker.service):
            continue
        count = await system.value(worker.service, "select count(*) from inbox")
        if count != before:
            before, since = count, time.monotonic()
        elif time.monotonic() - since > 5.5 and not (await system.edges.metrics(worker.service)).get("orderbus_lag", 1):
            return


async def program(name: str, *arguments: str) -> None:
    command = [str(find_programs() / name), *arguments]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


async def set_group_back(system: System, group: str, moment: datetime) -> None:
    """As `kafka-consumer-groups.sh --reset-offsets --to-datetime`: once its last member has left the group."""
    kafka = connection(system.settings.kafka)
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    places: Sequence[TopicPartition] = list(await admin.list_consumer_group_offsets(group))
    await admin.close()
    consumer = AIOKafkaConsumer(**kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        found = await consumer.offsets_for_times({place: int(moment.timestamp() * 1000) for place in places})
        offsets = {place: at.offset for place, at in found.items() if at is not None}
        async with asyncio.timeout(60):
            while True:
                with suppress(KafkaError):
                    await consumer.commit(offsets)
                    return
                await asyncio.sleep(0.5)
    finally:
        await close_client(consumer)


# The outcome


async def effects(system: System) -> Effects:
    charges: defaultdict[str, int] = defaultdict(int)
    refunds: defaultdict[str, set[str]] = defaultdict(set)
    for intent in (await system.bank.books())["payment_intents"]:
        order = intent["metadata"].get("order", "")
        charges[order] += intent["effects"]["charges"]
        refunds[order] |= {refund["id"] for refund in intent["refunds"]}
    mails: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for mail in await all_mails(system):
        mails[", ".join(mail["to"]), mail["subject"]].add(mail["message_id"])
    webhooks: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for name in await system.outside.hooks():
        for posted in await system.outside.received(name) if name.startswith(HOOK) else ():
            body = posted["body"]
            webhooks[name, body.partition('"data"')[0].partition('"timestamp"')[0], number_in(body)].add(
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
            if about in known and (more := set(ids) - set(known[about])):
                found.append(f"{what} of {about}: {sorted(known[about])} and then {sorted(more)}")
    customers = {to for to, _ in before.mails if "grace" in to}
    found += [
        f"a mail more to {to}: {subject}" for to, subject in set(after.mails) - set(before.mails) if to in customers
    ]
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for about, codes in after.codes.items():
        for code in codes:
            owners[code].add(about)
    return [*found, *(f"code {code} for {sorted(map(str, some))}" for code, some in owners.items() if len(some) > 1)]
