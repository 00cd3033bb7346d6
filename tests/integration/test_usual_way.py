"""What orderbus is measured against must work: whole happy lives of orders go through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from importlib import import_module

import pytest_asyncio
import sqlalchemy as sa

from deploy.demo.catalogue import load
from deploy.settings import system_settings
from shared.settings import Settings
from shared.shell.postgres.engine import new_engine
from tests.benchmarks.customers import Customers
from tests.benchmarks.usual_way.messaging import PREFIX, create_topics
from tests.benchmarks.usual_way.run import run
from tests.benchmarks.usual_way.shop import open_shop
from tests.integration.conftest import NewDatabase

CATALOGUE = load("http://outside.example")
USUAL = ("checkout", "payments", "fulfillment", "notifications")
"""Its services."""
HOOKS_NOTED = "select count(*) from timeline where what = 'webhook.delivered'"


@pytest_asyncio.fixture
async def settings(new_database: NewDatabase, kafka_servers: str) -> AsyncIterator[Settings]:
    """The usual way, running: four services in this process."""
    urls = {service: await new_database() for service in USUAL}
    given = system_settings().model_validate(
        {
            "kafka": {"bootstrap_servers": kafka_servers},
            "api_token": "0123456789abcdef",
            **{service: {"database_url": url} for service, url in urls.items()},
        }
    )
    await create_topics(given.kafka)
    await open_shop(urls, CATALOGUE)
    async with AsyncExitStack() as cleanup:
        for service in USUAL:
            ready = asyncio.Event()
            task = asyncio.create_task(run(service, given, ready), name=service)
            cleanup.push_async_callback(ended, task)
            await asyncio.wait_for(ready.wait(), 30)
        yield given


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def count(settings: Settings, service: str, query: str) -> int:
    import_module(f"tests.benchmarks.usual_way.{service}")
    engine = new_engine(settings.service(service).database_url.get_secret_value())
    async with engine.connect() as connection:
        found = (await connection.execute(sa.text(query))).scalar_one()
    await engine.dispose()
    return int(found)


async def told_of_all(settings: Settings, orders: int) -> None:
    """Webhooks of the completion come after it."""
    async with asyncio.timeout(20):
        while await count(settings, "checkout", HOOKS_NOTED) < orders * 6:
            await asyncio.sleep(0.2)


async def test_orders_live_whole(settings: Settings) -> None:
    async with Customers(settings.kafka, CATALOGUE, PREFIX) as customers:
        lives = await customers.buy(5)
        await told_of_all(settings, 5)

    assert len(lives.latencies) == 5
    assert await count(settings, "checkout", "select count(*) from orders where status = 'completed'") == 5
    assert await count(settings, "payments", "select count(*) from attempts where status = 'succeeded'") == 5
    assert await count(settings, "payments", "select coalesce(sum(amount), 0) from ledger_entries") == 0
    assert await count(settings, "notifications", "select count(*) from mails") == 15
    assert await count(settings, "notifications", "select count(*) from webhook_deliveries") == 30
    assert await count(settings, "checkout", "select count(*) from outbox_messages") == 0
