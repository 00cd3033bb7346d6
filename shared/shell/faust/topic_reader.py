"""Reads topics with Faust, from a time on, as long as the process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from shared.errors import ReportedError
from shared.settings import KafkaSettings
from shared.shell.faust.transport import App, Reading
from shared.shell.kafka.topics import ensure_topics
from shared.shell.ports.bus import BusRecord, BusUnavailable

log = structlog.get_logger(__name__)
PAUSE_SECONDS = 1.0
LOOK_SECONDS = 1.0
ASK_SECONDS = 10.0
"""How often, and for how long, the broker is asked whether it answers."""
STANDSTILL_SECONDS = 60.0
"""Reading begins again when there are records and none is handled for so long."""
UNASSIGNED_SECONDS = 15.0
"""Reading begins again when partitions of a topic stay unassigned for so long."""
STOP_SECONDS = 10.0
TAKEN_SECONDS = 3.0
"""How often it is asked whether another process still has this one's number."""


class TopicReader:
    """Hands every record since a time to `handle`, in order per partition. Each time it begins, and it may begin again
    at any moment, it begins at that time: what it handles must bear repetition. It commits nothing."""

    def __init__(
        self,
        settings: KafkaSettings,
        member: str,
        topics: Sequence[str],
        handle: Callable[[BusRecord], None],
        since: Callable[[], datetime],
    ) -> None:
        self._settings, self._topics, self._handle = settings, topics, handle
        self._reading = Reading(settings, member, topics, since)
        self._app: App | None = None
        self.starts = 0
        """How often reading has begun."""
        self.complete = False
        """Whether it has come to the end since it began."""
        self.answering = False
        """Whether the broker answers."""

    def lag(self) -> int | None:
        """Records that are not handled yet; None as long as that is not known."""
        thread = self._app.thread if self._app is not None else None
        return thread.lag() if thread is not None else None

    def note(self) -> str:
        """What staff must know while it does not read; empty as a rule."""
        return self._reading.name.note()

    async def run(self) -> None:
        """Until it is cancelled. Waits for a broker that is away, and begins again when Faust ends or stands still.
        Raises WrongTopics."""
        while True:
            try:
                await self._reading.name.check()
                await ensure_topics(self._settings, [], create=False)
                await self._read()
            except ReportedError:
                raise
            except BusUnavailable as trouble:
                if self._reading.name.by:  # which the log says already
                    await asyncio.sleep(TAKEN_SECONDS)
                    continue
                log.warning("waiting for kafka", error=str(trouble))
            except Exception as trouble:
                log.warning("reading ended, beginning again", error=f"{type(trouble).__name__}: {trouble}"[:300])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self) -> None:
        self._reading.begun = self.complete = self.answering = False
        self.starts += 1
        app = self._app = App(self._reading)
        app.agent(app.topic(*self._topics, value_serializer="raw", key_serializer="raw", acks=False))(self._agent)
        asking = None
        try:
            await app.start()
            asking = asyncio.create_task(self._keep_asking(app), name="ask kafka")
            await self._watch(app)
        finally:
            self._app, self.answering = None, False
            if asking is not None:
                asking.cancel()
            await _stop(app)

    async def _agent(self, stream: Any) -> None:
        async for event in stream.events():
            self._take(event.message.value)

    def _take(self, record: BusRecord) -> None:
        try:
            self._handle(record)
        finally:
            self._reading.handled[record.topic, record.partition] = record.offset

    async def _watch(self, app: App) -> None:
        """Until Faust ends by itself, stands still, or leaves partitions unread that were added."""
        now = asyncio.get_running_loop().time
        moved, before = now(), dict(self._reading.handled)
        whole = now()
        while not app.should_stop:
            if self._reading.name.by:
                raise BusUnavailable(self._reading.name.note())
            lag = self.lag()
            if app.thread is None or not app.thread.unassigned():
                whole = now()
                self.complete = self.complete or lag == 0
            elif now() - whole > UNASSIGNED_SECONDS:
                raise RuntimeError("not all partitions of the topics are assigned")
            else:
                self.complete = False
            if lag == 0 or before != self._reading.handled or not self.answering:
                moved, before = now(), dict(self._reading.handled)
            if now() - moved > STANDSTILL_SECONDS:
                raise TimeoutError("no record was handled for a minute")
            await asyncio.sleep(LOOK_SECONDS)
        raise RuntimeError(str(app.crash_reason or "faust ended"))

    async def _keep_asking(self, app: App) -> None:
        """One question at a time: those to a broker that is away wait in the consumer's thread."""
        while app.thread is not None:
            question = asyncio.create_task(app.thread.ask())
            while not (await asyncio.wait({question}, timeout=ASK_SECONDS))[0]:
                self._answered(TimeoutError())
            self._answered(question.exception())
            await asyncio.sleep(ASK_SECONDS if self.answering else LOOK_SECONDS)

    def _answered(self, trouble: BaseException | None) -> None:
        if self.answering and trouble is not None:
            log.warning("kafka does not answer", error=type(trouble).__name__)
        self.answering = trouble is None


async def _stop(app: App) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
    except Exception as trouble:
        log.warning("faust did not stop in good order", error=type(trouble).__name__)
