"""How far a group has read, asked while Kafka comes back: its coordinator answers before it has loaded its groups."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from shared.contracts.checkout import ORDERS
from shared.settings import KafkaSettings
from shared.shell.kafka.cluster import committed
from shared.shell.kafka.membership import described
from shared.shell.kafka.source import close_client, new_consumer
from shared.shell.kafka.tls import KafkaRefused
from shared.shell.kafka.topics import ensure_topics
from shared.shell.ports.bus import BusUnavailable
from tests.integration.conftest import ShortLivedKafka

LOOKS = 20
GROUPS = 50
"""Loading more takes longer."""


async def commit(settings: KafkaSettings, group: str) -> dict[tuple[str, int], int]:
    consumer = new_consumer(settings, group_id=group)
    await consumer.start()
    places = [place for place in _places() if place.partition % 2]
    consumer.assign(places)
    await consumer.commit(dict.fromkeys(places, 7))
    await close_client(consumer)
    return {(place.topic, place.partition): 7 for place in places}


def _places() -> list[TopicPartition]:
    return [TopicPartition(ORDERS.name, partition) for partition in range(4)]


async def test_positions_are_right_or_not_known_while_kafka_comes_back(tmp_path: Path) -> None:
    async with Children() as children:
        broker = ShortLivedKafka(tmp_path / "kafka", tmp_path, choose(("kafka", "kafka_controller")), children)
        await broker.start()
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, partitions=4)
        await ensure_topics(settings, ["checkout"])
        for number in range(GROUPS):
            expected = await commit(settings, f"group-{number}")
        assert await committed(settings, "group-0") == expected
        assert await committed(settings, "another") == {}

        assert broker.child
        broker.child.kill()
        coming, found = asyncio.create_task(broker.start()), list[dict[tuple[str, int], int]]()
        while len(found) < LOOKS:
            try:
                found.append(await committed(settings, "group-0"))
            except BusUnavailable:
                await asyncio.sleep(0.01)
        await coming
        assert found == [expected] * LOOKS
        await broker.stop()


class Forbidding:
    """Kafka's answer to who may not describe the group."""

    async def describe_consumer_groups(self, groups: list[str], coordinator: int | None) -> list[Any]:
        return [SimpleNamespace(groups=[(GroupAuthorizationFailedError.errno, *groups, "", "", "", [])])]


async def test_who_may_not_read_the_group_is_told_so_instead_of_waiting() -> None:
    admin: Any = Forbidding()
    with pytest.raises(KafkaRefused, match="may not read the group checkout: grant read and describe"):
        await described(admin, "checkout")
