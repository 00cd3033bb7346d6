"""Minutes, and the latest record of every key that is kept: of one key each record replaces the one before, in whatever
order they are read, and however often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


def minute_of(at: datetime) -> int:
    """Minutes since 1970."""
    return (at - _EPOCH) // MINUTE


def time_of(minute: int) -> datetime:
    """When it begins."""
    return _EPOCH + minute * MINUTE


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    revision: int
    minute: int
    content: T


class LatestRecords(Generic[T]):
    """The latest record of every key whose last change is no older than `since`, at most `most` of them.

    Where there are more, whole minutes are dropped, the oldest first. `since` only grows; what is older is not taken,
    whenever it is read.
    """

    def __init__(self, most: int, added: Callable[[str, T], None], removed: Callable[[str, T], None]) -> None:
        """Tells each record that is `added` and each that is `removed`."""
        self.since = 0
        """The first minute that is kept."""
        self._most, self._added, self._removed = most, added, removed
        self._known: dict[str, _Known[T]] = {}
        self._minutes: dict[int, set[str]] = {}
        """Keys by the minute of their last change."""

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> T | None:
        known = self._known.get(key)
        return None if known is None else known.content

    def put(self, key: str, revision: int, minute: int, content: T | None) -> None:
        """A record. `minute`: of the key's last change. None: the record says nothing that counts. Of two with the same
        revision the later one counts: the owner's database was restored."""
        known = self._known.get(key)
        if known is not None and known.revision > revision:
            return
        self.forget(key)
        if content is None or minute < self.since:
            return
        self._known[key] = _Known(revision, minute, content)
        self._minutes.setdefault(minute, set()).add(key)
        self._added(key, content)
        while len(self._known) > self._most:
            self.expire(min(self._minutes) + 1)

    def forget(self, key: str) -> None:
        """The key is no longer on the topic."""
        known = self._known.pop(key, None)
        if known is None:
            return
        keys = self._minutes[known.minute]
        keys.remove(key)
        if not keys:
            del self._minutes[known.minute]
        self._removed(key, known.content)

    def expire(self, since: int) -> None:
        """Drop what changed last before a minute."""
        if since <= self.since:
            return
        self.since = since
        for minute in [minute for minute in self._minutes if minute < since]:
            for key in self._minutes.pop(minute):
                self._removed(key, self._known.pop(key).content)
