"""One message at a time: read, one transaction, the next. And the publisher that polls the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from deploy.client.storefront import uuid7
from shared.contracts import TOPICS
from shared.contracts.envelope import Envelope, decode, encode, from_headers, message_type, to_headers
from shared.core import Message, Topic
from shared.settings import KafkaSettings
from shared.shell.kafka.source import connection
from tests.benchmarks.usual_way.tables import OutboxMessage, ProcessedMessage

PREFIX = "usual."
"""Before its topics' names, so that both systems can live on one broker."""
POLL_SECONDS = 0.05
BATCH = 500
COMMIT_SECONDS = 1.0

Sessions = async_sessionmaker[AsyncSession]


@dataclass(frozen=True)
class Incoming:
    """A message's surroundings: its envelope, the session of its transaction, and a way to tell what follows."""

    envelope: Envelope
    session: AsyncSession
    service: str
    at: datetime

    @property
    def key(self) -> str:
        return self.envelope.subject

    def emit(self, *messages: Message) -> None:
        """Write events to the outbox, in the same transaction."""
        cause = self.envelope
        for message in messages:
            envelope = Envelope(
                id=uuid7(),
                type=message.type,
                version=message.version,
                source=self.service,
                subject=self.key,
                time=self.at,
                store=cause.store,
                correlation_id=cause.correlation_id or str(cause.id),
                causation_id=str(cause.id),
                actor="system",
            )
            headers = {name: value.decode() for name, value in to_headers(envelope)}
            row = OutboxMessage(topic=message.topic.name, key=self.key, headers=headers, body=encode(message))
            self.session.add(row)


Handlers = Mapping[type[Any], Callable[[Any, Incoming], Awaitable[None]]]


async def consume(
    settings: KafkaSettings,
    sessions: Sessions,
    service: str,
    topics: list[Topic],
    handlers: Handlers,
    started: asyncio.Event,
) -> None:
    """For ever: each message in its own transaction, then the next."""
    consumer = AIOKafkaConsumer(
        *(PREFIX + topic.name for topic in topics),
        **connection(settings),
        group_id=PREFIX + service,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    started.set()
    committed = asyncio.get_running_loop().time()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=int(COMMIT_SECONDS * 1000), max_records=100)
            for record in (record for records in found.values() for record in records):
                await handle(sessions, service, handlers, record)
            if found and asyncio.get_running_loop().time() - committed > COMMIT_SECONDS:
                await consumer.commit()
                committed = asyncio.get_running_loop().time()
    finally:
        await consumer.stop()


async def handle(sessions: Sessions, service: str, handlers: Handlers, record: Any) -> None:
    """One message: nothing happens when it was processed before."""
    envelope = from_headers(record.headers, record.key)
    kind = message_type(envelope)
    handler = handlers.get(kind)
    if handler is None:
        return
    message = decode(kind, record.value)
    async with sessions() as session, session.begin():
        claim = insert(ProcessedMessage).values(message_id=envelope.id).on_conflict_do_nothing()
        claimed = await session.execute(claim.returning(ProcessedMessage.message_id))
        if claimed.first() is not None:
            await handler(message, Incoming(envelope, session, service, datetime.now(UTC)))


async def publish(settings: KafkaSettings, sessions: Sessions, started: asyncio.Event) -> None:
    """For ever: read the lowest rows, produce them, delete them."""
    producer = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True)
    await producer.start()
    started.set()
    try:
        while True:
            if await publish_some(sessions, producer) < BATCH:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await producer.stop()


async def publish_some(sessions: Sessions, producer: AIOKafkaProducer) -> int:
    async with sessions() as session, session.begin():
        lowest = sa.select(OutboxMessage).order_by(OutboxMessage.id).limit(BATCH).with_for_update(skip_locked=True)
        rows = (await session.scalars(lowest)).all()
        if rows:
            sent = [
                await producer.send(
                    PREFIX + row.topic,
                    row.body,
                    key=row.key.encode(),
                    headers=[(name, value.encode()) for name, value in row.headers.items()],
                )
                for row in rows
            ]
            await asyncio.gather(*sent)
            await session.execute(sa.delete(OutboxMessage).where(OutboxMessage.id.in_([row.id for row in rows])))
    return len(rows)


async def create_topics(settings: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        topics = [NewTopic(PREFIX + topic.name, settings.partitions, settings.replication) for topic in TOPICS]
        answer = await admin.create_topics(topics)
        for name, code, *_ in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise RuntimeError(f"topic {name}: {for_code(code).__name__}")
    finally:
        await admin.close()
