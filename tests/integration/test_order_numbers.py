"""No two orders share a number, also when two workers place them: on PostgreSQL, and on the simulation's store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from services.checkout.app import checkout_service
from services.checkout.domain import placement
from services.checkout.domain.numbers import order_number
from services.checkout.domain.order import Order
from services.checkout.settings import CheckoutSettings
from services.checkout.storage import storage
from shared.core import Message, codec, derived_id
from shared.shell.batch.batcher import Batcher
from shared.shell.batch.leases import NoCapacity
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.observability.metrics import Metrics
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.store import Store
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.store import PostgresStore
from shared.shell.service.registry import HandlerRegistry
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase
from tests.unit.checkout.examples import sku, store, submission

WORKERS, ORDERS = 2, 40
SHARED = 3
"""So many first candidates there are for all orders; every second one is an order's own."""
SHOP = (("northwind", store()), ("northwind/course", sku("course")), ("northwind/game", sku("game")))
SETTINGS = {
    "kafka": {"bootstrap_servers": "127.0.0.1:1"},
    "api_token": "a-token-for-this-test",
    "checkout": {"database_url": "postgresql://x/y"},
}


def few_numbers(order: str, candidate: int = 0) -> str:
    return order_number(order, candidate) if candidate else order_number(f"shared {int(order[2:]) % SHARED}")


def one_number(order: str, candidate: int = 0) -> str:
    return "ORD-AAAAAAAAAA"


class Workers:
    """Batchers of several workers over one store."""

    def __init__(self, database: Store, engine: Any = None) -> None:
        self.store = database
        settings = CheckoutSettings.model_validate(SETTINGS)
        self.registry = HandlerRegistry(checkout_service(settings, engine))
        self._numbers = count(1)
        self.batchers = [self._batcher(f"checkout-{n}") for n in range(WORKERS)]

    def _batcher(self, name: str) -> Batcher:
        return Batcher(
            self.registry,
            self.store,
            SystemClock(),
            name,
            batch=100,
            metrics=Metrics("checkout", name),
            rng=random.Random(name),
            after=lambda result: None,
            capacity=NoCapacity(),
        )

    def inbound(self, key: str, message: Message) -> Inbound:
        now = datetime.now(UTC)
        return Inbound(derived_id(UUID(int=12), next(self._numbers), now), key, message, Meta(actor="customer"))

    async def place(self, orders: int) -> dict[str, str]:
        """Every worker places its share at the same time, in batches. Returns the numbers by order."""
        await self.batchers[0].handle([self.inbound(key, message) for key, message in SHOP])
        keys = [f"o-{n}" for n in range(orders)]
        shares = [[self.inbound(key, submission()) for key in keys[n::WORKERS]] for n in range(WORKERS)]
        await asyncio.gather(*(b.handle(share) for b, share in zip(self.batchers, shares, strict=True)))
        [table] = [table for table in storage.states if table.kind is Order]
        async with self.store.begin() as tx:
            rows = await tx.load(table, keys, lock=False, known={})
        return {key: codec.load(Order, row.data).number for key, row in rows.items() if row.data}


@pytest_asyncio.fixture(params=["postgres", "memory"])
async def workers(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Workers]:
    if request.param == "memory":
        yield Workers(MemoryStore())
        return
    url = await new_database("checkout")
    engine = create_engine(url, "test")
    database = PostgresStore(engine)
    await database.housekeep(datetime.now(UTC), 9)
    yield Workers(database, engine)
    await engine.dispose()


async def test_an_order_whose_number_is_taken_gets_the_next_candidate(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "order_number", few_numbers)
    numbers = await workers.place(ORDERS)

    assert len(numbers) == ORDERS
    assert len(set(numbers.values())) == ORDERS
    assert await workers.store.parked() == []
    first = {few_numbers(key) for key in numbers}
    assert first <= set(numbers.values()), "the first comer keeps the first candidate"


async def test_when_all_candidates_are_taken_the_order_is_parked_and_stops_no_other(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "order_number", one_number)
    assert list((await workers.place(3)).values()) == ["ORD-AAAAAAAAAA"]
    assert {row.reason for row in await workers.store.parked()} == {"failed"}
    assert len(await workers.store.parked()) == 2
    monkeypatch.setattr(placement, "order_number", order_number)
    assert len(set((await workers.place(6)).values())) == 4, "o-3 to o-5 are placed; o-1 and o-2 wait behind"
