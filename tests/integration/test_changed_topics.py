"""A worker of another build reads fewer topics than its group knows of it, or more; or partitions were added to its
topics. It is a static member: Kafka hands it what it had before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from itertools import count

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from shared.settings import KafkaSettings
from shared.shell.kafka import source as kafka_source
from shared.shell.kafka.source import KafkaSource

numbers = count(1)


class Group:
    def __init__(self, servers: str, producer: AIOKafkaProducer, admin: AIOKafkaAdminClient, topics: list[str]) -> None:
        self.admin = admin
        self.settings = KafkaSettings(bootstrap_servers=servers)
        self.producer, self.topics = producer, topics
        self.name = f"changed-{os.getpid()}-{next(numbers)}"
        self.sources: list[KafkaSource] = []

    async def member(self, index: int, topics: Sequence[str]) -> KafkaSource:
        source = KafkaSource(self.settings, self.name, f"{self.name}-{index}", topics)
        self.sources.append(source)
        await source.start()
        return source

    async def send(self, topic: str, value: str, partition: int | None = None) -> None:
        await self.producer.send_and_wait(topic, value.encode(), key=value.encode(), partition=partition)

    async def partitions_are_added(self, topic: str, count: int) -> None:
        await self.admin.create_partitions({topic: NewPartitions(count)})
        async with asyncio.timeout(30):
            while len((await self.admin.describe_topics([topic]))[0]["partitions"]) < count:
                await asyncio.sleep(0.1)
        await self.producer.client.force_metadata_update()


async def read(*sources: KafkaSource, wanted: set[str], seconds: float = 30.0) -> None:
    """Until all of these have been read by one or the other; positions are committed as a worker does."""
    found: set[str] = set()
    try:
        async with asyncio.timeout(seconds):
            while not wanted <= found:
                for source in sources:
                    records = await source.read(100)
                    found |= {(record.value or b"").decode() for record in records}
                    positions = {(record.topic, record.partition): record.offset + 1 for record in records}
                    if positions:
                        await source.commit(positions)
    except TimeoutError:
        raise AssertionError(f"read only {sorted(found)} of {sorted(wanted)}") from None


@pytest_asyncio.fixture
async def group(kafka_servers: str) -> AsyncIterator[Group]:
    topics = [f"{name}-{os.getpid()}-{next(numbers)}.v1" for name in ("one", "two", "three")]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 4, 1) for name in topics])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_servers)
    await producer.start()
    group = Group(kafka_servers, producer, admin, topics)
    yield group
    for source in group.sources:
        await source.stop()
    await producer.stop()
    await admin.delete_topics(topics)
    await admin.close()


@pytest.mark.parametrize("fewer_first", [True, False], ids=["fewer, then more", "more, then fewer"])
async def test_a_member_that_restarts_with_other_topics_reads_them(group: Group, fewer_first: bool) -> None:
    one, two, three = group.topics
    steps = [[one, two], [one], [one, two, three]] if fewer_first else [[one], [one, two, three], [one, two]]
    for number, topics in enumerate(steps):
        source = await group.member(0, topics)
        for topic in topics:
            await group.send(topic, f"{topic} {number}")
        await read(source, wanted={f"{topic} {number}" for topic in topics})
        await source.stop()


async def test_builds_with_other_topics_share_a_group(group: Group) -> None:
    """One worker of each; then the older one comes back as the newer."""
    one, two, _ = group.topics
    older = await group.member(0, [one])
    newer = await group.member(1, [one, two])
    wanted = {f"{topic} {number}" for topic in (one, two) for number in range(20)}
    for value in sorted(wanted):
        await group.send(value.split()[0], value)
    await read(older, newer, wanted=wanted)

    await older.stop()
    upgraded = await group.member(0, [one, two])
    wanted = {f"{topic} {number}" for topic in (one, two) for number in range(20, 40)}
    for value in sorted(wanted):
        await group.send(value.split()[0], value)
    await read(upgraded, newer, wanted=wanted)


@pytest.mark.parametrize("workers", [1, 2])
async def test_members_that_restart_after_partitions_were_added_read_them(group: Group, workers: int) -> None:
    topic = group.topics[0]
    before = [await group.member(index, [topic]) for index in range(workers)]
    for partition in range(4):
        await group.send(topic, f"old {partition}", partition)
    await read(*before, wanted={f"old {partition}" for partition in range(4)})
    for source in before:
        await source.stop()

    await group.partitions_are_added(topic, 6)
    for partition in range(6):
        await group.send(topic, f"new {partition}", partition)
    after = await asyncio.gather(*(group.member(index, [topic]) for index in range(workers)))
    await read(*after, wanted={f"new {partition}" for partition in range(6)})
    assert all(source.ready() for source in after)


async def test_partitions_that_no_member_reads_are_lag_until_one_does(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are added under a member that came back, and so does not know that it leads the group."""
    monkeypatch.setattr(kafka_source, "LOOK_SECONDS", 0.5)
    topic = group.topics[0]
    first = await group.member(0, [topic])
    await group.send(topic, "first", 0)
    await read(first, wanted={"first"})
    await first.stop()
    source = await group.member(0, [topic])
    assert source.ready()

    await group.partitions_are_added(topic, 5)
    await group.send(topic, "added", 4)
    async with asyncio.timeout(20):
        while source.lag() != 1 or source.ready():
            await asyncio.sleep(0.05)
    await read(source, wanted={"added"})
    async with asyncio.timeout(20):
        while source.lag() or not source.ready():
            await source.read(100)
