"""For minutes the payment provider carries out what it is asked, but neither its answers nor its callbacks arrive.

No customer may be told "declined" about a charge that was carried out: they would pay again. Nor may staff be
told that a refund failed which went through.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from deploy.client.storefront import Follower, Read
from shared.contracts.checkout import ORDERS, OrderPaymentDeclined, OrderRefundFailed
from tests.faults.paths import PATHS, Scene, Way, walk
from tests.faults.scenario import FaultScenario, charged_twice
from tests.faults.system import System
from tests.faults.table import LONG

CUSTOMERS, SECONDS = (640, 320.0) if LONG else (48, 12.0)
"""How many come, and within how many seconds."""
OUTAGE, BEFORE = (300.0, 10.0) if LONG else (40.0, 3.0)
"""Seconds: how long it lasts, and of business as usual before it."""
TIMEOUT = OUTAGE + 90
LOST = ("/v1/payment_intents", "/v1/refunds")
TRIES = 5
"""How often a customer pays again."""


@dataclass
class Letters:
    """What customers and staff are told about payments. Who is told that a good card was declined pays again."""

    system: System
    meant: dict[str, int] = field(default_factory=dict)
    """By order, how many of its payments are meant to be declined."""
    declined: set[tuple[str, int]] = field(default_factory=set)
    """Order and attempt."""
    refunds_failed: set[tuple[str, str]] = field(default_factory=set)
    """Order and refund."""

    def on(self, way: Way) -> Way:
        """The way, walked by a customer who reads letters."""

        async def walk_it(scene: Scene) -> None:
            self.meant[scene.order.id] = way.declines
            await way.walk(scene)

        return replace(way, walk=walk_it)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Read while the body runs."""
        types = {OrderPaymentDeclined.type, OrderRefundFailed.type}
        async with Follower(self.system.settings.kafka, [ORDERS], types=types) as follower:
            reading = asyncio.create_task(self._read(follower))
            try:
                yield
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading

    async def _read(self, follower: Follower) -> None:
        async for record in follower.records():
            if record.type == OrderRefundFailed.type:
                self.refunds_failed.add((record.key, record.body["refund"]))
            elif record.key in self.meant:
                await self._declined(record)

    async def _declined(self, record: Read) -> None:
        attempt = int(record.body["attempt"])
        if (record.key, attempt) in self.declined:
            return
        self.declined.add((record.key, attempt))
        if self.meant[record.key] < attempt <= TRIES:
            await self.system.shop.orders[record.key].pays_again()


async def test_answers_of_the_provider_are_lost_for_minutes(scenario: FaultScenario) -> None:
    system, rng, began = scenario.system, random.Random(scenario.seed), time.monotonic()
    letters = Letters(system)
    crowd = ([letters.on(way) for way in PATHS] * (CUSTOMERS // len(PATHS) + 1))[:CUSTOMERS]
    rng.shuffle(crowd)

    async with letters.read():
        async with asyncio.TaskGroup() as group:
            group.create_task(outage(system))
            walking = group.create_task(walk(system, crowd, seconds=SECONDS, timeout=TIMEOUT))
        with contextlib.suppress(AssertionError):  # said below, with all else that is wrong
            await system.at_rest()

    books = (await system.bank.books())["payment_intents"]
    told_wrongly = sorted(letters.declined & set(charges(books)))
    refunded_wrongly = sorted(letters.refunds_failed & set(refunds(books)))
    twice = await charged_twice(system, walking.result())
    remark = (
        f"{len(told_wrongly)} told of a decline though charged, {len(refunded_wrongly)} of a failed refund though done"
    )
    await scenario.ends_well("(k) Stripe's answers and callbacks lost", walking.result(), began, remark)
    assert not told_wrongly
    assert not refunded_wrongly
    assert not twice


async def outage(system: System) -> None:
    await asyncio.sleep(BEFORE)
    await system.bank.hold_webhooks()
    for path in LOST:
        await system.bank.inject({"kind": "close_after", "count": None, "match": {"method": "POST", "path": path}})
    await asyncio.sleep(OUTAGE)
    await system.bank.clear_fault()
    await system.bank.release_webhooks("shuffled")


def charges(books: list[dict[str, object]]) -> Iterator[tuple[str, int]]:
    """Order and attempt of every charge that was carried out."""
    for intent in books:
        metadata, effects = intent["metadata"], intent["effects"]
        assert isinstance(metadata, dict) and isinstance(effects, dict)
        if effects["charges"] and metadata.get("attempt"):
            yield metadata["order"], int(metadata["attempt"])


def refunds(books: list[dict[str, object]]) -> Iterator[tuple[str, str]]:
    """Order and id of every refund that stands."""
    for intent in books:
        metadata, made = intent["metadata"], intent["refunds"]
        assert isinstance(metadata, dict) and isinstance(made, list)
        for refund in made:
            if refund["status"] in ("succeeded", "pending"):
                yield metadata["order"], refund["metadata"].get("refund", "")
