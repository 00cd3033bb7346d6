"""Topics as they are, from the beginning to where they ended when the reading began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.check.evidence import Seen
from shared.contracts.checkout import STATUS
from shared.contracts.envelope import BadMessage, UnknownMessage, decode, from_headers, message_type
from shared.settings import KafkaSettings
from shared.shell.kafka.record_batches import Unreadable
from shared.shell.kafka.source import close_client, connection, new_consumer
from shared.shell.ports.bus import BusUnavailable


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found. `cut`: topics whose beginning is gone, by retention or by hand."""

    records: Sequence[Seen]
    missing: Sequence[str]
    cut: frozenset[str]
    unreadable: Sequence[str] = ()
    """What is no message, by topic, partition and offset, and why."""


async def read_topics(settings: KafkaSettings, topics: Sequence[str], bodies: str, seconds: float) -> Reading:
    """Read `topics`; keep the bodies of topic `bodies`. What is no message is named.

    Raises BusUnavailable when Kafka cannot be reached or the reading is not done in time.
    """
    consumer = new_consumer(settings, auto_offset_reset="earliest", max_partition_fetch_bytes=4_000_000)
    try:
        async with asyncio.timeout(seconds):
            await consumer.start()
            places = await _places(settings, topics)
            there = {place.topic for place in places}
            consumer.assign(places)
            first, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            for place in places:  # not by seek_to_beginning, which the reset after an assignment may overtake
                consumer.seek(place, first[place])
            records, unreadable = list[Seen](), list[str]()
            async for record in _until(consumer, first, ends):
                try:
                    records.append(_read(record, bodies))
                except BadMessage as wrong:
                    unreadable.append(f"{record.topic}, partition {record.partition}, offset {record.offset}: {wrong}")
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"the topics cannot be read: {type(error).__name__}") from error
    finally:
        await close_client(consumer)
    cut = frozenset(place.topic for place, offset in first.items() if offset > 0)
    return Reading(records, [topic for topic in topics if topic not in there], cut, unreadable)


async def _places(settings: KafkaSettings, topics: Sequence[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]


async def _until(
    consumer: AIOKafkaConsumer, first: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> AsyncIterator[Any]:
    open_places = {place for place, end in ends.items() if first[place] < end}
    while open_places:
        found = await consumer.getmany(*open_places, timeout_ms=500)
        for place, records in found.items():
            for record in records:
                if record.offset < ends[place]:
                    yield record
        for place in list(open_places):
            if await consumer.position(place) >= ends[place]:
                open_places.discard(place)


def _read(record: Any, bodies: str) -> Seen:
    """Raises BadMessage. A record whose type only another build knows has no kind."""
    if isinstance(record, Unreadable):
        raise BadMessage(record.error)
    envelope = from_headers(record.headers, record.key)
    try:
        kind = message_type(envelope)
    except UnknownMessage:
        kind = None
    if kind is not None and kind.topic.name != record.topic:
        raise BadMessage(f"{kind.type} does not belong on this topic")
    at = datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC)
    body = (record.value or b"") if record.topic == bodies else b""
    if kind is not None and record.topic == STATUS.name:
        decode(kind, record.value)
    return Seen(record.topic, envelope.subject, envelope.id, kind, envelope.source, envelope.sequence, at, body)
