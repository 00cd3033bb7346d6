"""Unusual patterns: many orders, many cards or many declines from one address, one email address or one IP address of a
store, within some minutes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from services.monitor.domain.minutes import LatestRecords

By = Literal["address", "mail", "ip"]
What = Literal["orders", "cards", "declines"]
SAMPLE = 20
"""Orders that a pattern names: the latest."""


class Source(NamedTuple):
    """Where orders come from: never what it is, only whether it is the same."""

    by: By
    fingerprint: bytes


class PatternKey(NamedTuple):
    store: str
    source: Source
    what: What


@dataclass(frozen=True, slots=True)
class Limits:
    """From how many on it is unusual, in so many minutes; 0: never."""

    minutes: int
    orders: int
    cards: int
    declines: int

    def of(self, what: What) -> int:
        return {"orders": self.orders, "cards": self.cards, "declines": self.declines}[what]


@dataclass(frozen=True, slots=True)
class Origin:
    """Of a placed order."""

    store: str
    placed: int
    """The minute in which it was placed."""
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to charge."""

    minute: int
    """In which it was requested."""
    card: bytes | None
    """The card's fingerprint; None: no card, or not known."""
    declined: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """What was found of one source."""

    count: int
    orders: tuple[str, ...]
    """The latest that belong to it."""
    first: int
    """The minute of the first of what was counted."""
    last: int
    """The minute of the last."""


class Activity:
    """What came from where in the last minutes: at most `most` orders and `most` payments."""

    def __init__(self, most: int, limits: Limits) -> None:
        self.limits = limits
        self.origins: LatestRecords[Origin] = LatestRecords(most, self._came, self._went)
        self.tries: LatestRecords[tuple[Try, ...]] = LatestRecords(most, self._tried, self._tried)
        self._orders: dict[tuple[str, Source], set[str]] = {}
        self._touched: set[tuple[str, Source]] = set()

    def _came(self, order: str, origin: Origin) -> None:
        for source in origin.sources:
            self._orders.setdefault((origin.store, source), set()).add(order)
            self._touched.add((origin.store, source))

    def _went(self, order: str, origin: Origin) -> None:
        for source in origin.sources:
            place = (origin.store, source)
            orders = self._orders[place]
            orders.discard(order)
            if not orders:
                del self._orders[place]
            self._touched.add(place)

    def _tried(self, order: str, tries: tuple[Try, ...]) -> None:
        origin = self.origins.get(order)
        if origin is not None:
            self._touched.update((origin.store, source) for source in origin.sources)

    def expire(self, since: int) -> None:
        self.origins.expire(since)
        self.tries.expire(since)

    def touched(self) -> set[tuple[str, Source]]:
        """Of which something may have become more since this was asked last."""
        touched, self._touched = self._touched, set()
        return touched

    def patterns(self, places: Iterable[tuple[str, Source]], now: int) -> Iterator[tuple[PatternKey, Pattern]]:
        """What is unusual of these, in the minutes up to now."""
        for store, source in places:
            for what, found in self._of((store, source), now):
                yield PatternKey(store, source, what), found

    def all_patterns(self, now: int) -> dict[PatternKey, Pattern]:
        return dict(self.patterns(list(self._orders), now))

    def _of(self, place: tuple[str, Source], now: int) -> Iterator[tuple[What, Pattern]]:
        since, origins, tries = now - self.limits.minutes + 1, self.origins, self.tries
        orders: list[tuple[int, str]] = []
        declines: list[tuple[int, str]] = []
        cards: dict[bytes, tuple[int, str]] = {}
        for order in self._orders.get(place, ()):
            origin = origins.get(order)
            if origin is not None and origin.placed >= since:
                orders.append((origin.placed, order))
            for one in tries.get(order) or ():
                if one.minute < since:
                    continue
                seen = (one.minute, order)
                if one.declined:
                    declines.append(seen)
                if one.card is not None:
                    cards[one.card] = max(seen, cards.get(one.card, seen))
        counted: tuple[tuple[What, list[tuple[int, str]]], ...] = (
            ("orders", orders),
            ("cards", list(cards.values())),
            ("declines", declines),
        )
        for what, found in counted:
            limit = self.limits.of(what)
            if limit and len(found) >= limit:
                yield what, _pattern(found)


def _pattern(found: list[tuple[int, str]]) -> Pattern:
    latest = sorted(found, key=lambda one: (-one[0], one[1]))
    orders = tuple(dict.fromkeys(order for _, order in latest))
    return Pattern(len(found), orders[:SAMPLE], latest[-1][0], latest[0][0])


@dataclass(frozen=True, slots=True)
class Alert:
    key: PatternKey
    raised: int
    """The minute in which it was noticed."""
    pattern: Pattern
    """As it was seen last."""


class Alerts:
    """One for each pattern. It is cleared once the pattern is no longer there. What comes back within the time in which
    is counted is the same alert, and not raised again."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._current: dict[PatternKey, Alert] = {}
        self._raised: dict[PatternKey, tuple[int, int]] = {}
        """When each was raised, and when it was seen last."""
        self.raised = 0
        """How often one was raised."""
        self.version = 0
        """Grows with every change of those that are current."""

    def look(self, now: int) -> None:
        """Raise and clear them as they are now."""
        before = self._current
        places = self._activity.touched() | {(key.store, key.source) for key in before}
        found = dict(self._activity.patterns(places, now))
        forgotten = now - self._activity.limits.minutes
        self._raised = {key: (at, seen) for key, (at, seen) in self._raised.items() if seen > forgotten}
        for key in found:
            self.raised += key not in self._raised
            self._raised[key] = (self._raised[key][0] if key in self._raised else now, now)
        self._current = {key: Alert(key, self._raised[key][0], pattern) for key, pattern in found.items()}
        self.version += self._current != before

    def current(self, store: str = "") -> list[Alert]:
        """Of a store, or of all: those that were raised last first."""
        alerts = [alert for alert in self._current.values() if store in ("", alert.key.store)]
        return sorted(alerts, key=lambda alert: (-alert.raised, alert.key))
