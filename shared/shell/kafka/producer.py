"""aiokafka's idempotent producer, fenced: it borrows the producer id and epoch of a transactional id, without
transactions.

Kafka gives every producer that starts under a transactional id the same producer id and the next epoch, and refuses on
each partition what comes with an older epoch than it has seen there. Transactions would give the same at the price of
two more requests and a marker per partition for each batch. Uses attributes that aiokafka 0.14 calls private; the tests
in `integration/test_relay_on_kafka.py` hold it to what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError, kafka_errors

CLOSE_SECONDS = 5.0


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]
    """The broker's own check of records refuses one. aiokafka does not know the code."""

    errno = 87
    message = "INVALID_RECORD"


kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)


class FencedProducer(AIOKafkaProducer):  # type: ignore[misc]
    """`transactional_id` names the fence: all producers of one service have the same."""

    async def start(self) -> None:
        await super().start()
        self._txn_manager.transactional_id = None  # the epoch is taken; transactions are not used

    async def partitions(self, topics: Collection[str]) -> dict[str, int]:
        """How many partitions each of the topics has; 0 for one that we may not write to. Raises KafkaError when no
        broker answers."""
        found = {topic: self._count(topic) for topic in topics}
        if not all(found.values()):
            for topic in topics:
                self.client.add_topic(topic)
            if not await self.client.force_metadata_update():
                raise KafkaError("no broker answers")
            found = {topic: self._count(topic) for topic in topics}
        return found

    def _count(self, topic: str) -> int:
        return len(self.client.cluster.partitions_for_topic(topic) or ())

    def gone(self, topic: str) -> str:
        """Why a topic cannot be written to, as far as is known; empty when it can."""
        if self._count(topic):
            return ""
        forbidden = topic in self.client.cluster.unauthorized_topics
        return "TopicAuthorizationFailedError" if forbidden else "UnknownTopicOrPartitionError"

    async def drop(self) -> None:
        """Close without waiting for what is still to be sent: the next producer sends it again."""
        self._closed = True
        task: asyncio.Task[Any] | None = self._sender.sender_task
        if task is not None:
            task.cancel()
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.client.close()
                if task is not None:
                    await asyncio.wait([task])
        if task is not None and task.done() and not task.cancelled():
            task.exception()
