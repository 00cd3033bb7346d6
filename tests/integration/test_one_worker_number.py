"""Two processes that were started with one worker number: the older one says so, and waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import AsyncMock

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from shared.settings import KafkaSettings
from shared.shell.faust import topic_reader
from shared.shell.faust.topic_reader import TopicReader
from shared.shell.kafka.source import KafkaSource
from shared.shell.ports.bus import BusUnavailable

numbers = count(1)
SESSION = 10
LONGER_THAN_A_SESSION = SESSION + 15.0


class Place:
    def __init__(self, servers: str, topic: str, producer: AIOKafkaProducer) -> None:
        self.settings = KafkaSettings(bootstrap_servers=servers)
        self.topic, self.producer = topic, producer
        self.group = topic.removesuffix(".v1")
        self.sources: list[KafkaSource] = []

    async def worker(self, index: int, port: int) -> KafkaSource:
        source = KafkaSource(self.settings, self.group, f"{self.group}-{index}", [self.topic])
        source.place = ("127.0.0.1", port)
        self.sources.append(source)
        await source.start()
        return source

    async def send(self, *values: str) -> None:
        for value in values:
            await self.producer.send_and_wait(self.topic, value.encode())


@pytest_asyncio.fixture
async def place(kafka_servers: str) -> AsyncIterator[Place]:
    topic = f"numbers-{os.getpid()}-{next(numbers)}.v1"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_servers)
    await producer.start()
    place = Place(kafka_servers, topic, producer)
    yield place
    for source in place.sources:
        await source.stop()
    await producer.stop()
    await admin.delete_topics([topic])
    await admin.close()


async def read(source: KafkaSource) -> set[str]:
    with suppress(BusUnavailable):
        return {(record.value or b"").decode() for record in await source.read(100)}
    await asyncio.sleep(0.2)
    return set()


async def until(true: Callable[[], bool], *sources: KafkaSource, seconds: float = 30.0) -> set[str]:
    """All read at once, as their workers do, with commits between. Returns what was read."""
    found: set[str] = set()
    async with asyncio.timeout(seconds):
        while not true():
            found |= set().union(*await asyncio.gather(*map(read, sources)))
            await asyncio.sleep(0.1)
    return found


def errors(told: Sequence[Any]) -> list[Any]:
    return [line for line in told if line["log_level"] == "error"]


async def test_the_first_one_says_that_another_has_its_number_and_what_happens(place: Place) -> None:
    first = await place.worker(0, 8101)
    await until(first.ready, first)
    with capture_logs() as told:
        second = await place.worker(0, 8102)
        await until(lambda: bool(errors(told)), first, second)
        await until(second.ready, first, second)
    (line,) = errors(told)
    assert line["event"] == (
        f"another process runs as worker 0 of {place.group}: this one reads no messages until the other has ended; "
        "give each process a number of its own (--worker N)"
    )
    assert line["other"] == "http://127.0.0.1:8102"
    assert not first.ready()
    assert first.note() == f"another process runs as worker 0 of {place.group} (http://127.0.0.1:8102)"
    assert second.note() == ""


async def test_the_second_one_works_undisturbed_and_the_first_takes_over_when_it_has_ended(place: Place) -> None:
    first = await place.worker(0, 8101)
    await until(first.ready, first)
    second = await place.worker(0, 8102)
    with capture_logs() as told:
        await until(lambda: bool(errors(told)), first, second)
        quiet = asyncio.get_running_loop().time() + LONGER_THAN_A_SESSION
        await until(lambda: asyncio.get_running_loop().time() > quiet, first, second, seconds=60)
    assert len(errors(told)) == 1, "the two evict each other"
    await place.send("a", "b", "c")
    assert await until(lambda: second.lag() == 0 and second.ready(), second) <= {"a", "b", "c"}

    await second.stop()
    await until(first.ready, first, seconds=60)
    assert first.note() == ""


async def test_a_worker_whose_own_membership_lapsed_joins_again_without_an_error(place: Place) -> None:
    alone = await place.worker(0, 8101)
    await until(alone.ready, alone)
    with capture_logs() as told:
        alone._consumer._coordinator.reset_generation()  # type: ignore[union-attr]  # as the broker's answer makes it
        await asyncio.sleep(1)
        await until(alone.ready, alone)
        await place.send("d")
        found: set[str] = set()
        async with asyncio.timeout(30):
            while "d" not in found:
                found |= await read(alone)
    assert errors(told) == []


async def test_so_does_a_monitor(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "ensure_topics", AsyncMock())  # there is one topic
    since = datetime.now(UTC) - timedelta(hours=1)
    readers = [
        TopicReader(place.settings, f"orderbus-{place.group}-0", [place.topic], lambda record: None, lambda: since)
        for _ in range(2)
    ]
    first = asyncio.create_task(readers[0].run())
    second = None
    try:
        async with asyncio.timeout(60):
            while not readers[0].complete:
                await asyncio.sleep(0.1)
        with capture_logs() as told:
            second = asyncio.create_task(readers[1].run())
            async with asyncio.timeout(60):
                while not (errors(told) and readers[1].complete and not readers[0].answering):
                    await asyncio.sleep(0.1)
            await asyncio.sleep(LONGER_THAN_A_SESSION)
        (line,) = errors(told)
        assert line["event"].startswith(f"another process runs as worker 0 of {place.group}: ")
        assert readers[1].complete and readers[1].starts == 1
        second.cancel()
        async with asyncio.timeout(60):
            while not (readers[0].complete and readers[0].answering):
                await asyncio.sleep(0.1)
    finally:
        for task in filter(None, (first, second)):
            task.cancel()
        await asyncio.gather(*filter(None, (first, second)), return_exceptions=True)
