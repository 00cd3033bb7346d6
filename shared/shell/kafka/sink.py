"""Writing to Kafka: what one call takes, and what the errors of records, topics and connections mean."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import orjson
from aiokafka import errors
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from shared.settings import KafkaSettings
from shared.shell.kafka.producer import FencedProducer, InvalidRecordError
from shared.shell.kafka.source import connection
from shared.shell.kafka.topics import MAX_RECORD
from shared.shell.ports.bus import BusUnavailable, Sent
from shared.shell.ports.clock import Clock, SystemClock
from shared.shell.ports.rows import OutboxRow

BATCH_BYTES = 256 * 1024
MAX_REQUEST = MAX_RECORD + 100_000
FRAME_BYTES = 100
"""More than Kafka adds to a record, its share of the batch's own bytes included."""
SEND_SECONDS = 20.0
"""How long a call waits for acknowledgements."""
LOOK_SECONDS = 0.25
START_SECONDS = 20.0
RENEW_SECONDS = 24 * 3600.0
"""Kafka forgets a transactional id that was not used for a week, and its epoch with it."""
FOR_GOOD = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.CorruptRecordException,
    errors.UnsupportedForMessageFormatError,
    InvalidRecordError,
)
"""Kafka will never take this record."""
OF_THE_TOPIC = (
    errors.UnknownTopicOrPartitionError,
    errors.TopicAuthorizationFailedError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.NotLeaderForPartitionError,
    errors.LeaderNotAvailableError,
    errors.NotEnoughReplicasError,
    errors.NotEnoughReplicasAfterAppendError,
    errors.InvalidTimestampError,  # the database's clock is wrong, by which records are dated, or the broker's
)
"""Kafka takes no record of this topic at the moment."""

Place = tuple[str, int]
"""Topic and partition."""
Pending = dict[Place, tuple[list[OutboxRow], "asyncio.Future[Any]"]]
"""A batch on its way, by its partition: its rows, and Kafka's answer to all of them."""


@lru_cache(2000)
def _hash(key: str) -> int:
    """Kafka's own choice of the partition. It is slow in Python, and the messages of a key come close together."""
    hashed: int = murmur2(key.encode())
    return hashed & 0x7FFFFFFF


class KafkaSink:
    """See `ports.bus`. `fence`: the same for all that write for one service.

    The rows of one call for one partition are one batch of Kafka's: it is taken or refused whole, so that no later
    record of a key can be written without the earlier one.
    """

    def __init__(self, settings: KafkaSettings, client: str, fence: str, clock: Clock | None = None) -> None:
        self.settings, self.client, self.fence, self.clock = settings, client, fence, clock or SystemClock()
        self._producer: FencedProducer | None = None
        self._renew_at = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._drop()
        producer = FencedProducer(
            **connection(self.settings),
            client_id=self.client,
            transactional_id=self.fence,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_REQUEST,
            request_timeout_ms=20_000,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await producer.start()
        except BaseException as error:
            await producer.drop()
            if isinstance(error, KafkaError | OSError):
                raise BusUnavailable(type(error).__name__) from error
            raise
        self._producer = producer
        self._renew_at = asyncio.get_running_loop().time() + RENEW_SECONDS

    def started(self) -> bool:
        return self._producer is not None and asyncio.get_running_loop().time() < self._renew_at

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        producer = self._producer
        if producer is None:
            raise BusUnavailable("not started")
        try:
            partitions = await producer.partitions({row.topic for row in rows})
            held_up = {topic: producer.gone(topic) for topic, count in partitions.items() if not count}
            pending, refused = await self._handed_over(producer, rows, partitions)
            await self._answers(producer, pending)
        except (KafkaError, OSError) as error:
            self._drop()
            raise BusUnavailable(type(error).__name__) from error
        sent = _judged(producer, pending, refused, held_up)
        if sent.trouble or len(sent.acknowledged) < sum(len(members) for members, _ in pending.values()):
            self._drop()  # its numbers are out of step
        return sent

    async def _handed_over(
        self, producer: FencedProducer, rows: Sequence[OutboxRow], partitions: dict[str, int]
    ) -> tuple[Pending, dict[int, str]]:
        """What the producer took, at most one batch per partition; and what is too large for it."""
        space: dict[Place, int] = defaultdict(lambda: BATCH_BYTES)
        batches: dict[Place, tuple[Any, list[OutboxRow]]] = defaultdict(lambda: (producer.create_batch(), []))
        refused: dict[int, str] = {}
        at = int(self.clock.now().timestamp() * 1000)
        for row in rows:
            if not (count := partitions[row.topic]):
                continue
            place = (row.topic, _hash(row.key) % count)
            free, size = space[place], len(row.headers) + len(row.body) + len(row.key) + FRAME_BYTES
            if size > free and free < BATCH_BYTES:
                space[place] = 0  # nor anything behind it: that would be another batch
                continue
            space[place] = free - size
            key, headers = row.key.encode(), [(name, value.encode()) for name, value in orjson.loads(row.headers)]
            if size > BATCH_BYTES and _size_in_bytes(key, row.body, headers) > MAX_REQUEST:
                refused[row.id] = errors.MessageSizeTooLargeError.__name__
                space[place] = 0
                continue
            batch, members = batches[place]
            taken = batch.append(timestamp=at, key=key, value=row.body, headers=headers)
            assert taken, "there is space"
            members.append(row)
        pending: Pending = {}
        for (topic, partition), (batch, members) in batches.items():
            pending[topic, partition] = members, await producer.send_batch(batch, topic, partition=partition)
        return pending, refused

    async def _answers(self, producer: FencedProducer, pending: Pending) -> None:
        """Wait until every batch is answered; not for topics that were deleted meanwhile, and not forever."""
        waiting = {future: topic for (topic, _), (_, future) in pending.items()}
        until = asyncio.get_running_loop().time() + SEND_SECONDS
        while waiting:
            _, open_ones = await asyncio.wait(waiting, timeout=LOOK_SECONDS)
            waiting = {future: topic for future, topic in waiting.items() if future in open_ones}
            if asyncio.get_running_loop().time() > until or all(map(producer.gone, waiting.values())):
                return

    async def stop(self) -> None:
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing)

    def _drop(self) -> None:
        """Close the producer in the background; whatever it still sends is fenced off by the next one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            closing = asyncio.create_task(producer.drop())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _judged(producer: FencedProducer, pending: Pending, refused: dict[int, str], held_up: dict[str, str]) -> Sent:
    """The outcome of the batches. One without an answer is its topic's fault where others were answered, or else the
    connection's."""
    acknowledged: list[int] = []
    silent, trouble = set[str](), ""
    for (topic, _), (rows, future) in pending.items():
        if not future.done():
            silent.add(topic)
        elif future.cancelled():
            trouble = "Cancelled"
        elif (error := future.exception()) is None:
            acknowledged += [row.id for row in rows]
        elif isinstance(error, FOR_GOOD):
            refused |= {row.id: _named(error) for row in rows}
        elif isinstance(error, OF_THE_TOPIC):
            held_up[topic] = _named(error)
        else:
            trouble = _named(error)
    for topic in silent:
        if why := producer.gone(topic):
            held_up[topic] = why
        elif acknowledged:
            held_up[topic] = f"no answer within {SEND_SECONDS:g} s"
        else:
            trouble = f"no answer within {SEND_SECONDS:g} s"
    return Sent(acknowledged, refused, held_up, trouble)


_size_in_bytes: Callable[..., int] = DefaultRecordBatchBuilder.estimate_size_in_bytes


def _named(error: BaseException) -> str:
    return type(error).__name__
