"""The id of a Kafka cluster: brokers at the same address may be another one. And how far a group has read in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.settings import KafkaSettings
from shared.shell.kafka.refusals import refusal
from shared.shell.kafka.source import close_client, connection, new_consumer
from shared.shell.kafka.tls import KafkaRefused
from shared.shell.ports.bus import BusUnavailable

ASK_SECONDS = 20.0


async def cluster_id(settings: KafkaSettings) -> str:
    """Raises KafkaRefused; BusUnavailable where waiting may help."""
    async with _asking(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


async def committed(settings: KafkaSettings, group: str, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """By topic and partition, the next offset that a group reads; only of partitions that it has read. Raises
    KafkaRefused; BusUnavailable where waiting may help.

    By a consumer that joins no group: it waits for a coordinator that is still loading its groups. aiokafka's admin
    client was seen to take that answer for a group without offsets."""
    async with _asking(settings) as admin:
        described = await admin.describe_topics(sorted(topics))
    places = [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
    consumer = new_consumer(settings, group_id=group)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await consumer.start()
            found = {(place.topic, place.partition): await consumer.committed(place) for place in places}
            return {place: offset for place, offset in found.items() if offset is not None}
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"kafka at {settings.bootstrap_servers}: {type(error).__name__}") from error
    finally:
        await close_client(consumer)


@asynccontextmanager
async def _asking(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await admin.start()
            yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        if said := await refusal(settings):
            raise KafkaRefused(said) from None
        raise BusUnavailable(f"kafka at {settings.bootstrap_servers}: {type(error).__name__}") from error
    finally:
        await admin.close()
