"""The id of a Kafka cluster: brokers at the same address may be another one. And how far a group has read in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.settings import KafkaSettings
from shared.shell.kafka.membership import described
from shared.shell.kafka.refusals import unusable_kafka
from shared.shell.kafka.source import connection

ASK_SECONDS = 20.0


async def cluster_id(settings: KafkaSettings) -> str:
    """Raises KafkaRefused; BusUnavailable where waiting may help."""
    async with _asking(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


async def committed(settings: KafkaSettings, group: str) -> dict[tuple[str, int], int]:
    """By topic and partition, the next offset that a group reads; only of partitions that it has read. Raises
    KafkaRefused; BusUnavailable where waiting may help."""
    async with _asking(settings) as admin:
        await described(admin, group)  # a coordinator that still loads its groups says that it knows no offsets
        offsets = await admin.list_consumer_group_offsets(group)
    return {(place.topic, place.partition): found.offset for place, found in offsets.items() if found.offset >= 0}


@asynccontextmanager
async def _asking(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await admin.start()
            yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise await unusable_kafka(settings, error) from error
    finally:
        await admin.close()
