"""The relay between PostgreSQL and Kafka: what Kafka does not take holds up nothing else, and a relay that slept
publishes nothing older after something newer."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.settings import KafkaSettings
from shared.shell.kafka.producer import FencedProducer
from shared.shell.kafka.sink import KafkaSink
from shared.shell.observability.metrics import Metrics
from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Reach, StoreUnavailable, Writes
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.relay.relay import Relay
from tests.integration.conftest import NewDatabase

_numbers = itertools.count(1)
Condition = Callable[[], Awaitable[object]]


@dataclass
class Place:
    """A service's outbox, and the topics it writes to."""

    settings: KafkaSettings
    url: str
    engine: AsyncEngine
    admin: AIOKafkaAdminClient
    prefix: str

    @property
    def store(self) -> PostgresStore:
        return PostgresStore(self.engine, notify=True)

    def topic(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    async def create(self, name: str, **configs: str) -> str:
        topic = self.topic(name)
        await self.admin.create_topics([NewTopic(topic, 2, 1, topic_configs=configs)])
        return topic

    async def write(self, *rows: tuple[str, str, bytes]) -> None:
        async with self.store.begin() as tx:
            await tx.write(Writes(outbox=[OutboxRow(topic, key, b"[]", body) for topic, key, body in rows]))

    async def value(self, query: str) -> object:
        async with self.engine.connect() as connection:
            return await connection.scalar(sa.text(query))

    async def outbox(self) -> object:
        return await self.value("select count(*) from outbox")

    def sink(self, name: str = "relay") -> KafkaSink:
        return KafkaSink(self.settings, name, self.prefix)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relay]:
        lock = PostgresRelayLock(self.url, "relay")
        sink = self.sink()
        relay = Relay(self.store, sink, lambda: lock, Metrics("toy", "relay"), random.Random(1), idle=0.05)
        running = asyncio.create_task(relay.run())
        yield relay
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await sink.stop()

    async def bodies(self, topic: str) -> dict[str, list[bytes]]:
        """What is in the topic now, by key."""
        found: dict[str, list[bytes]] = {}
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap_servers)
        await consumer.start()
        places = [TopicPartition(topic, partition) for partition in range(2)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        for place in places:
            while await consumer.position(place) < ends[place]:
                record = await consumer.getone(place)
                found.setdefault(record.key.decode(), []).append(record.value)
        await consumer.stop()
        return found


async def until(condition: Condition, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def place(kafka_servers: str, new_database: NewDatabase) -> AsyncIterator[Place]:
    url = await new_database()
    engine = create_engine(url, "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    prefix = f"relay{os.getpid()}-{next(_numbers)}"
    yield Place(KafkaSettings(bootstrap_servers=kafka_servers), url, engine, admin, prefix)
    await admin.close()
    await engine.dispose()


async def test_a_record_that_is_too_large_is_undeliverable_and_can_be_sent_again(place: Place) -> None:
    small = await place.create("small", **{"max.message.bytes": "100000"})
    other = await place.create("other")
    async with place.relaying():
        await place.write(*((small, f"k{n % 7}", b"%d" % n) for n in range(50)), (small, "k3", b"x" * 200_000))
        await place.write(*((small, f"k{n % 7}", b"%d" % n) for n in range(50, 70)), (other, "k3", b"fine"))
        await until(lambda: place.value("select count(*) = 0 from outbox"))
        (aside,) = await place.store.undeliverable()
        assert (aside.topic, aside.key, aside.reason) == (small, "k3", "MessageSizeTooLargeError")
        found = await place.bodies(small)
        for key in range(7):
            last = 50 if key == 3 else 70
            assert list(dict.fromkeys(found[f"k{key}"])) == [b"%d" % n for n in range(last) if n % 7 == key]
        assert await place.bodies(other) == {"k3": [b"fine"]}

        await place.admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, small, {"max.message.bytes": "1000000"})]
        )
        await asyncio.sleep(0.5)
        assert await place.store.send_again(aside.id, drop=False) == 4
        await until(lambda: place.value("select count(*) = 0 from outbox"))
    sizes = [len(body) for body in dict.fromkeys((await place.bodies(small))["k3"])]
    assert sizes == [1, 2, 2, 2, 2, 2, 2, 200_000, 2, 2, 2]
    assert await place.value("select count(*) from undeliverable") == 0


async def test_a_record_larger_than_any_topic_takes_holds_up_its_key_only(place: Place) -> None:
    topic = await place.create("topic")
    async with place.relaying():
        await place.write((topic, "a", b"x" * 2_300_000), (topic, "a", b"later"), (topic, "b", b"fine"))
        await until(lambda: place.value("select count(*) = 0 from outbox"))
    assert await place.bodies(topic) == {"b": [b"fine"]}
    assert await place.value("select string_agg(reason, ',' order by id) from undeliverable") == (
        "MessageSizeTooLargeError,"
    )


