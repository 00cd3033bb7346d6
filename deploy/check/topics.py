"""Topics as they are, from some place in each to where it ended when the reading began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.contracts.checkout import STATUS
from shared.contracts.envelope import BadMessage, UnknownMessage, from_headers, message_type
from shared.core import Message
from shared.settings import KafkaSettings
from shared.shell.inbound.message import identity_of
from shared.shell.kafka.record_batches import Unreadable
from shared.shell.kafka.refusals import unusable_kafka
from shared.shell.kafka.source import close_client, connection, new_consumer
from shared.shell.ports.bus import BusUnavailable

FETCH_BYTES = 300_000
"""Of one partition, in one fetch."""
AT_ONCE = 2_000
"""Records that are handed on together."""


class Seen(NamedTuple):
    """A record that is a message; the body only where it is needed."""

    topic: str
    key: str
    id: UUID
    kind: type[Message] | None
    """None where only a newer build knows it."""
    source: str
    sequence: int
    at: datetime
    body: bytes = b""

    @property
    def identity(self) -> UUID:
        """What an inbox knows it by."""
        return identity_of(self.source, self.id)


class Topics:
    """An open reader of some topics. Raises BusUnavailable, KafkaRefused."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        self._settings, self._topics = settings, topics
        self._consumer: AIOKafkaConsumer | None = None
        self.first: Mapping[TopicPartition, int] = {}
        self.ends: Mapping[TopicPartition, int] = {}
        self.missing: Sequence[str] = ()

    async def __aenter__(self) -> Self:
        consumer = new_consumer(
            self._settings,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            metadata_max_age_ms=30_000,
        )
        try:
            await consumer.start()
            places = await places_of(self._settings, self._topics)
            consumer.assign(places)
            self.first = await consumer.beginning_offsets(places)
            self.ends = await consumer.end_offsets(places)
        except KafkaConnectionError as error:
            await close_client(consumer)
            raise await unusable_kafka(self._settings, error) from error
        except (KafkaError, OSError) as error:
            await close_client(consumer)
            raise _unavailable(error) from error
        except BaseException:
            await close_client(consumer)
            raise
        there = {place.topic for place in places}
        self.missing = [topic for topic in self._topics if topic not in there]
        self._consumer = consumer
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._consumer is not None:
            await close_client(self._consumer)

    @property
    def cut(self) -> frozenset[str]:
        """Topics whose beginning is gone, by retention or by hand."""
        return frozenset(place.topic for place, offset in self.first.items() if offset > 0)

    async def offsets_at(self, at: datetime) -> dict[TopicPartition, int]:
        """Of the first records that are no older."""
        assert self._consumer is not None
        wanted = dict.fromkeys(self.ends, int(at.timestamp() * 1000))
        found = await self._consumer.offsets_for_times(wanted)
        return {place: found[place].offset if found[place] else end for place, end in self.ends.items()}

    async def read(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Sequence[Any]]:
        """The records of these partitions from these offsets on, in pieces; those of a partition in its order."""
        consumer = self._consumer
        assert consumer is not None
        open_places = {place for place, start in starts.items() if start < self.ends[place]}
        if not open_places:
            return
        consumer.assign(list(open_places))
        for place in open_places:  # not by seek_to_beginning, which the reset after an assignment may overtake
            consumer.seek(place, max(starts[place], self.first[place]))
        try:
            while open_places:
                found = await consumer.getmany(*open_places, timeout_ms=500, max_records=AT_ONCE)
                for place, records in found.items():
                    end = self.ends[place]
                    yield records if records[-1].offset < end else [one for one in records if one.offset < end]
                for place in list(open_places):
                    if await consumer.position(place) >= self.ends[place]:
                        open_places.discard(place)
        except (KafkaError, OSError) as error:
            raise _unavailable(error) from error


async def places_of(settings: KafkaSettings, topics: Collection[str]) -> list[TopicPartition]:
    """All partitions of these topics. Raises KafkaError, OSError."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return [TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"]]


async def messages(settings: KafkaSettings, topic: str, kinds: Collection[type[Message]]) -> AsyncIterator[Seen]:
    """All messages of some types on a topic, with their bodies. What is no message is left out."""
    async with Topics(settings, [topic]) as topics:
        async for records in topics.read(topics.first):
            for record in records:
                try:
                    seen = read(record, topic)
                except BadMessage:
                    continue  # its readers park it
                if seen.kind in kinds:
                    yield seen


def read(record: Any, bodies: str = STATUS.name) -> Seen:
    """The body, too, of a record of the topic `bodies`. A record whose type only another build knows has no kind.
    Raises BadMessage."""
    if isinstance(record, Unreadable):
        raise BadMessage(record.error)
    envelope = from_headers(record.headers, record.key)
    topic: str = record.topic
    try:
        kind = message_type(envelope)
    except UnknownMessage:
        kind = None
    if kind is not None and kind.topic.name != topic:
        raise BadMessage(f"{kind.type} does not belong on this topic")
    at, body = datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC), b""
    if topic == bodies:
        body = record.value or b""
    if topic == STATUS.name and not is_object(body):
        raise BadMessage("the body is not a JSON object")
    return Seen(topic, envelope.subject, envelope.id, kind, envelope.source, envelope.sequence, at, body)


def is_object(body: bytes) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        return False


def place_of(record: Any) -> str:
    """As staff read it."""
    return f"{record.topic}, partition {record.partition}, offset {record.offset}"


def _unavailable(error: Exception) -> BusUnavailable:
    return BusUnavailable(f"the topics cannot be read: {type(error).__name__}")
