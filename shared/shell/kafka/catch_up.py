"""Reading again what was read before, in the order in which it happened: after a database was restored.

A service reads several topics, and order holds within a partition only. The first time, cause came before effect by
itself: a payment was captured after its order had been placed. Read again all at once, an effect may come first, find
no order, and be dropped. So one worker reads all partitions in the order of their records' times, no key twice in one
go, and goes on when the calls are answered that it brought about.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts import TOPICS
from shared.settings import KafkaSettings
from shared.shell.kafka.record_batches import at_most
from shared.shell.kafka.source import READ_BYTES, READ_SECONDS, KafkaSource, end, position
from shared.shell.ports.bus import BusRecord, BusUnavailable

Place = tuple[str, int]
"""Topic and partition."""


_COPIED = b"/http"
_COMMANDS = ".commands."
_FIRST = datetime.min.replace(tzinfo=UTC)
_COMPACTED = frozenset(topic.name for topic in TOPICS if topic.compacted)


def decided_at(record: BusRecord) -> datetime:
    """When a record was written; of the copy of a command over HTTP, when the command was decided: messages that came
    before its copy, but after it, were decided after it. A record of a compacted topic may stand for earlier ones that
    are gone: it comes before all else."""
    if record.topic in _COMPACTED:
        return _FIRST
    if _COMMANDS in record.topic:
        headers = dict(record.headers)
        if (headers.get("ce_source") or b"").endswith(_COPIED):
            with suppress(ValueError, TypeError):  # no time, or one without a zone
                return min(record.at, datetime.fromisoformat((headers.get("ce_time") or b"").decode()))
    return record.at


class InOrderOfTime:
    """Merges partitions by the times of their records; within a partition the order stays."""

    def __init__(self) -> None:
        self._waiting: dict[Place, deque[tuple[datetime, BusRecord]]] = {}
        self._latest: dict[Place, datetime] = {}

    def add(self, records: Sequence[BusRecord]) -> None:
        """A record counts as no older than those before it in its partition: producers' clocks differ."""
        for record in records:
            place, at = (record.topic, record.partition), decided_at(record)
            at = self._latest[place] = max(at, self._latest.get(place, at))
            self._waiting.setdefault(place, deque()).append((at, record))

    def size(self) -> int:
        """How many records wait."""
        return sum(map(len, self._waiting.values()))

    def oldest(self) -> datetime | None:
        """The time of the oldest that waits."""
        return min((queue[0][0] for queue in self._waiting.values() if queue), default=None)

    def first(self, place: Place) -> int | None:
        """The offset of the first record of this partition that waits."""
        waiting = self._waiting.get(place)
        return waiting[0][1].offset if waiting else None

    def empty(self, place: Place) -> bool:
        return not self._waiting.get(place)

    def keep(self, places: Collection[Place]) -> None:
        """Forget what is of other partitions."""
        for place in self._waiting.keys() - places:
            del self._waiting[place], self._latest[place]

    def take(self, limit: int, more: Collection[Place]) -> list[BusRecord]:
        """The oldest records: as many as are certain to be the oldest while there is still something to be read of the
        partitions `more`, none of a key that is among them already, and none behind one that is left."""
        taken: list[BusRecord] = []
        keys: set[bytes | None] = set()
        while len(taken) < limit and not any(self.empty(place) for place in more):
            heads = [(queue[0][0], place) for place, queue in self._waiting.items() if queue]
            if not heads:
                break
            _, place = min(heads)
            record = self._waiting[place][0][1]
            if record.key in keys:
                break
            keys.add(record.key)
            taken.append(record)
            self._waiting[place].popleft()
        return taken


class CatchUpSource(KafkaSource):
    """The only member of its group while it catches up. `settled` returns when what was handed on is handled and its
    calls to the outside are answered."""

    settled: Callable[[], Awaitable[None]]

    def __init__(self, settings: KafkaSettings, group: str, member: str, topics: Sequence[str]) -> None:
        super().__init__(settings, group, member, topics)
        self._merged = InOrderOfTime()
        self._targets: dict[TopicPartition, int] = {}
        """Where each partition ended when it was assigned."""

    def lag(self) -> int:
        return super().lag() + self._merged.size()

    def oldest_unread(self) -> datetime | None:
        times = [at for at in (super().oldest_unread(), self._merged.oldest()) if at not in (None, _FIRST)]
        return min(times, default=None)

    def reached(self) -> bool:
        """Whether all that was there when it began to read is handed on."""
        consumer = self._consumer
        if consumer is None or not self._targets:
            return False
        following = {place: self._merged.first((place.topic, place.partition)) for place in self._targets}
        return all(
            (here if (here := following[place]) is not None else position(consumer, place) or 0) >= target
            for place, target in self._targets.items()
        )

    def time(self) -> datetime:
        """Of the next record; now, once there are only new ones; the beginning of time before anything was read."""
        if self.reached():
            return datetime.now(UTC)
        return self._merged.oldest() or datetime.min.replace(tzinfo=UTC)

    async def read(self, limit: int) -> Sequence[BusRecord]:
        await self.settled()
        consumer = await self._member()
        assigned = {(place.topic, place.partition): place for place in consumer.assignment()}
        self._merged.keep(assigned)
        await self._note_targets(consumer)
        empty = [place for name, place in assigned.items() if self._merged.empty(name)]
        # What is there already comes at once; it is waited for only where nothing can be done before.
        waits = not self._merged.size() or any(_behind(consumer, place) for place in empty)
        try:
            with at_most(READ_BYTES):
                async with asyncio.timeout(READ_SECONDS):
                    timeout = 200 if waits else 0
                    found = await consumer.getmany(*empty, timeout_ms=timeout, max_records=None) if empty else {}
        except TimeoutError as error:
            await self.stop()
            raise BusUnavailable("read did not return, rejoining the group") from error
        except (KafkaError, OSError) as error:
            raise BusUnavailable(type(error).__name__) from error
        for records in self._taken(found).values():
            self._merged.add(records)
        return self._merged.take(limit, [name for name, place in assigned.items() if _behind(consumer, place)])

    async def _note_targets(self, consumer: AIOKafkaConsumer) -> None:
        assigned = consumer.assignment()
        if assigned and assigned != self._targets.keys():
            try:
                self._targets = dict(await consumer.end_offsets(assigned))
            except (KafkaError, OSError) as error:
                raise BusUnavailable(type(error).__name__) from error


def _behind(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    """Whether there is something to be read that is not here yet, as far as is known."""
    last, here = end(consumer, place), position(consumer, place)
    return last is None or here is None or here < last
