"""What stands outside and speaks to orderbus over Kafka: a storefront that publishes, a reader that follows topics."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Message, Topic
from shared.core.ids import RANDOM_BITS, random_id
from shared.errors import ReportedError
from shared.settings import KafkaSettings
from shared.shell.kafka.refusals import unusable_kafka
from shared.shell.kafka.source import close_client, connection, new_consumer
from shared.shell.kafka.tls import KafkaRefused

TRIES, PAUSE, ANSWER_WITHIN = 6, 0.5, 60.0
"""How often a record is offered to Kafka, and seconds: between two tries (longer each time), and for its answer."""
REFUSED = (MessageSizeTooLargeError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""What another try would not change."""


class KafkaUnreachable(ReportedError):
    """The text is one sentence for people to read."""


class NotLetIn(KafkaUnreachable):
    """The settings do not lead to brokers that let this client in: nothing was done."""

    exit_code = 2


def uuid7() -> UUID:
    """A new id that sorts by time (RFC 9562)."""
    return random_id(time.time_ns() // 1_000_000, secrets.randbits(RANDOM_BITS))


@dataclass(frozen=True, slots=True)
class Published:
    """Where a message is now. `at`: the record's time stamp, milliseconds since 1970."""

    id: str
    topic: str
    partition: int
    offset: int
    at: int


class Storefront:
    """Publishes messages as any storefront would: CloudEvents in Kafka's binary mode, by order id."""

    def __init__(self, settings: KafkaSettings, source: str = "storefront") -> None:
        self._settings = settings
        self._source = source
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._producer = await self._new_producer()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await close_client(self._producer)
        await asyncio.gather(*self._leaving)

    async def _new_producer(self) -> AIOKafkaProducer:
        options = {"acks": "all", "enable_idempotence": True, "linger_ms": 2, "client_id": self._source}
        return await _started(lambda: AIOKafkaProducer(**connection(self._settings), **options), self._settings)

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        """A producer of which Kafka missed one record may send nothing more to that partition."""
        async with self._renewing:
            if self._producer is broken:
                self._producer = await self._new_producer()
                leaving = asyncio.create_task(close_client(broken))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)

    async def publish(
        self, message: Message, key: str, *, actor: str = "customer", identity: UUID | None = None
    ) -> Published:
        """Returns when Kafka has it on disk. The same `identity` again is the same message again."""
        store = getattr(message, "store", "")
        return await self.publish_body(type(message), encode(message), key, store=store, actor=actor, identity=identity)

    async def publish_body(
        self,
        kind: type[Message],
        body: bytes,
        key: str,
        *,
        store: str = "",
        actor: str = "customer",
        identity: UUID | None = None,
    ) -> Published:
        """A body that was not checked, with valid headers."""
        id = identity or uuid7()
        envelope = Envelope(
            id=id,
            type=kind.type,
            source=self._source,
            subject=key,
            time=datetime.now(UTC),
            version=kind.version,
            store=store,
            actor=actor,
        )
        return await self.publish_raw(kind.topic.name, body, key.encode(), to_headers(envelope), str(id))

    async def publish_raw(
        self,
        topic: str,
        body: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        id: str = "",
    ) -> Published:
        """Anything at all, right or wrong. Tried again when Kafka had trouble: it may then be there twice."""
        for attempt in range(1, TRIES + 1):
            producer = self._producer
            assert producer is not None
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    record = await producer.send_and_wait(topic, body, key=key, headers=list(headers))
                return Published(id, topic, record.partition, record.offset, record.timestamp)
            except (KafkaError, TimeoutError) as trouble:
                if attempt == TRIES or isinstance(trouble, REFUSED):
                    raise KafkaUnreachable(_not_taken(self._settings, topic, trouble)) from trouble
                await asyncio.sleep(PAUSE * attempt)
                with contextlib.suppress(KafkaUnreachable):  # not back yet: the old one tries on
                    await self._renew(producer)
        raise AssertionError("unreachable")


def _not_taken(settings: KafkaSettings, topic: str, trouble: Exception) -> str:
    if isinstance(trouble, TopicAuthorizationFailedError):
        user = settings.sasl_username or "this client"
        return f"{user} may not write to {topic}: grant write and describe on it, and idempotent write, in Kafka."
    if isinstance(trouble, UnknownTopicOrPartitionError):
        return f"There is no topic {topic}, or this client may not see it (describe): do the services run?"
    return f"Kafka did not take a record for {topic}: {type(trouble).__name__}"


@dataclass(frozen=True, slots=True)
class Read:
    """A record as an outside reader sees it. `at`: its time stamp, milliseconds since 1970."""

    topic: str
    key: str
    type: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: int


class Follower:
    """Reads topics from their beginning or end, with no group and no claim on anything. `types`: only messages of
    these types."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[Topic],
        *,
        from_beginning: bool = False,
        types: Collection[str] | None = None,
    ) -> None:
        self._settings = settings
        self._topics = [topic.name for topic in topics]
        self._from_beginning = from_beginning
        self._types = None if types is None else {name.encode() for name in types}
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        options = {"auto_offset_reset": "earliest", "fetch_max_wait_ms": 100, "client_id": "follower"}
        consumer = await _started(lambda: new_consumer(self._settings, *self._topics, **options), self._settings)
        self._consumer = consumer
        if not self._from_beginning:
            for partition in consumer.assignment():
                await consumer.position(partition)  # else the reset to the beginning, still in progress, would win
            await consumer.seek_to_end()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._consumer is not None:
            await close_client(self._consumer)

    async def batches(self, timeout: float = 1.0) -> AsyncIterator[list[Read]]:
        """Yields forever; an empty list if nothing came within `timeout` seconds."""
        assert self._consumer is not None
        while True:
            found = await self._consumer.getmany(timeout_ms=int(timeout * 1000), max_records=2000)
            yield [_read(record) for records in found.values() for record in records if self._wanted(record)]

    def _wanted(self, record: Any) -> bool:
        return self._types is None or any(name == "ce_type" and value in self._types for name, value in record.headers)

    async def records(self) -> AsyncIterator[Read]:
        async for batch in self.batches():
            for record in batch:
                yield record


def _read(record: Any) -> Read:
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    try:
        body = orjson.loads(record.value or b"null")
    except orjson.JSONDecodeError:
        body = None
    return Read(
        topic=record.topic,
        key=(record.key or b"").decode("utf-8", "replace"),
        type=headers.get("ce_type", ""),
        headers=headers,
        body=body if isinstance(body, dict) else {},
        at=record.timestamp,
    )


async def _started(new_client: Callable[[], Any], settings: KafkaSettings) -> Any:
    """Raises KafkaUnreachable."""
    try:
        client = new_client()
    except KafkaRefused as wrong:  # a file of the settings
        raise NotLetIn(str(wrong)) from wrong
    try:
        await client.start()
    except UnknownTopicOrPartitionError as unknown:
        await client.stop()
        raise KafkaUnreachable("Kafka does not have these topics yet: are the services running?") from unknown
    except (KafkaError, OSError, UnicodeError) as trouble:  # the last: no name of a host
        await client.stop()
        said = await unusable_kafka(settings, trouble)
        if isinstance(said, KafkaRefused):
            raise NotLetIn(str(said)) from trouble
        raise KafkaUnreachable(f"{str(said).rstrip('.')}. `orderbus doctor` shows what runs.") from trouble
    return client
