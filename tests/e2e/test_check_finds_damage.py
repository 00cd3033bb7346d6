"""`orderbus check` is no ornament: it fails, and names what is wrong, for each kind of damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.check.run import check
from deploy.client.http import ApiClient
from deploy.demo import catalogue as shipped
from deploy.demo.basket import checkout, person
from deploy.demo.catalogue import open_shop
from deploy.demo.shop import Order, Shop
from deploy.devstack.services import running_services
from deploy.devstack.stack import Stack
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from shared.contracts.fulfillment import EVENTS
from tests.e2e.conftest import settings_of

# The file is one story on a stack of its own: each test damages it in another way, the last ones for good.


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("damage") / "data") as stack:
        yield stack


@pytest_asyncio.fixture(scope="module")
async def order(stack: Stack) -> AsyncIterator[Order]:
    """An order that was completed, in a system that has stopped."""
    catalogue, settings = shipped.load(stack.outside_url, codes=100), settings_of(stack)
    async with (
        running_services(stack, workers=1),
        ApiClient.of(settings) as edges,
        OutsideWorld(stack.outside_url, stack.secrets.outside_token) as outside,
        Shop(settings, catalogue) as shop,
    ):
        await open_shop(edges, outside, catalogue)
        order = shop.order()
        await order.submits(checkout(catalogue, catalogue.main, person("Ada", "d1"), [("atlas", 1), ("audiobook", 1)]))
        await order.becomes("completed")
        assert (await check(settings)).ok  # waits until the last mail is told of, too
    yield order


def checked(stack: Stack) -> tuple[int, dict[str, list[str]]]:
    """The command's exit code, and the violations that it prints."""
    command = [sys.executable, "-m", "deploy.cli.main", "check", "--json"]
    ended = subprocess.run(command, env=os.environ | stack.environment(), capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(ended.stdout)
    return ended.returncode, {name: found for name, found in report["invariants"].items() if found}


async def database(stack: Stack, name: str, statement: str, *values: object) -> str:
    connection = await asyncpg.connect(stack.environment()[f"ORDERBUS_{name.upper()}__DATABASE_URL"])
    try:
        return str(await connection.execute(statement, *values))
    finally:
        await connection.close()


async def test_nothing_is_wrong_at_first(stack: Stack, order: Order) -> None:
    assert checked(stack) == (0, {})


async def test_a_record_that_kafka_refuses_is_listed_and_is_no_loss(stack: Stack, order: Order) -> None:
    aside = (
        "insert into undeliverable (id, topic, key, headers, body, created_at, reason) "
        "values (1, 'orders.events.v1', $1, '[]', '', clock_timestamp(), 'MessageSizeTooLargeError')"
    )
    await database(stack, "checkout", aside, order.id)
    report = await check(settings_of(stack))
    await database(stack, "checkout", "delete from undeliverable")
    (listed,) = [entry for _, entry in report.attention if entry.what == "undeliverable"]
    assert (listed.subject, listed.command) == (order.id, "orderbus undeliverable show checkout 1")
    assert "MessageSizeTooLargeError" in listed.reason and "orders.events.v1" in listed.reason


async def test_a_damaged_row_is_named(stack: Stack, order: Order) -> None:
    assert await database(stack, "payments", "update payments set captured = captured - 1") == "UPDATE 1"
    code, wrong = checked(stack)
    await database(stack, "payments", "update payments set captured = captured + 1")
    assert code == 1
    assert any(order.id in text for texts in wrong.values() for text in texts), wrong
    assert checked(stack) == (0, {})


async def test_a_charge_without_a_request_is_named(stack: Stack, order: Order) -> None:
    async with StripeSandbox(stack.stripe_url, stack.secrets.stripe_control_token) as bank:
        await bank.charge(4711, "eur", order=order.id)
    code, wrong = checked(stack)
    assert code == 1
    assert any("4711" in text or "47.11" in text for text in wrong["ledger_matches_provider"]), wrong


async def test_a_dropped_record_is_named(stack: Stack, order: Order) -> None:
    """The topic is created again with all records except one."""
    servers = stack.environment()["ORDERBUS_KAFKA__BOOTSTRAP_SERVERS"]
    records = await all_records(servers, EVENTS.name)
    of_order = [record for record in records if record.key == order.id.encode()]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.delete_topics([EVENTS.name])
    await admin.create_topics([NewTopic(EVENTS.name, 6, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for record in records:
        if record is not of_order[1]:
            await producer.send_and_wait(EVENTS.name, record.value, key=record.key, headers=list(record.headers))
    await producer.stop()
    code, wrong = checked(stack)
    assert code == 1
    assert any(order.id in text for text in wrong["every_event_published"]), wrong


async def all_records(servers: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    ends = await consumer.end_offsets(consumer.assignment())
    found: list[Any] = []
    while sum(ends.values()) > len(found):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += records
    await consumer.stop()
    return found
