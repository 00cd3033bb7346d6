"""Random records, sent through the bus in memory and through Kafka, arrive in the same order per key."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.settings import KafkaSettings
from shared.shell.kafka.sink import KafkaSink
from shared.shell.kafka.source import KafkaSource
from shared.shell.ports.bus import BusRecord, Sink, Source
from shared.shell.ports.rows import OutboxRow
from shared.simulation.bus import MemoryBus, MemorySink, MemorySource

TOPICS = [f"fidelity-{os.getpid()}-{number}" for number in (1, 2)]
HEADERS = orjson.dumps([["ce_type", "x"], ["word", "ä"]])


def batches(rng: random.Random) -> list[list[OutboxRow]]:
    """As the relay sends them: some rows at a time, now and then the same rows again."""
    made: list[list[OutboxRow]] = []
    for number in range(40):
        if made and rng.random() < 0.2:
            made.append(rng.choice(made))
            continue
        size = rng.choice((1, 2, 30))
        rows = [(rng.choice(TOPICS), f"order-{rng.randrange(12)}") for _ in range(size)]
        made.append(
            [OutboxRow(t, key, HEADERS, b"%d/%d" % (number, n), 100 * number + n) for n, (t, key) in enumerate(rows)]
        )
    return made


async def sent_and_read(sink: Sink, source: Source, sending: Sequence[Sequence[OutboxRow]]) -> list[BusRecord]:
    await source.start()
    await sink.start()
    wanted = sum(map(len, sending))
    found: list[BusRecord] = []
    for rows in sending:
        assert set((await sink.send(rows)).acknowledged) == {row.id for row in rows}
    async with asyncio.timeout(20):
        while len(found) < wanted:
            found += await source.read(17)
    await source.stop()
    await sink.stop()
    return found


def by_key(records: Sequence[BusRecord]) -> dict[tuple[str, bytes | None], list[object]]:
    found: dict[tuple[str, bytes | None], list[object]] = {}
    for record in records:
        found.setdefault((record.topic, record.key), []).append((record.value, tuple(record.headers)))
    return found


async def test_records_of_a_key_arrive_in_the_same_order_in_memory_and_from_kafka(kafka_servers: str) -> None:
    sending = batches(random.Random(5))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 3, 1) for name in TOPICS])
    await admin.close()
    settings = KafkaSettings(bootstrap_servers=kafka_servers)
    bus = MemoryBus(lambda: datetime.now(UTC), random.Random(5))

    real = await sent_and_read(
        KafkaSink(settings, "w", "fence"), KafkaSource(settings, TOPICS[0], "w", TOPICS), sending
    )
    simulated = await sent_and_read(MemorySink(bus, fence="fence"), MemorySource(bus, "g", "w", TOPICS), sending)

    assert by_key(real) == by_key(simulated)
    assert all(len({r.partition for r in real if (r.topic, r.key) == place}) == 1 for place in by_key(real))
