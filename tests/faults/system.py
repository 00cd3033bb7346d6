"""orderbus whole, on a folder of its own, with a shop open on it: what the fault tests break and watch recover.

async with running_system(folder, workers=2) as system:
    system.services.worker("payments").kill()
    await system.at_rest()
    assert (await system.check()) == {}
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from deploy.check import run as check
from deploy.client.http import ApiClient, Problem
from deploy.demo import catalogue
from deploy.demo.catalogue import Catalogue, Product
from deploy.demo.shop import Shop
from deploy.devstack.processes import Services
from deploy.devstack.services import running_services
from deploy.devstack.stack import Stack
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from deploy.settings import load_all_settings
from services.registry import SERVICES
from shared.settings import Settings
from tests.faults.table import LONG

GRACE = {"hasty": "PT4S", "hesitant": "PT90S" if LONG else "PT60S"}
"""Stores where a reservation does not last long; the second still long enough to hear of a decline meanwhile."""
HASTY, HESITANT = GRACE
SCARCE = "scarce"
"""The SKU whose code pool is empty until staff fill it."""
CODES = 40_000 if LONG else 5000
"""In each pool: more than a quick machine's customers buy."""
PRESSING = 90.0
"""Seconds."""


class Bank(StripeSandbox):
    """Its customers press the button again when the bank's page has trouble of its own."""

    async def authenticate(self, page: str, *, passed: bool) -> None:
        async with asyncio.timeout(PRESSING):
            while True:
                try:
                    return await super().authenticate(page, passed=passed)
                except Problem as problem:
                    if problem.status < 500:
                        raise
                await asyncio.sleep(1)


STUCK = ("parked", "undeliverable", "in doubt", "unresolved payment", "unresolved refund")
"""What no fault may leave behind for staff."""


@dataclass
class System:
    stack: Stack
    services: Services
    settings: Settings
    edges: ApiClient
    outside: OutsideWorld
    bank: StripeSandbox
    catalogue: Catalogue
    shop: Shop

    async def at_rest(self, within: float = 120.0) -> None:
        """Wait until every worker is there, nothing is to be sent or called, and nothing changed for two seconds."""
        try:
            async with asyncio.timeout(within):
                await self.services.until_ready()
                while True:
                    if not await self._under_way():
                        await self._unchanged()
                        if not await self._under_way():
                            return
                    await self._hurry()
                    await asyncio.sleep(1.0)
        except TimeoutError:
            raise AssertionError(f"not at rest after {within:g} s: {await self._waiting()}") from None

    async def _hurry(self) -> None:
        """With back-off, a call that failed nine times waits for minutes: here they are over at once."""
        for name in SERVICES:
            await self.execute(
                name,
                "update operations set due = clock_timestamp() "
                "where leased_by = '' and due > clock_timestamp() + interval '2 seconds'",
            )

    async def _waiting(self) -> list[str]:
        """What is still to be sent or called, for a failure's text."""
        query = (
            "select string_agg(what, ', ') from (select count(*) || ' rows of the outbox' as what from outbox "
            "union all select kind || ' of ' || key || ', attempt ' || attempts from operations limit 5) waiting"
        )
        return [f"{name}: {await self.value(name, query)}" for name in SERVICES]

    async def _under_way(self) -> int:
        return sum(
            [
                await self.value(name, "select (select count(*) from outbox) + (select count(*) from operations)")
                for name in SERVICES
            ]
        )

    async def _unchanged(self) -> None:
        """Until no inbox took anything for two seconds: then nothing is in Kafka that a service has not seen."""
        before, still = -1, 0
        while still < 4:
            now = sum([await self.value(name, "select count(*) from inbox") for name in SERVICES])
            still, before = (still + 1 if now == before else 0), now
            await asyncio.sleep(0.5)

    async def value(self, service: str, query: str) -> Any:
        connection = await asyncpg.connect(self.stack.postgres.url(service))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def execute(self, service: str, statement: str) -> None:
        connection = await asyncpg.connect(self.stack.postgres.url(service))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def check(self) -> dict[str, list[str]]:
        """Violated invariants by name; empty when everything holds."""
        report = await check.check(self.settings)
        stuck = [entry for entry in report.attention if entry[1].what in STUCK]
        assert not stuck, stuck
        return {name: broken for name, broken in report.invariants.items() if broken}


@contextlib.asynccontextmanager
async def running_system(folder: Path, workers: int = 1, brokers: int = 1) -> AsyncIterator[System]:
    async with AsyncExitStack() as open_things:
        stack = await open_things.enter_async_context(Stack(folder, brokers=brokers))
        services = await open_things.enter_async_context(running_services(stack, workers))
        settings = settings_of(stack.environment())
        edges = await open_things.enter_async_context(ApiClient.of(settings))
        outside = await open_things.enter_async_context(OutsideWorld(stack.outside_url, stack.secrets.outside_token))
        bank = await open_things.enter_async_context(Bank(stack.stripe_url, stack.secrets.stripe_control_token))
        shipped = offer(stack.outside_url)
        await catalogue.open_shop(edges, outside, shipped)
        shop = await open_things.enter_async_context(Shop(settings, shipped))
        yield System(stack, services, settings, edges, outside, bank, shipped, shop)


def offer(outside_url: str) -> Catalogue:
    """The shipped catalogue in stores where payment may wait and others, and a pool without codes."""
    shipped = catalogue.load(outside_url, codes=CODES)
    store = shipped.stores[shipped.main]
    products = dict(shipped.products)
    products[SCARCE] = Product(SCARCE, "A rare code", {"EUR": 900}, {"kind": "code", "pool": SCARCE})
    store = {**store, "payment_cool_down": "PT0S"}
    passing = {name: {**store, "grace": grace} for name, grace in GRACE.items()}
    return Catalogue({"lasting": store, **passing}, products, shipped.delivery)


def settings_of(environment: Mapping[str, str]) -> Settings:
    with _environment(environment):
        return load_all_settings()


@contextlib.contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
