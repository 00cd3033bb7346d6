"""Those who follow the live picture. Once a second it is looked what has changed; a slow reader is told the latest of
each minute, so nothing piles up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from services.monitor.alerts import ShownAlerts, shown_alerts
from services.monitor.domain.figures import Place
from services.monitor.domain.minutes import minute_of
from services.monitor.domain.picture import Picture

LOOK_SECONDS = 1.0
REST = 20.0
"""Looking for patterns takes at most this part of the time: it pauses for so many times as long as it took."""


@dataclass(slots=True)
class News:
    places: set[Place] = field(default_factory=set)
    """Where figures may have changed."""
    turned: bool = False
    """Another minute has begun."""
    alerts: bool = False
    """Alerts have changed."""


class Follower:
    """One reader: what it has not been told yet."""

    __slots__ = ("_filled", "_news", "ended", "store")

    def __init__(self, store: str) -> None:
        self.store = store
        """Only this one; empty: all."""
        self.ended = False
        """Nothing more is sent: the process stops."""
        self._news = News()
        self._filled = asyncio.Event()

    def notify(self, places: set[Place], *, turned: bool, alerts: bool) -> None:
        own = {place for place in places if self.store in ("", place[1])}
        if own or turned or alerts:
            news = self._news
            self._news = News(news.places | own, news.turned or turned, news.alerts or alerts)
            self._filled.set()

    def end(self) -> None:
        self.ended = True
        self._filled.set()

    async def news(self, seconds: float) -> News:
        """What came, or comes in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), seconds)
        self._filled.clear()
        news, self._news = self._news, News()
        return news


class Followers:
    def __init__(self, picture: Picture, now: Callable[[], datetime]) -> None:
        self._picture, self.now = picture, now
        self._followers: set[Follower] = set()
        self._looked, self._version, self._resting = self.minute(), 0, 0.0

    def __len__(self) -> int:
        return len(self._followers)

    def minute(self) -> int:
        return minute_of(self.now())

    def look_for_patterns(self) -> None:
        began = time.monotonic()
        if began >= self._resting:
            self._picture.alerts.look(self.minute())
            took = time.monotonic() - began
            self._resting = began + (REST + 1) * took

    def alerts(self, store: str) -> ShownAlerts:
        return shown_alerts(self._picture.alerts, self._picture.activity.limits, store)

    @contextmanager
    def followed(self, store: str) -> Iterator[Follower]:
        follower = Follower(store)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def stop(self, application: web.Application) -> None:
        """End the open streams."""
        for follower in self._followers:
            follower.end()

    async def looking(self, application: web.Application) -> AsyncIterator[None]:
        """As long as the application runs."""
        task = asyncio.create_task(self._run(), name="live picture")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        minute, picture = self.minute(), self._picture
        turned, self._looked = minute != self._looked, minute
        self.look_for_patterns()
        version, self._version = self._version, picture.alerts.version
        places, alerts = picture.figures.changes(), version != self._version
        for follower in self._followers:
            follower.notify(places, turned=turned, alerts=alerts)
