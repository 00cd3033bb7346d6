"""Since when the records of a partition have waited, without reading them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from aiokafka import TopicPartition


class UnreadSince:
    """A record that is unread was published after the last one that was read, and after the last look that found
    nothing unread."""

    def __init__(self) -> None:
        self._since: dict[TopicPartition, datetime] = {}

    def read(self, place: TopicPartition, at: datetime) -> None:
        """A record of this time was read. Producers' clocks differ: one that is ahead hides nothing."""
        self._since[place] = min(at, datetime.now(UTC))

    def keep(self, places: Collection[TopicPartition]) -> None:
        """Forget the others: another worker reads them now."""
        self._since = {place: at for place, at in self._since.items() if place in places}

    def oldest(self, unread: Mapping[TopicPartition, int]) -> datetime | None:
        """Look at partitions, with the number of their unread records."""
        now = datetime.now(UTC)
        self._since |= {place: self._since.get(place, now) if count else now for place, count in unread.items()}
        return min((self._since[place] for place, count in unread.items() if count), default=None)