async def test_a_missing_topic_holds_up_itself_only(place: Place) -> None:
    there, missing = await place.create("there"), place.topic("missing")
    async with place.relaying() as relay:
        await place.write(*((missing, "a", b"%d" % n) for n in range(1200)))
        await place.write(*((there, "a", b"%d" % n) for n in range(300)))
        await until(lambda: place.value("select count(*) = 1200 from outbox"), seconds=5)
        assert list(relay.held_up.holds) == [missing]
        await place.create("missing")
        await until(lambda: place.value("select count(*) = 0 from outbox"))
        assert not relay.held_up.holds
    assert list(dict.fromkeys((await place.bodies(missing))["a"])) == [b"%d" % n for n in range(1200)]
    assert list(dict.fromkeys((await place.bodies(there))["a"])) == [b"%d" % n for n in range(300)]


async def test_while_our_clock_is_wrong_records_wait_and_none_is_given_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka takes no record from more than an hour ahead. Sent later the same record has another time."""
    topic, ahead, create = await place.create("topic"), [7200.0], FencedProducer.create_batch

    def wrong(self: FencedProducer) -> Any:
        batch = create(self)
        append = batch.append
        batch.append = lambda **named: append(**named | {"timestamp": int((time.time() + ahead[0]) * 1000)})
        return batch

    monkeypatch.setattr(FencedProducer, "create_batch", wrong)
    async with place.relaying() as relay:
        await place.write(*((topic, f"k{n}", b"x") for n in range(10)))
        await until(lambda: _held(relay, topic))
        ahead[0] = 0.0
        await until(lambda: place.value("select count(*) = 0 from outbox"))
    assert len(await place.bodies(topic)) == 10
    assert await place.value("select count(*) from undeliverable") == 0


async def test_a_topic_that_is_deleted_while_the_relay_runs_holds_up_itself_only(place: Place) -> None:
    there, deleted = await place.create("there"), await place.create("deleted")
    async with place.relaying() as relay:
        await place.write((there, "a", b"1"), (deleted, "a", b"1"))
        await until(lambda: place.value("select count(*) = 0 from outbox"))
        await place.admin.delete_topics([deleted])
        await asyncio.sleep(0.5)
        await place.write((deleted, "a", b"2"), *((there, "a", b"%d" % n) for n in range(2, 200)))
        await until(lambda: place.value("select count(*) = 1 from outbox"), seconds=8)
        await until(lambda: _held(relay, deleted))
        await place.write((there, "a", b"200"))
        await until(lambda: place.value("select count(*) = 1 from outbox"), seconds=3)
    assert list(dict.fromkeys((await place.bodies(there))["a"])) == [b"%d" % n for n in range(1, 201)]


async def _held(relay: Relay, topic: str) -> bool:
    return topic in relay.held_up.holds


async def test_a_read_stops_at_its_bytes(place: Place) -> None:
    await place.write(*(("t", "k", bytes([n]) * 1_000_000) for n in range(30)))
    lock = PostgresRelayLock(place.url, "relay")
    await lock.acquire(lambda: None)
    for read in (place.store.outbox_head, lock.head):
        assert len(await read(Reach(most_bytes=4_000_000))) == 4
        assert len(await read(Reach(most_bytes=10))) == 1
        assert len(await read(Reach(after=28, most_bytes=4_000_000))) == 2
        assert len(await read(Reach(limit=3, most_bytes=100_000_000))) == 3
        assert len(await read(Reach(without=("t",)))) == 0
    await lock.close()


class TestARelayThatSlept:
    async def test_kafka_takes_nothing_of_it_where_its_successor_has_written(self, place: Place) -> None:
        topic = await place.create("status", **{"cleanup.policy": "compact"})
        old, new = place.sink("old"), place.sink("new")
        await old.start()
        await old.send([OutboxRow(topic, "a", b"[]", b"1", 1)])
        await new.start()
        await new.send([OutboxRow(topic, "a", b"[]", b"2", 2), OutboxRow(topic, "a", b"[]", b"3", 3)])
        late = await old.send([OutboxRow(topic, "a", b"[]", b"2", 2)])
        assert (late.acknowledged, late.trouble) == ([], "ProducerFenced")
        assert not old.started()
        assert (await place.bodies(topic))["a"] == [b"1", b"2", b"3"]
        await old.stop()
        await new.stop()

    async def test_it_reads_nothing_once_another_has_the_lock(self, place: Place) -> None:
        await place.write(("t", "k", b"1"))
        old, new = PostgresRelayLock(place.url, "old"), PostgresRelayLock(place.url, "new", silent=1.0)
        await old.acquire(lambda: None)
        assert old._beats is not None
        old._beats.cancel()  # as in a process that is frozen
        await asyncio.sleep(1.0)
        async with asyncio.timeout(10):
            await new.acquire(lambda: None)
        assert len(await new.head(Reach())) == 1
        with pytest.raises(StoreUnavailable):
            await old.head(Reach())
        assert not old.held()
        await old.close()
        await new.close()

    async def test_one_that_lives_keeps_the_lock_however_long_kafka_takes(self, place: Place) -> None:
        """It reads nothing meanwhile, but its session says that it is there."""
        old, new = PostgresRelayLock(place.url, "old"), PostgresRelayLock(place.url, "new", silent=6.0)
        await old.acquire(lambda: None)
        waiting = asyncio.create_task(new.acquire(lambda: None))
        await asyncio.sleep(10)
        assert old.held() and not waiting.done()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await old.close()
        await new.close()
