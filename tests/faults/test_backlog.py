"""A service starts after a long time, with a large backlog of messages."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import psutil

from deploy.client.storefront import uuid7
from deploy.demo.basket import checkout, person
from deploy.devstack.processes import Services, Worker
from shared.contracts.envelope import encode
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted
from shared.core import Message
from tests.faults.paths import PATHS, walk
from tests.faults.scenario import FaultScenario
from tests.faults.system import System
from tests.faults.table import LONG

MESSAGES, ORDERS = (100_000, 200) if LONG else (5_000, 16)
TRIES = 4
"""How often each customer presses "buy" with a wrong sum: read, checked against store and prices, and refused."""
LIMIT_MB = 150
DRAINED_WITHIN = 300.0


async def test_a_service_starts_with_a_backlog(scenario: FaultScenario) -> None:
    """Checkout's own, of checkouts opened and refused: real decisions, rows, timers and events, but no mail or webhook,
    whose receivers would set the pace (200 mails/s). Customers who buy come behind it."""
    system, began = scenario.system, time.monotonic()
    workers = [worker for worker in system.services.workers if worker.service == "checkout"]
    async with away(workers):
        pile = await pile_up(system, MESSAGES // (1 + TRIES))
        seen = [worker.log.stat().st_size for worker in workers]
    crowd = random.Random(scenario.seed).choices([way for way in PATHS if way.ends == {"completed"}], k=ORDERS)
    back = time.monotonic()
    async with memory_of(system.services) as peak:
        behind = asyncio.create_task(walk(system, crowd))
        await drained(system, pile)
        rate = MESSAGES / (time.monotonic() - back)
        told = await behind
        await system.at_rest()
    memberships = [membership(worker, since) for worker, since in zip(workers, seen, strict=True)]
    joined = [sum(line["event"] == "partitions assigned" for line in lines) for lines in memberships]
    largest = max(peak.mb, key=lambda name: peak.mb[name])
    memory = f"peak {peak.mb[largest]:.0f} MB ({largest})"
    remark = f"{MESSAGES} messages, {rate:.0f}/s, {memory}, shares given out {joined} times"
    await scenario.ends_well("(i) backlog at the start", told, began, remark)
    assert peak.mb[largest] <= LIMIT_MB, peak.mb
    # The first to start gets all partitions, and a part of them when the other one comes. Where another part of the
    # tests runs at the same time, a member may be late for its group for that reason.
    assert not LONG or max(joined) <= 2, memberships


@contextlib.asynccontextmanager
async def away(workers: list[Worker]) -> AsyncIterator[None]:
    """Stopped as for a deployment, and started again at the end."""
    for worker in workers:
        worker.restarting = False
        worker.kill(15)
    async with asyncio.timeout(30):
        while any(worker.pid for worker in workers):
            await asyncio.sleep(0.05)
    try:
        yield
    finally:
        for worker in workers:
            worker.restarting = True


@dataclass(frozen=True)
class Backlog:
    """The orders that it opens, and the ids of all its messages."""

    orders: list[str]
    messages: list[str]


async def pile_up(system: System, orders: int) -> Backlog:
    """Every order is opened and then submitted TRIES times, never rightly."""
    store, pile = system.catalogue.main, Backlog([str(uuid7()) for _ in range(orders)], [])
    opens = encode(CheckoutOpened(store=store, currency="EUR", country="DE"))
    right = checkout(system.catalogue, store, person("Jim Gray", "backlog"), [("atlas", 1), ("print", 2)])
    wrong = encode(right.model_copy(update={"total": right.total + 1}))
    each: list[tuple[type[Message], bytes]] = [(CheckoutOpened, opens), *[(CheckoutSubmitted, wrong)] * TRIES]
    publish = system.shop.storefront.publish_body
    for some in (pile.orders[start : start + 500] for start in range(0, orders, 500)):
        for kind, body in each:
            sent = await asyncio.gather(*(publish(kind, body, id, store=store) for id in some))
            pile.messages.extend(published.id for published in sent)
    return pile


async def drained(system: System, pile: Backlog) -> None:
    """Until every message of the backlog is in the inbox; then every order of it exists."""
    async with asyncio.timeout(DRAINED_WITHIN):
        while await between(system, "inbox", "message_id", pile.messages) < len(pile.messages):
            await asyncio.sleep(1.0)
    assert await between(system, "orders", "key", pile.orders) == len(pile.orders)


async def between(system: System, table: str, column: str, ids: list[str]) -> int:
    """How many rows there are from the first id to the last: ids sort by time, and no others were made meanwhile. Only
    the time is compared, since the inbox has the source mixed with the rest."""
    first, last = f"{min(ids)[:18]}-0000-000000000000", f"{max(ids)[:18]}-ffff-ffffffffffff"
    query = f"select count(*) from {table} where {column} between '{first}' and '{last}'"
    return int(await system.value("checkout", query))


@dataclass
class Peak:
    """The highest resident memory of each worker, MB."""

    mb: dict[str, float] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def memory_of(services: Services) -> AsyncIterator[Peak]:
    peak = Peak()

    async def look() -> None:
        while True:
            for worker in services.workers:
                with contextlib.suppress(psutil.Error):
                    mb = psutil.Process(worker.pid).memory_info().rss / 1e6 if worker.pid else 0.0
                    peak.mb[worker.name] = max(mb, peak.mb.get(worker.name, 0.0))
            await asyncio.sleep(0.25)

    looking = asyncio.create_task(look())
    try:
        yield peak
    finally:
        looking.cancel()


def membership(worker: Worker, since: int) -> list[dict[str, Any]]:
    """What its log says of its place in the group."""
    lines = [orjson.loads(line) for line in worker.log.read_bytes()[since:].splitlines() if line.startswith(b"{")]
    return [line for line in lines if "partitions" in line.get("event", "") or "group" in line.get("event", "")]
