"""A storefront whose producer Kafka does not trust any more (after a full disk, say) goes on with a new one."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import TopicPartition

from deploy.client.storefront import KafkaUnreachable, Storefront
from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from shared.contracts.checkout import ORDERS
from shared.settings import KafkaSettings
from shared.shell.kafka.topics import ensure_topics
from tests.integration.conftest import ShortLivedKafka


async def test_a_record_that_kafka_never_saw_stops_nothing(tmp_path: Path) -> None:
    async with Children() as children:
        broker = ShortLivedKafka(tmp_path / "kafka", tmp_path, choose(("kafka", "kafka_controller")), children)
        await broker.start()
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await ensure_topics(settings, [])
        async with Storefront(settings) as storefront:
            first = await storefront.publish_raw(ORDERS.name, b"1", b"key", [])
            distrusted = storefront._producer
            assert distrusted is not None
            # As if Kafka had refused a record between: the next one is out of order.
            distrusted._txn_manager.increment_sequence_number(TopicPartition(ORDERS.name, first.partition), 1)
            second = await storefront.publish_raw(ORDERS.name, b"2", b"key", [])
            assert (second.partition, second.offset) == (first.partition, first.offset + 1)
            assert storefront._producer is not distrusted
            with pytest.raises(KafkaUnreachable, match="MessageSizeTooLarge"):
                await storefront.publish_raw(ORDERS.name, bytes(3_000_000), b"key", [])
