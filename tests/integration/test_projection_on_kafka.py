"""Read models in step with a real Kafka: begun where the database says, shared by workers, restarted, restored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest_asyncio
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core import Event
from shared.settings import KafkaSettings
from shared.shell.kafka.sink import KafkaSink
from shared.shell.kafka.source import KafkaSource
from shared.shell.parking import Parking
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.read_models import PostgresReadModels
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Projected, Shell
from tests.integration.conftest import NewDatabase
from tests.integration.test_shell_on_postgres import Post
from tests.integration.toy import COMMANDS, toy_service
from tests.integration.toy import metadata as toy_metadata
from tests.unit.shell.parcels import PACKED, TABLES, ParcelStatus, Scanned, metadata, projection, record_of

TOPICS = [topic.name for topic in projection.topics()]


@dataclass
class World:
    settings: KafkaSettings
    url: str
    engine: AsyncEngine
    producer: AIOKafkaProducer
    shells: list[Shell] = field(default_factory=list)
    sent: int = 0

    async def worker(self, index: int) -> Shell:
        name, models = f"toy-{index}", PostgresReadModels(self.engine, TABLES)
        service = toy_service(Post())
        shell = Shell(
            replace(service, projection=projection, storage=replace(service.storage, read_models=TABLES)),
            name,
            store=PostgresStore(self.engine),
            source=KafkaSource(self.settings, "toy", name, [COMMANDS.name]),
            sink=KafkaSink(self.settings, name, "toy"),
            lock=lambda: PostgresRelayLock(self.url, name),
            clock=SystemClock(),
            rng=random.Random(index),
            projected=Projected(KafkaSource(self.settings, "toy-projection", name, TOPICS, models.positions), models),
        )
        await shell.start()
        self.shells.append(shell)
        return shell

    async def stop(self, shell: Shell) -> None:
        self.shells.remove(shell)
        await shell.stop(5)

    async def publish(self, key: str, message: Event) -> None:
        self.sent += 1
        record = record_of(message, key, self.sent)
        await self.producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))

    async def publish_parcels(self, revision: int, state: str, count: int = 50) -> None:
        for number in range(count):
            await self.publish(f"p{number}", ParcelStatus(revision=revision, depot="north", state=state))
            await self.publish(f"p{number}", Scanned(place=state))
        await self.producer.flush()

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.engine.begin() as connection:
            return [tuple(row) for row in await connection.execute(sa.text(query))]

    async def until(self, query: str, *expected: tuple[object, ...], seconds: float = 30) -> None:
        rows: list[tuple[object, ...]] = []
        for _ in range(int(seconds / 0.1)):
            rows = await self.rows(query)
            if rows == list(expected):
                return
            await asyncio.sleep(0.1)
        assert rows == list(expected)


COUNTS = "select state, count from parcel_counts where count > 0 order by state"


@pytest_asyncio.fixture
async def world(kafka_servers: str, new_database: NewDatabase) -> AsyncIterator[World]:
    url = await new_database()
    engine = create_engine(url, "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
        for tables in (toy_metadata, metadata):
            await connection.run_sync(tables.create_all)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    names = [COMMANDS.name, *TOPICS]
    await admin.create_topics([NewTopic(name, 4, 1) for name in names])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_servers, linger_ms=5)
    await producer.start()
    world = World(KafkaSettings(bootstrap_servers=kafka_servers), url, engine, producer)
    yield world
    for shell in list(world.shells):
        await world.stop(shell)
    await producer.stop()
    await admin.delete_topics(names)
    await admin.close()
    await engine.dispose()


async def test_two_workers_share_the_topics_and_one_goes_on_alone(world: World) -> None:
    first = await world.worker(0)
    await world.worker(1)
    await world.publish_parcels(1, "packed")
    await world.until(COUNTS, ("packed", 50))

    await world.stop(first)
    await world.publish_parcels(2, "sent")

    await world.until(COUNTS, ("sent", 50))
    await world.until("select count(*) from scans", (100,))
    assert await world.rows("select count(*) from parked") == [(0,)]


async def test_a_database_restored_to_an_earlier_point_reads_again_from_there(world: World) -> None:
    shell = await world.worker(0)
    await world.publish_parcels(1, "packed")
    await world.until(COUNTS, ("packed", 50))
    await world.until("select count(*) from scans", (50,))
    await world.stop(shell)
    tables = ("parcels", "parcel_counts", "scans", "read_positions")
    for table in tables:
        await _execute(world, f"create table kept_{table} as table {table}")
    shell = await world.worker(0)
    await world.publish_parcels(2, "sent")
    await world.until(COUNTS, ("sent", 50))
    await world.until("select count(*) from scans", (100,))
    await world.stop(shell)

    for table in tables:
        await _execute(world, f"truncate {table}")
        await _execute(world, f"insert into {table} select * from kept_{table}")
    await world.until(COUNTS, ("packed", 50))
    await world.worker(0)

    await world.until(COUNTS, ("sent", 50))
    await world.until("select count(*) from scans", (100,))


async def test_a_parked_record_is_retried_by_the_parking_of_the_service(world: World) -> None:
    shell = await world.worker(0)
    await world.publish("a", ParcelStatus(revision=1, depot="north", state="lost"))
    await world.producer.flush()
    await world.until("select key, topic from parked", ("a", PACKED.name))

    released = await shell.parking.retry("a")
    assert (released.handled, "lost" in released.error) == (0, True)
    found = projection.shown[ParcelStatus]
    try:
        projection.shown[ParcelStatus] = lambda record, about: found(
            record.model_copy(update={"state": "found"}), about
        )
        released = await Parking(shell.registry, shell.store, shell.batcher, shell.clock, shell.projector).retry("a")
    finally:
        projection.shown[ParcelStatus] = found

    assert (released.handled, released.error) == (1, "")
    await world.until(COUNTS, ("found", 1))
    assert await world.rows("select count(*) from parked") == [(0,)]


async def _execute(world: World, statement: str) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(sa.text(statement))
