"""The toy service on real Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest_asyncio
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.envelope import Envelope, encode, from_headers, to_headers
from shared.core import Command, derived_id
from shared.settings import KafkaSettings
from shared.shell.kafka.sink import KafkaSink
from shared.shell.kafka.source import KafkaSource
from shared.shell.kafka.topics import dead_letters
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.conftest import NewDatabase
from tests.integration.test_shell_on_postgres import Post
from tests.integration.toy import COMMANDS, EVENTS, metadata, toy_service

ids = (derived_id(UUID(int=os.getpid()), n, datetime.now(UTC)) for n in count(1))


@dataclass
class World:
    settings: KafkaSettings
    url: str
    engine: AsyncEngine
    producer: AIOKafkaProducer
    shells: list[Shell]

    async def worker(self, index: int) -> Shell:
        store = PostgresStore(self.engine, notify=True)
        name = f"toy-{index}"
        shell = Shell(
            toy_service(Post()),
            name,
            store=store,
            source=KafkaSource(self.settings, "toy", name, [COMMANDS.name]),
            sink=KafkaSink(self.settings, name, "toy"),
            lock=lambda: PostgresRelayLock(self.url, name),
            clock=SystemClock(),
            rng=random.Random(index),
        )
        await shell.start()
        self.shells.append(shell)
        return shell

    async def publish(self, key: str, command: Command, identity: UUID | None = None) -> None:
        envelope = Envelope(identity or next(ids), command.type, "test", key, datetime.now(UTC))
        await self.producer.send(COMMANDS.name, encode(command), key=key.encode(), headers=to_headers(envelope))

    async def raw(self, key: bytes | None, body: bytes, headers: list[tuple[str, bytes]]) -> None:
        await self.producer.send_and_wait(COMMANDS.name, body, key=key, headers=headers)

    async def until(self, query: str, *expected: tuple[object, ...], seconds: float = 20) -> None:
        rows: list[tuple[object, ...]] = []
        for _ in range(int(seconds / 0.05)):
            async with self.engine.begin() as connection:
                rows = [tuple(row) for row in await connection.execute(sa.text(query))]
            if rows == list(expected):
                return
            await asyncio.sleep(0.05)
        assert rows == list(expected)

    async def records(self, topic: str, wanted: int) -> list[tuple[str, int]]:
        """(key, sequence) of a topic's records."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.settings.bootstrap_servers, auto_offset_reset="earliest"
        )
        await consumer.start()
        found: list[tuple[str, int]] = []
        async with asyncio.timeout(20):
            while len(found) < wanted:
                record = await consumer.getone()
                found.append((record.key.decode(), from_headers(record.headers, record.key).sequence))
        await consumer.stop()
        return found


@pytest_asyncio.fixture
async def world(kafka_servers: str, new_database: NewDatabase) -> AsyncIterator[World]:
    url = await new_database()
    engine = create_engine(url, "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
        await connection.run_sync(metadata.create_all)
    await PostgresStore(engine).housekeep(datetime.now(UTC), 9)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    names = [COMMANDS.name, EVENTS.name, dead_letters("toy").name]
    await admin.create_topics([NewTopic(name, 4, 1, topic_configs={"max.message.bytes": "2000000"}) for name in names])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_servers, max_request_size=2_000_000, linger_ms=5)
    await producer.start()
    world = World(KafkaSettings(bootstrap_servers=kafka_servers), url, engine, producer, [])
    yield world
    for shell in world.shells:
        await shell.stop(5)
    await producer.stop()
    await admin.delete_topics(names)
    await admin.close()
    await engine.dispose()
