"""Faust's Kafka transport, with our own consumer: it reads committed transactions only, bears what cannot be parsed,
connects as the settings say, and begins at a time instead of at committed offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy
from faust.transport.drivers import aiokafka as driver

from shared.settings import KafkaSettings
from shared.shell.kafka.membership import end_other_membership
from shared.shell.kafka.record_batches import at_most
from shared.shell.kafka.source import (
    READ_BYTES,
    SESSION_SECONDS,
    bus_record,
    close_client,
    end,
    new_admin,
    new_consumer,
    position,
    start_client,
)
from shared.shell.kafka.taken_names import TakenName, holder_of
from shared.shell.ports.bus import BusUnavailable

log = structlog.get_logger(__name__)
RECORDS = 1000
"""Of one fetch, that are handed on together."""
Place = tuple[str, int]
"""Topic and partition."""


@dataclass
class Reading:
    """What is read, and how far it has come. The consumer's thread writes `fetched` and `answered`, the agent
    `handled`."""

    settings: KafkaSettings
    group: str
    topics: Sequence[str]
    since: Callable[[], datetime]
    """The time of the first record to read, asked again whenever reading begins."""
    fetched: dict[Place, int] = field(default_factory=dict)
    """The offset of the last record that left the consumer."""
    handled: dict[Place, int] = field(default_factory=dict)
    begun: bool = False
    """Whether the place to begin at was found."""
    name: TakenName = field(init=False)

    def __post_init__(self) -> None:
        settings, group = self.settings, self.group
        self.name = TakenName(group, lambda: holder_of(new_admin(settings, group), group, group))

    def begin(self) -> None:
        self.fetched.clear()
        self.handled.clear()
        self.begun = True


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Runs the consumer in a thread and loop of its own, as Faust does."""

    @property
    def reading(self) -> Reading:
        assert isinstance(self.app, App)
        return self.app.reading

    async def on_start(self) -> None:
        self.time_started = asyncio.get_running_loop().time()
        group = self.reading.group
        await end_other_membership(new_admin(self.reading.settings, group), group, group, self.reading.topics)
        self._consumer = new_consumer(
            self.reading.settings,
            group_id=group,
            group_instance_id=group,
            client_id=group,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_SECONDS * 1000,
            heartbeat_interval_ms=2000,
            max_poll_interval_ms=24 * 3600 * 1000,
            max_poll_records=RECORDS,
            fetch_max_wait_ms=500,
            metadata_max_age_ms=30_000,
        )
        await start_client(self._consumer)
        self.reading.name.guard(self._consumer)

    async def on_thread_stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        await super().on_thread_stop()
        if consumer is not None:
            await close_client(consumer)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Nothing is ever committed: seek to the first record of the time."""
        found: Mapping[Any, int] = await self.call_thread(self._seek_to_begin)
        return found

    async def _seek_to_begin(self) -> Mapping[Any, int]:
        consumer = self._ensure_consumer()
        places = sorted(consumer.assignment())
        since = int(self.reading.since().timestamp() * 1000)
        ends = await consumer.end_offsets(places)  # first: what comes meanwhile is read
        found = await consumer.offsets_for_times(dict.fromkeys(places, since))
        begin = {place: found[place].offset if found.get(place) else ends[place] for place in places}
        self.reading.begin()
        for place, offset in begin.items():
            consumer.seek(place, offset)
        return begin

    async def _fetch_records(self, *given: Any, **options: Any) -> Any:
        with at_most(READ_BYTES):
            records = await super()._fetch_records(*given, **options)
        for place, found in records.items():
            if found:
                self.reading.fetched[place.topic, place.partition] = found[-1].offset
        return records

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust's own watch is for topics that it commits; `TopicReader` watches ours."""

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        log.warning("faust's consumer ended", error=msg.format(*fmt)[:300])

    # For the reader

    def lag(self) -> int | None:
        """Records that are not handled yet; None as long as that is not known."""
        try:
            return self._unread()
        except Exception:  # the consumer's thread changed its partitions meanwhile
            return None

    def _unread(self) -> int | None:
        consumer, reading, unread = self._consumer, self.reading, 0
        if consumer is None or not reading.begun or not consumer.assignment() or self.unassigned():
            return None
        for place in consumer.assignment():
            last, here = end(consumer, place), position(consumer, place)
            if last is None or here is None:
                return None
            handled, fetched = (of.get((place.topic, place.partition), -1) for of in (reading.handled, reading.fetched))
            unread += max(0, last - (handled + 1 if handled < fetched else here))
        return unread

    def unassigned(self) -> set[Place]:
        """Partitions of the topics that it was not given, although it is alone in its group."""
        consumer = self._consumer
        if consumer is None or not consumer.assignment():
            return set()
        assigned = {(place.topic, place.partition) for place in consumer.assignment()}
        there = {
            (topic, partition)
            for topic in self.reading.topics
            for partition in consumer.partitions_for_topic(topic) or ()
        }
        return there - assigned

    async def ask(self) -> None:
        """Raises an error when the broker does not answer, or has given us nothing to read."""
        consumer = self._ensure_consumer()
        places = sorted(consumer.assignment())
        if not places:
            raise BusUnavailable("no partitions are assigned")
        await self.call_thread(consumer.end_offsets, places)


class Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: Any, record: Any) -> Any:
        """The value is the whole record, so that nothing of it is decoded, or can fail, before it is handled."""
        message = super()._to_message(tp, record)
        message.value = bus_record(record)  # type: ignore[assignment]  # the codec `raw` hands on whatever it is
        return message


class Transport(driver.Transport):
    Consumer = Consumer


class Boot(BootStrategy):
    enable_web = False
    enable_kafka_producer = False


class App(faust.App):
    """A Faust application that only reads: it has no web server, no producer, no topic of its own, and no files."""

    BootStrategy = Boot

    def __init__(self, reading: Reading) -> None:
        super().__init__(
            reading.group,
            broker="kafka://in.settings",
            store="memory://",
            autodiscover=False,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            broker_commit_interval=60.0,
            stream_wait_empty=False,
        )
        self.reading = reading

    def _new_transport(self) -> Transport:
        return Transport([], self)

    def _create_directories(self) -> None:
        """None: what is read is kept in memory."""

    @property
    def thread(self) -> ConsumerThread | None:
        thread = getattr(self.consumer, "_thread", None)
        return thread if isinstance(thread, ConsumerThread) else None
