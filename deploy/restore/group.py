"""A service's consumer group while all its workers are stopped: who is in it, and where it reads next."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.check.topics import places_of
from shared.settings import KafkaSettings
from shared.shell.kafka.source import close_client, new_consumer
from shared.shell.ports.bus import BusUnavailable

COMMIT_WITHIN = 30.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class SetBack:
    positions: Sequence[tuple[str, int, int]]
    """Topic, partition, and the offset of the first record that is read again."""
    cut: Sequence[str]
    """Topics that no longer have all records of that time: what they have lost cannot be handled again."""


async def set_back(
    settings: KafkaSettings, group: str, topics: Collection[str], at: datetime, handled: Mapping[tuple[str, int], int]
) -> SetBack:
    """Have the group read on with the first records that are no older, or where the database had come to (`handled`)
    if it was further back: then it was working off a backlog. It has no members. Raises BusUnavailable."""
    consumer = new_consumer(settings, group_id=group)
    try:
        await consumer.start()
        places = await places_of(settings, topics)
        consumer.assign(places)
        found = await consumer.offsets_for_times(dict.fromkeys(places, int(at.timestamp() * 1000)))
        first, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        offsets = {place: found[place].offset if found[place] else ends[place] for place in places}
        offsets = {
            place: max(first[place], min(offset, _handled_of(place, handled, ends)))
            for place, offset in offsets.items()
        }
        await _commit(consumer, offsets)
        cut = {place.topic for place in places if first[place] and offsets[place] <= first[place] < ends[place]}
        return SetBack([(place.topic, place.partition, at) for place, at in offsets.items()], sorted(cut))
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"group {group} cannot be set back: {type(error).__name__}") from error
    finally:
        await close_client(consumer)


def _handled_of(
    place: TopicPartition, handled: Mapping[tuple[str, int], int], ends: Mapping[TopicPartition, int]
) -> int:
    """Nothing, where the database had read nothing of it, or the topic was made again since."""
    offset = handled.get((place.topic, place.partition), 0)
    return offset if offset <= ends[place] else 0


async def _commit(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
    async with asyncio.timeout(COMMIT_WITHIN):
        while True:
            try:
                await consumer.commit(offsets)
                return
            except KafkaError:
                await asyncio.sleep(0.5)  # until the coordinator is there
