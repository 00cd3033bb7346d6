"""What orderbus stands on breaks while orders flow: nothing is lost, nobody is charged twice, everything comes to rest.

Each test sends the same mixed crowd through the shop, breaks something meanwhile, and asks every invariant at the end.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest_asyncio

from deploy.processes import SERVICES
from shared.shell.kafka import SESSION_SECONDS
from tests.faults.conftest import LONG
from tests.faults.paths import PATHS, Told, Way, tell
from tests.faults.system import System

ORDERS, SECONDS = (2000, 100.0) if LONG else (48, 8.0)
OUTAGE = 60.0 if LONG else 5.0
"""Seconds that a receiver stays away."""
Break = Callable[[], Awaitable[None]]
table: list[str] = []


@pytest_asyncio.fixture(scope="session", autouse=True)
async def printed_table() -> AsyncIterator[None]:
    yield
    print("\n" + "\n".join(["fault                                      orders  lost  twice  seconds", *table]))


async def nothing() -> None:
    pass


async def survives(
    system: System, what: str, seed: int, break_it: Break, mend: Break = nothing, ways: Sequence[Way] = PATHS
) -> None:
    """Half of the orders are on their way when it breaks, the others come later; `mend` when all stories are told."""
    chance, began = random.Random(seed), time.monotonic()
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
    table.append(f"{what:<42} {len(told):>6} {len(lost):>5} {len(twice):>6} {time.monotonic() - began:>8.0f}")
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


async def test_kafka_is_killed_and_comes_back(system: System, seed: int) -> None:
    async def break_it() -> None:
        kafka = system.stack.kafka
        assert kafka.child
        kafka.child.kill()
        await kafka.child.wait()
        await asyncio.sleep(1)
        await kafka.start()

    await survives(system, "(b) SIGKILL of Kafka, restart", seed, break_it)


async def test_postgresql_is_shut_down_at_once_and_comes_back(system: System, seed: int) -> None:
    async def break_it() -> None:
        postgres = system.stack.postgres
        assert postgres.child
        postgres.child.kill(signal.SIGQUIT)  # "immediate": no checkpoint, recovery at the next start
        await postgres.child.wait()
        await asyncio.sleep(1)
        await postgres.start()

    await survives(system, "(c) immediate shutdown of PostgreSQL", seed, break_it)


async def test_a_worker_freezes_for_longer_than_its_session(system: System, seed: int) -> None:
    """Its partitions go to the other worker meanwhile; what it was about to write must not count twice."""
    frozen = [system.services.worker(service, index) for index, service in enumerate(("payments", "checkout"))]

    async def break_it() -> None:
        for worker in frozen:
            worker.kill(signal.SIGSTOP)
        await asyncio.sleep(SESSION_SECONDS + 3)
        for worker in frozen:
            worker.kill(signal.SIGCONT)

    await survives(system, "(d) SIGSTOP beyond the session, SIGCONT", seed, break_it)


FAULTS = (
    {"kind": "close_after", "chance": 0.3, "count": None, "match": {"method": "POST"}},
    {"kind": "error_after", "chance": 0.1, "count": None, "match": {"method": "POST"}},
    {"kind": "rate_limit", "chance": 0.1, "count": None, "retry_after": 0.5},
    {"kind": "error", "chance": 0.1, "count": None},
    {"kind": "webhook_duplicate", "copies": 3, "count": None},
    {"kind": "webhook_shuffle", "count": None, "milliseconds": 500},
)


async def test_stripe_loses_answers_and_repeats_its_webhooks_in_disorder(system: System, seed: int) -> None:
    for fault in FAULTS:  # from the first order to the last
        await system.bank.plant(fault)
    await survives(system, "(e) Stripe: lost answers, 429, 500, webhooks", seed, nothing, system.bank.relent)


async def test_mail_and_webhook_receivers_are_down_for_a_while(system: System, seed: int) -> None:
    async def break_it() -> None:
        outside = system.stack.outside
        assert outside.child
        outside.child.kill()
        await asyncio.sleep(OUTAGE)
        await outside.child.wait()
        await outside.start()

    ways = [way for way in PATHS if "workshop" not in way.skus]  # the booking desk would forget that it refuses
    await survives(system, "(f) mail and webhook receivers down", seed, break_it, ways=ways)


async def test_every_worker_is_restarted_in_turn_under_load(system: System, seed: int) -> None:
    """As a deployment does it: the first worker of every service, then the second."""

    async def break_it() -> None:
        for index in sorted({worker.index for worker in system.services.workers}):
            turn = [system.services.worker(service, index) for service in SERVICES]
            before = {worker.name: worker.pid for worker in turn}
            for worker in turn:
                worker.kill(signal.SIGTERM)
            async with asyncio.timeout(60):
                while any(worker.pid in (None, before[worker.name]) for worker in turn):
                    await asyncio.sleep(0.05)
                await system.services.until_ready()

    await survives(system, "(h) rolling restart of every worker", seed, break_it)
