"""The monitor: reads the status topics of orders and payments with Faust, and tells what they come to in each minute,
and what is unusual."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from aiohttp import web

from services.monitor.alerts import add_alerts
from services.monitor.domain.fingerprints import Fingerprints
from services.monitor.domain.minutes import minute_of, time_of
from services.monitor.domain.picture import Picture
from services.monitor.domain.unusual import Limits as UnusualLimits
from services.monitor.followers import Followers
from services.monitor.http import add_orders_per_minute
from services.monitor.live import add_live
from services.monitor.metrics import MonitorMetrics
from services.monitor.records import FAILED, TOPICS, Records
from services.monitor.settings import MonitorSettings
from shared.shell.event_loop import until
from shared.shell.faust.topic_reader import TopicReader
from shared.shell.http.application import STOPPING, Readiness, probed
from shared.shell.http.limits import Limits
from shared.shell.http.principals import Principals
from shared.shell.http.server import serve
from shared.shell.observability.metrics import UNKNOWN
from shared.shell.ports.bus import BusRecord

log = structlog.get_logger(__name__)
SKEW = timedelta(hours=1)
"""A record's time is that of the clock of the broker's client that sent it, and may be earlier than the order's."""
EXPIRE_SECONDS = 10.0
KEY_BYTES = 32


class Monitor:
    """What it reads, counts and tells."""

    def __init__(
        self, settings: MonitorSettings, worker: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.settings, self._now = settings, now
        self.stopping = asyncio.Event()
        own = settings.monitor
        limits = UnusualLimits(own.unusual_minutes, own.unusual_orders, own.unusual_cards, own.unusual_declines)
        self.picture = Picture(own.orders, limits)
        self.reader = TopicReader(settings.kafka, f"orderbus-{worker}", TOPICS, self._take, self._from)
        self.followers = Followers(self.picture, now)
        figures = self.picture.figures
        self.metrics = MonitorMetrics(worker, self._lag, lambda: len(figures), lambda: self.reader.starts)
        self.metrics.serve_ready(self.missing)
        self.metrics.serve_figures(lambda: figures.of(minute_of(self._now()) - 1))
        self.metrics.serve_alerts(self.picture.alerts, self.followers)
        self._records = Records(self.picture, Fingerprints(secrets.token_bytes(KEY_BYTES)))
        self.expire()

    def _lag(self) -> float:
        lag = self.reader.lag() if self.reader.answering else None
        return UNKNOWN if lag is None else lag

    def _take(self, record: BusRecord) -> None:
        """Faust would lose a record that raises, and say no more of it."""
        try:
            outcome = self._records.take(record)
        except Exception as bug:
            log.exception("record not counted", error=type(bug).__name__, partition=record.partition, at=record.offset)
            outcome = FAILED
        self.metrics.record(outcome)

    def _from(self) -> datetime:
        """The last record of an order is no older than its last change: all that are kept have one from here on."""
        return time_of(self.picture.begins) - SKEW

    def expire(self) -> None:
        now = self._now()
        self.picture.expire(minute_of(now - timedelta(hours=self.settings.monitor.hours)), minute_of(now))

    def missing(self) -> list[str]:
        if self.stopping.is_set():
            return [STOPPING]
        if not self.reader.answering:
            return ["kafka"]
        return [] if self.reader.complete else ["history"]

    def notes(self) -> list[str]:
        return [note] if (note := self.reader.note()) else []

    def application(self) -> web.Application:
        settings, ready = self.settings, Readiness(self.missing, notes=self.notes)
        principals, limits = Principals.of(settings), Limits(settings.http)
        app = probed("monitor", self.metrics.registry, principals, ready, limits)
        most = settings.monitor.hours * 60
        add_orders_per_minute(app, self.picture.figures, self.reader, self._now, most)
        add_live(app, self.picture.figures, self.followers, self.reader, most)
        add_alerts(app, self.followers)
        return app

    async def keep_expiring(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            self.expire()


async def run_monitor(settings: MonitorSettings, index: int, port: int | None) -> None:
    """Run until SIGTERM or SIGINT. `port` replaces the configured HTTP port."""
    worker, own = f"monitor-{index}", settings.monitor
    monitor = Monitor(settings, worker)
    monitor.metrics.watch_process()
    stopping = monitor.stopping
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = await serve(
        monitor.application(), own.http_host, own.http_port if port is None else port, Limits(settings.http)
    )
    try:
        log.info("started", worker=worker)
        await until(stopping, monitor.reader.run(), monitor.keep_expiring())
        await asyncio.sleep(settings.http.drain_seconds)
    finally:
        await server.cleanup()
        log.info("stopped", worker=worker)
