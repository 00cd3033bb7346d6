"""What happens to the relay: it sleeps with records in progress, and its outbox holds more than memory should."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import psutil
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.devstack.processes import Worker
from tests.faults.system import System
from tests.faults.table import LONG, Table

SERVICE = "notifications"
KEYS, ROUNDS = 40, 6 if LONG else 2
AWAKE = 30.0
"""Seconds within which another worker must have taken over."""
LARGE, MOST_MEMORY = 1000 if LONG else 200, 150e6
HOLDER = """
    select a.application_name from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and a.application_name like '%-relay'
        and l.database = (select oid from pg_database where datname = current_database())
"""


@dataclass
class Status:
    """A compacted topic of the test's own, written to through a service's outbox: record n of a key is newer than all
    before it."""

    system: System
    database: asyncpg.Connection
    topic: str
    written: int = 0

    async def write(self, rounds: int) -> None:
        """Some newer records of every key, as one transaction."""
        values = []
        for _ in range(rounds):
            self.written += 1
            values += [(self.topic, f"key-{n}", "[]", b"%d" % self.written) for n in range(KEYS)]
        await self.database.executemany(
            "insert into outbox (topic, key, headers, body) values ($1, $2, $3, $4)", values
        )
        await self.database.execute("notify outbox")

    async def sent(self, within: float) -> None:
        async with asyncio.timeout(within):
            while await self.database.fetchval("select count(*) from outbox where topic = $1", self.topic):
                await asyncio.sleep(0.1)

    async def holder(self) -> Worker:
        async with asyncio.timeout(AWAKE):
            while not (name := await self.database.fetchval(HOLDER)):
                await asyncio.sleep(0.1)
        return self.system.services.worker(SERVICE, int(name.removesuffix("-relay").rpartition("-")[2]))

    async def last(self) -> dict[str, int]:
        """By key, what the topic says last."""
        found: dict[str, int] = {}
        consumer = AIOKafkaConsumer(bootstrap_servers=self.system.settings.kafka.bootstrap_servers)
        await consumer.start()
        places = [TopicPartition(self.topic, partition) for partition in range(3)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        for place in places:
            while await consumer.position(place) < ends[place]:
                record = await consumer.getone(place)
                found[record.key.decode()] = int(record.value)
        await consumer.stop()
        return found


@asynccontextmanager
async def status_topic(system: System, name: str) -> AsyncIterator[Status]:
    admin = AIOKafkaAdminClient(bootstrap_servers=system.settings.kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 3, 1, topic_configs={"cleanup.policy": "compact"})])
    database = await asyncpg.connect(system.stack.postgres.url(SERVICE))
    yield Status(system, database, name)
    await database.close()
    await admin.delete_topics([name])
    await admin.close()


@pytest_asyncio.fixture
async def status(system: System) -> AsyncIterator[Status]:
    async with status_topic(system, "test.status") as status:
        yield status


async def test_a_relay_that_slept_publishes_nothing_older_last(status: Status, table: Table, seed: int) -> None:
    """It is frozen while records are in progress, another takes over and sends newer ones, then it wakes."""
    rng, began, took, stale = random.Random(seed), time.monotonic(), list[float](), dict[str, int]()
    for _ in range(ROUNDS):
        frozen = await status.holder()
        assert frozen.pid
        writing = asyncio.create_task(status.write(60))
        await asyncio.sleep(rng.uniform(0.0, 0.25))
        frozen.kill(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            await writing
            await status.write(3)  # newer than all that it can have in its hands
            await status.sent(within=AWAKE)
            took.append(time.monotonic() - stopped)
            assert (await status.holder()).pid != frozen.pid
        finally:
            frozen.kill(signal.SIGCONT)
        await asyncio.sleep(3.0)
        stale |= {key: last for key, last in (await status.last()).items() if last != status.written}
    await status.system.services.until_ready()
    what = "(m) SIGSTOP of the relay, records in progress"
    table.add(what, 0, len(stale), 0, time.monotonic() - began, f"taken over within {max(took):.0f} s")
    assert stale == {}
    assert len(await status.last()) == KEYS


async def test_an_outbox_of_large_records_does_not_fill_the_memory(status: Status, table: Table) -> None:
    began = time.monotonic()
    workers = [worker for worker in status.system.services.workers if worker.service == SERVICE]
    body = os.urandom(1_000_000)
    for number in range(LARGE):
        await status.database.execute(
            "insert into outbox (topic, key, headers, body) values ($1, $2, '[]', $3)", status.topic, f"{number}", body
        )
    await status.database.execute("notify outbox")
    most = 0.0
    async with asyncio.timeout(120):
        while await status.database.fetchval("select count(*) from outbox where topic = $1", status.topic):
            most = max(most, *(psutil.Process(worker.pid).memory_info().rss for worker in workers))
            await asyncio.sleep(0.05)
    table.add(
        f"(n) {LARGE} records of 1 MB in an outbox", 0, 0, 0, time.monotonic() - began, f"at most {most / 1e6:.0f} MB"
    )
    assert most <= MOST_MEMORY
