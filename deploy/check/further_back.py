"""Where only a window of the topics was read: looks for the event just before it of each row that changed in it.

Otherwise an event that was lost would not be missed: of its key nothing else may be in the window. Most are a little
further back, so more and more is read, as long as that stays in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from aiokafka import TopicPartition

from deploy.check.book import Book
from deploy.check.evidence import counted_topics, is_counted
from deploy.check.topics import Topics, read
from shared.contracts.envelope import BadMessage
from shared.settings import KafkaSettings
from shared.shell.service.registry import HandlerRegistry

FIRST = timedelta(hours=1)
"""How far back is read at first, at least."""
MOST = 1_000_000
"""Records that are read, if the window has fewer."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Places = Mapping[TopicPartition, int]


class FurtherBack:
    """`before`: where the window begins, and when."""

    def __init__(
        self, book: Book, services: Mapping[str, HandlerRegistry], before: Places, begin: datetime, window: int
    ) -> None:
        self._book, self._before, self._begin = book, before, begin
        self._counted = {name: counted_topics(registry) for name, registry in services.items()}
        self._most = max(MOST, window)

    async def look(self, settings: KafkaSettings, at: datetime) -> bool:
        """Whether the topics were read to their beginnings, or all was found before."""
        names = sorted(frozenset().union(*self._counted.values()))
        span, count = max(at - self._begin, FIRST), 0
        async with Topics(settings, names) as topics:
            upper = {place: max(self._before.get(place, first), first) for place, first in topics.first.items()}
            while self._book.is_wanted() and any(upper[place] > first for place, first in topics.first.items()):
                topics.ends = upper
                lower = await self._lower(topics, upper, span)
                count += sum(upper[place] - lower[place] for place in upper)
                if count > self._most:
                    return False
                async for records in topics.read(lower):
                    self._book.found(self._numbers(records))
                upper, span = lower, span * 2
        return True

    async def _lower(self, topics: Topics, upper: Places, span: timedelta) -> dict[TopicPartition, int]:
        if self._begin - EPOCH < span:
            return dict(topics.first)
        then = await topics.offsets_at(self._begin - span)
        return {place: max(topics.first[place], min(then[place], end)) for place, end in upper.items()}

    def _numbers(self, records: Sequence[object]) -> list[tuple[str, str, int]]:
        found = []
        for record in records:
            try:
                seen = read(record)
            except BadMessage:
                continue
            if is_counted(self._counted, seen):
                found.append((seen.key, seen.source, seen.sequence))
        return found
