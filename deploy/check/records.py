"""Reads topics into the book, and asks each reader's inbox for what it should have handled."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition

from deploy.check.book import Book, Missing, Told
from deploy.check.databases import Database
from deploy.check.evidence import counted_topics, is_counted, readers
from deploy.check.numbers import Numbers
from deploy.check.replay import Sample
from deploy.check.topics import Seen, Topics, place_of, read
from shared.contracts.checkout import STATUS
from shared.contracts.envelope import BadMessage, read_key
from shared.shell.inbound.records import inbound_of
from shared.shell.kafka.source import bus_record

MOST_NUMBERS = 20_000
"""Streams that are kept in memory before they are written to the book."""
MOST_TOLD = 4_000_000
"""Bytes of status records, likewise."""
GROUP = 300_000
"""Records that are read together, at least."""
INBOX_CHUNK = 5_000
MOST_UNREADABLE = 1_000


class Records:
    """One reading of all topics. `since`: keys with records that are no older are in motion."""

    def __init__(self, book: Book, services: Mapping[str, Database], since: datetime) -> None:
        self._book, self._services, self._since = book, services, since
        registries = {name: database.registry for name, database in services.items()}
        self._readers = readers(registries)
        self._counted = {name: counted_topics(registry) for name, registry in registries.items()}
        self._numbers: dict[tuple[str, str], Numbers] = {}
        self._told: dict[str, Told] = {}
        self._told_bytes = 0
        self._asked: defaultdict[str, list[tuple[Seen, int, int]]] = defaultdict(list)
        self._asking: set[asyncio.Task[None]] = set()
        self.sample = Sample(0)
        self.busy: set[str] = set()
        self.unreadable: list[str] = []
        self.count = 0

    async def read(self, topics: Topics, starts: Mapping[TopicPartition, int]) -> None:
        """A few partitions at a time: the messages of a key are in the same one of each topic, as a rule."""
        self.sample = Sample(sum(topics.ends[place] - start for place, start in starts.items()))
        await self._ask_again()
        for some in _groups(topics, starts):
            async for records in topics.read(some):
                for record in records:
                    self._add(record)
                self.count += len(records)
                await self._ask_full()
                if len(self._numbers) > MOST_NUMBERS or self._told_bytes > MOST_TOLD:
                    self._write()
            self._write()
        for name in list(self._asked):
            await self._ask(name)
        await asyncio.gather(*self._asking)
        for place, end in topics.ends.items():
            self._book.place(place.topic, place.partition, end)

    def _add(self, record: Any) -> None:
        try:
            seen = read(record)
        except BadMessage as wrong:
            self._add_unreadable(record, str(wrong))
            return
        if seen.topic == STATUS.name and seen.kind is None:
            pass  # of a newer build, which says the same in a version that this one knows
        elif seen.topic == STATUS.name:
            self._tell(seen.key, Told(seen.body, record.partition))
        elif is_counted(self._counted, seen):
            place = (seen.key, seen.source)
            numbers = self._numbers.get(place)
            if numbers is None:
                numbers = self._numbers[place] = Numbers()
            numbers.add(seen.sequence, seen.id, record.partition)
        if seen.at > self._since:
            self.busy.add(seen.key)
        names = self._readers.get((seen.topic, seen.kind), ())
        if names:
            self.sample.add(seen.key, record)
        for name in names:
            self._asked[name].append((seen, record.partition, record.offset))

    def _add_unreadable(self, record: Any, error: str) -> None:
        key, wrong = read_key(record.key)
        if record.topic == STATUS.name and record.value is None and not wrong:
            self._tell(key, Told(None, record.partition))  # a tombstone: the topic has nothing of this key any more
            return
        if len(self.unreadable) < MOST_UNREADABLE:
            skipped = "" if self._is_handled(record) else " (no service handles it)"
            self.unreadable.append(f"{place_of(record)}: {error[:200]}{skipped}")
        if record.topic == STATUS.name and not wrong:
            self._tell(key, Told(b"", record.partition))  # the latest of its key: the topic says nothing of the order

    def _is_handled(self, record: Any) -> bool:
        """Whether a service handles it, that is, has parked it: facts of types that it has no use for a service skips,
        whatever else is wrong with them."""
        readers = (database.registry for database in self._services.values())
        return any(inbound_of(one, bus_record(record)) is not None for one in readers if record.topic in one.topics)

    def _tell(self, key: str, told: Told) -> None:
        known = self._told.get(key)
        self._told[key] = told if known is None else known.or_later(told)
        self._told_bytes += len(told.body or b"")

    # Inboxes

    async def _ask_full(self) -> None:
        for name, asked in self._asked.items():
            if len(asked) >= INBOX_CHUNK:
                await self._ask(name)

    async def _ask(self, name: str) -> None:
        """While the answer of one piece is waited for, the next is read."""
        some, self._asked[name] = self._asked[name], []
        await asyncio.gather(*self._asking)
        self._asking = {asyncio.create_task(self._answer(name, some))}
        await asyncio.sleep(0)

    async def _answer(self, name: str, asked: Sequence[tuple[Seen, int, int]]) -> None:
        by_identity = {one[0].identity: one for one in asked}
        missing = await self._services[name].missing(list(by_identity))
        self._book.add_missing(_missing(name, identity, *by_identity[identity]) for identity in missing)

    async def _ask_again(self) -> None:
        """What was missing in the check before may have been handled meanwhile."""
        known: defaultdict[str, dict[UUID, Missing]] = defaultdict(dict)
        for one in self._book.missing():
            known[one.service][UUID(one.identity)] = one
        still = [
            by_identity[identity]
            for name, by_identity in known.items()
            for identity in await self._services[name].missing(list(by_identity))
        ]
        self._book.set_missing(still)

    def _write(self) -> None:
        self._book.add_numbers(self._numbers)
        self._book.add_told(self._told)
        self._numbers, self._told, self._told_bytes = {}, {}, 0


def _groups(topics: Topics, starts: Mapping[TopicPartition, int]) -> Iterator[dict[TopicPartition, int]]:
    group: dict[TopicPartition, int] = {}
    size = 0
    for place in sorted(starts, key=lambda place: (place.partition, place.topic)):
        if size > GROUP and all(place.partition != other.partition for other in group):
            yield group
            group, size = {}, 0
        group[place] = starts[place]
        size += topics.ends[place] - starts[place]
    yield group


def _missing(service: str, identity: UUID, seen: Seen, partition: int, offset: int) -> Missing:
    at = seen.at.isoformat()
    type = seen.kind.type if seen.kind else "a message"
    return Missing(service, str(identity), seen.key, type, str(seen.id), at, seen.topic, partition, offset)
