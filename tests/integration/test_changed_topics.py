"""A worker of another build reads fewer topics than its group knows of it, or more. It is a static member: Kafka hands
it what it had before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from itertools import count

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.settings import KafkaSettings
from shared.shell.kafka.source import KafkaSource

numbers = count(1)


class Group:
    def __init__(self, servers: str, producer: AIOKafkaProducer, topics: list[str]) -> None:
        self.settings = KafkaSettings(bootstrap_servers=servers)
        self.producer, self.topics = producer, topics
        self.name = f"changed-{os.getpid()}-{next(numbers)}"
        self.sources: list[KafkaSource] = []

    async def member(self, index: int, topics: Sequence[str]) -> KafkaSource:
        source = KafkaSource(self.settings, self.name, f"{self.name}-{index}", topics)
        self.sources.append(source)
        await source.start()
        return source

    async def send(self, topic: str, value: str) -> None:
        await self.producer.send_and_wait(topic, value.encode(), key=value.encode())


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
    group = Group(kafka_servers, producer, topics)
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
