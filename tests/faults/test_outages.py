"""What orderbus stands on breaks while orders flow: nothing is lost, nobody is charged twice, everything comes to rest.

Each test sends the same mixed crowd through the shop, breaks something meanwhile, and asks every invariant at the end.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from deploy.processes import SERVICES
from shared.shell.kafka import SESSION_SECONDS
from tests.faults.conftest import LONG, Table
from tests.faults.paths import PATHS, Told, Way, tell
from tests.faults.system import System

ORDERS, SECONDS = (2000, 100.0) if LONG else (32, 6.0)
OUTAGE = 60.0 if LONG else 5.0
"""Seconds that a receiver stays away."""
Break = Callable[[], Awaitable[None]]


async def nothing() -> None:
    pass


@dataclass(frozen=True)
class Ordeal:
    """What every test here needs: the running system, the table, the seed."""

    system: System
    table: Table
    seed: int


@pytest.fixture
def ordeal(system: System, table: Table, seed: int) -> Ordeal:
    return Ordeal(system, table, seed)


async def survives(
    ordeal: Ordeal, what: str, break_it: Break, mend: Break = nothing, ways: Sequence[Way] = PATHS
) -> None:
    """Half of the orders are on their way when it breaks, the others come later; `mend` when all stories are told."""
    system, chance, began = ordeal.system, random.Random(ordeal.seed), time.monotonic()
    crowd = (list(ways) * (ORDERS // len(ways) + 1))[:ORDERS]
    chance.shuffle(crowd)

    async def later() -> None:
        await asyncio.sleep(SECONDS / 2)
        await break_it()

    async with asyncio.TaskGroup() as group:
        group.create_task(later())
        telling = group.create_task(tell(system, crowd, seconds=SECONDS))
    told = telling.result()
    await mend()
    await system.at_rest()
    lost, twice = await _lost(system, told), await _charged_twice(system, told)
    ordeal.table.add(what, len(told), len(lost), len(twice), time.monotonic() - began)
    assert not lost, "\n".join(lost)
    assert not twice, "\n".join(twice)
    assert await system.check() == {}


async def _lost(system: System, told: list[Told]) -> list[str]:
    found = []
    for it in told:
        status = (await system.edges.order(it.order.id))["status"]
        if it.trouble or status not in it.path.ends:
            found.append(f"{it.path.name} {it.order.id} ended as {status}. {it.trouble}")
    return found


async def _charged_twice(system: System, told: list[Told]) -> list[str]:
    ours = {it.order.id for it in told}
    charges: dict[str, int] = {}
    for intent in (await system.bank.books())["payment_intents"]:
        order = intent["metadata"].get("order", "")
        charges[order] = charges.get(order, 0) + intent["effects"]["charges"]
    return [f"{order}: {count} charges" for order, count in charges.items() if order in ours and count > 1]


async def test_kafka_is_killed_and_comes_back(ordeal: Ordeal) -> None:
    async def break_it() -> None:
        kafka = ordeal.system.stack.kafka
        assert kafka.child
        kafka.child.kill()
        await kafka.child.wait()
        await asyncio.sleep(1)
        await kafka.start()

    await survives(ordeal, "(b) SIGKILL of Kafka, restart", break_it)


async def test_postgresql_is_shut_down_at_once_and_comes_back(ordeal: Ordeal) -> None:
    async def break_it() -> None:
        postgres = ordeal.system.stack.postgres
        assert postgres.child
        postgres.child.kill(signal.SIGQUIT)  # "immediate": no checkpoint, recovery at the next start
        await postgres.child.wait()
        await asyncio.sleep(1)
        await postgres.start()

    await survives(ordeal, "(c) immediate shutdown of PostgreSQL", break_it)


async def test_a_worker_freezes_for_longer_than_its_session(ordeal: Ordeal) -> None:
    """Its partitions go to the other worker meanwhile; what it was about to write must not count twice."""
    frozen = [ordeal.system.services.worker(service, index) for index, service in enumerate(("payments", "checkout"))]

    async def break_it() -> None:
        for worker in frozen:
            worker.kill(signal.SIGSTOP)
        await asyncio.sleep(SESSION_SECONDS + 3)
        for worker in frozen:
            worker.kill(signal.SIGCONT)

    await survives(ordeal, "(d) SIGSTOP beyond the session, SIGCONT", break_it)


FAULTS = (
    {"kind": "close_after", "chance": 0.3, "count": None, "match": {"method": "POST"}},
    {"kind": "error_after", "chance": 0.1, "count": None, "match": {"method": "POST"}},
    {"kind": "rate_limit", "chance": 0.1, "count": None, "retry_after": 0.5},
    {"kind": "error", "chance": 0.1, "count": None},
    {"kind": "webhook_duplicate", "copies": 3, "count": None},
    {"kind": "webhook_shuffle", "count": None, "milliseconds": 500},
)


async def test_stripe_loses_answers_and_repeats_its_webhooks_in_disorder(ordeal: Ordeal) -> None:
    for fault in FAULTS:  # from the first order to the last
        await ordeal.system.bank.plant(fault)
    await survives(ordeal, "(e) Stripe: lost answers, 429, 500, webhooks", nothing, ordeal.system.bank.relent)


async def test_mail_and_webhook_receivers_are_down_for_a_while(ordeal: Ordeal) -> None:
    async def break_it() -> None:
        outside = ordeal.system.stack.outside
        assert outside.child
        outside.child.kill()
        await asyncio.sleep(OUTAGE)
        await outside.child.wait()
        await outside.start()

    ways = [way for way in PATHS if "workshop" not in way.skus]  # the booking desk would forget that it refuses
    await survives(ordeal, "(f) mail and webhook receivers down", break_it, ways=ways)


async def test_every_worker_is_restarted_in_turn_under_load(ordeal: Ordeal) -> None:
    """As a deployment does it: the first worker of every service, then the second."""

    async def break_it() -> None:
        for index in sorted({worker.index for worker in ordeal.system.services.workers}):
            turn = [ordeal.system.services.worker(service, index) for service in SERVICES]
            before = {worker.name: worker.pid for worker in turn}
            for worker in turn:
                worker.kill(signal.SIGTERM)
            async with asyncio.timeout(60):
                while any(worker.pid in (None, before[worker.name]) for worker in turn):
                    await asyncio.sleep(0.05)
                await ordeal.system.services.until_ready()

    await survives(ordeal, "(h) rolling restart of every worker", break_it)
