"""Reading from Kafka, by aiokafka: static group membership, offsets committed after the work; and what all its clients
need. `sink.py` writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.settings import KafkaSettings
from shared.shell.kafka import broken_connections
from shared.shell.kafka.member_addresses import announcing
from shared.shell.kafka.membership import end_other_membership, read_by_no_member
from shared.shell.kafka.record_batches import Unreadable, at_most, install
from shared.shell.kafka.taken_names import TakenName, holder_of
from shared.shell.kafka.tls import tls_context
from shared.shell.kafka.unread_since import UnreadSince
from shared.shell.ports.bus import BusRecord, BusUnavailable, Positions

log = structlog.get_logger(__name__)
FETCH_BYTES = 256_000
READ_BYTES = 8_000_000
"""Of batches, decompressed, that one read begins with, and a last one: a fetch of 256 KB can be gigabytes."""
SESSION_SECONDS = 10
COMMIT_SECONDS = 10.0
"""How long a commit may take."""
READ_SECONDS = 60.0
"""How long a read may take; it waits for the group while that gives its members their shares."""
MEMBERSHIP_SECONDS = 10.0
"""How often a member that has nothing to commit asks the group whether it still belongs to it, by committing again."""
REJOIN_SECONDS = 20.0
"""A member whose commits have failed for so long is no longer a member and joins again."""
LOOK_SECONDS = 30.0
"""How often a member looks for partitions that no member reads; seen twice, it joins again as a new one."""
STOP_SECONDS = 5.0


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client needs in order to reach the cluster. Raises KafkaRefused."""
    broken_connections.install()
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
    }
    if "SSL" in settings.security_protocol:
        options["ssl_context"] = tls_context(settings)
    if "SASL" in settings.security_protocol:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value() if settings.sasl_password else None
    return options


def new_consumer(settings: KafkaSettings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """A consumer as all our readers use it: it sees committed transactions only, commits nothing by itself, and hands
    on what cannot be parsed as `record_batches.Unreadable`."""
    install()
    fixed = {"enable_auto_commit": False, "isolation_level": "read_committed"}
    return AIOKafkaConsumer(*topics, **connection(settings), **fixed, **options)


def new_admin(settings: KafkaSettings, member: str) -> AIOKafkaAdminClient:
    """For a look at the group that `member` is in."""
    return AIOKafkaAdminClient(**connection(settings), client_id=f"{member}-admin")


KnownPositions = Callable[[Collection[tuple[str, int]]], Awaitable[Positions]]


class KafkaSource:
    """A static member of the service's group. See `ports.bus`."""

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        member: str,
        topics: Sequence[str],
        positions: KnownPositions | None = None,
    ) -> None:
        """`positions`: where to begin, in place of what the group has committed; asked of each partition that comes.
        One of which nothing is known is read from its first record."""
        self.settings, self.group, self.member, self.topics = settings, group, member, topics
        self._positions = positions
        self._to_begin: set[TopicPartition] = set()
        """Partitions that came, and whose positions are still to be asked for."""
        self.place: tuple[str, int] | None = None
        """Host and port of the member's HTTP API, which the group is told when it joins."""
        self._consumer: AIOKafkaConsumer | None = None
        self._assigned = asyncio.Event()
        self._committed: dict[TopicPartition, int] = {}
        self._committed_at = self._failing_since = 0.0
        self._watches: list[asyncio.Task[None]] = []
        self._unread: dict[TopicPartition, int] = {}
        """Of the partitions that no member reads: how many records wait there."""
        self._unread_looks = 0
        self._unread_since = UnreadSince()
        self._name = TakenName(member, lambda: holder_of(new_admin(settings, member), group, member))

    async def start(self) -> None:
        await self._name.check()
        await end_other_membership(new_admin(self.settings, self.member), self.group, self.member, self.topics)
        consumer = new_consumer(
            self.settings,
            group_id=self.group,
            group_instance_id=self.member,
            client_id=self.member,
            partition_assignment_strategy=(announcing(lambda: self.place),),
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_SECONDS * 1000,
            heartbeat_interval_ms=2000,
            # Back-pressure may hold reading up for long; a dead worker is known by its heartbeats.
            max_poll_interval_ms=24 * 3600 * 1000,
            fetch_max_wait_ms=500,
            # Per partition, of which one member may have all: a larger record still comes, alone (KIP-74).
            max_partition_fetch_bytes=FETCH_BYTES,
            metadata_max_age_ms=30_000,
        )
        self._to_begin.clear()
        consumer.subscribe(list(self.topics), listener=_Listener(self._assigned, self._committed, self._to_begin))
        await start_client(consumer)
        self._name.guard(consumer)
        self._consumer = consumer
        self._committed_at, self._failing_since = asyncio.get_running_loop().time(), 0.0
        self._unread, self._unread_looks = {}, 0
        self._watches = [
            asyncio.create_task(self._ask_for_membership(), name=f"{self.member}-membership"),
            asyncio.create_task(self._look_for_unread(consumer), name=f"{self.member}-unread"),
        ]

    async def _ask_for_membership(self) -> None:
        while True:
            await asyncio.sleep(MEMBERSHIP_SECONDS / 2)
            with contextlib.suppress(BusUnavailable):  # remembered, and acted upon by the next read
                await self.commit({})

    async def _look_for_unread(self, consumer: AIOKafkaConsumer) -> None:
        """Partitions are added, and the group goes on without them: a leader that came back as a static member does
        not know that it is the leader."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(BusUnavailable, KafkaError, OSError, TimeoutError):  # looks again
                places = await read_by_no_member(new_admin(self.settings, self.member), self.group, self.topics)
                async with asyncio.timeout(COMMIT_SECONDS):
                    self._unread = await _waiting(consumer, places)
                self._unread_looks = self._unread_looks + 1 if places else 0
                if places:
                    log.warning("no member of the group reads all partitions", group=self.group, count=len(places))

    async def read(self, limit: int) -> Sequence[BusRecord]:
        consumer = await self._member()
        await self._begin(consumer)
        try:
            with at_most(READ_BYTES):
                async with asyncio.timeout(READ_SECONDS):
                    found = await consumer.getmany(timeout_ms=1000, max_records=limit)
        except TimeoutError as error:
            await self.stop()
            raise BusUnavailable("read did not return, rejoining the group") from error
        except (KafkaError, OSError) as error:
            raise BusUnavailable(type(error).__name__) from error
        if self._positions is not None:  # what came while this was read is begun where the database says
            found = {place: records for place, records in found.items() if place not in self._to_begin}
        return [record for records in self._taken(found).values() for record in records]

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        """Raises what asking for positions raises."""
        if self._positions is None or not self._to_begin:
            return
        places = self._to_begin & consumer.assignment()
        known = await self._positions([(place.topic, place.partition) for place in places])
        for place in places & consumer.assignment():
            consumer.seek(place, known.get((place.topic, place.partition), 0))
        self._to_begin -= places

    def _taken(self, found: Mapping[TopicPartition, Sequence[Any]]) -> dict[TopicPartition, list[BusRecord]]:
        taken = {place: [bus_record(record) for record in records] for place, records in found.items()}
        for place, records in taken.items():
            if records:
                self._unread_since.read(place, records[-1].at)
        return taken

    async def _member(self) -> AIOKafkaConsumer:
        """The consumer; a new one when the old one lost its group for good.

        aiokafka was seen to go on fetching, without heartbeats and with commits that never end, after its broker had
        been killed and started again: it stays evicted, and never says so.
        """
        if self._failing_since and asyncio.get_running_loop().time() - self._failing_since > REJOIN_SECONDS:
            log.warning("commits keep failing, rejoining the group", group=self.group)
            await self.stop()
        if self._unread_looks > 1 or self._name.by:
            await self.stop()
        if self._consumer is None:
            await self.start()
        assert self._consumer is not None
        return self._consumer

    async def commit(self, positions: Positions) -> None:
        consumer, loop = self._consumer, asyncio.get_running_loop()
        if consumer is None:
            raise BusUnavailable("not in the group at the moment")
        assigned = consumer.assignment()
        given = {TopicPartition(*place): offset for place, offset in positions.items()}
        mine = {place: offset for place, offset in given.items() if place in assigned}
        if not mine and loop.time() - self._committed_at > MEMBERSHIP_SECONDS:
            mine = dict([(place, at) for place, at in self._committed.items() if place in assigned][:1])
        if not mine:
            return
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await consumer.commit(mine)
        except (KafkaError, OSError, TimeoutError) as error:
            self._failing_since = self._failing_since or loop.time()
            raise BusUnavailable(type(error).__name__) from error
        self._committed |= mine
        self._committed_at, self._failing_since = loop.time(), 0.0

    def lag(self) -> int:
        return sum(self._waiting_here().values())

    def oldest_unread(self) -> datetime | None:
        if self._consumer is not None and (assigned := self._consumer.assignment()):
            self._unread_since.keep({*assigned, *self._unread})
        return self._unread_since.oldest(self._waiting_here())

    def _waiting_here(self) -> dict[TopicPartition, int]:
        """How many records each partition has that are to be read."""
        consumer = self._consumer
        if consumer is None:
            return {}
        places = {place: (end(consumer, place), position(consumer, place)) for place in consumer.assignment()}
        known = {place: last - here for place, (last, here) in places.items() if last is not None and here is not None}
        return {place: max(0, count) for place, count in known.items()} | self._unread

    def ready(self) -> bool:
        reading = self._consumer is not None and self._assigned.is_set() and not self._failing_since
        return reading and self._unread_looks <= 1 and not self._name.by

    def note(self) -> str:
        """What staff must know while it is not ready; empty as a rule."""
        return self._name.note()

    async def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close_client(consumer)


async def _waiting(consumer: AIOKafkaConsumer, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """How many records each of these has that the group has not read."""
    if not places:
        return {}
    first, last = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    read = {place: await consumer.committed(place) or first[place] for place in places}
    return {place: max(0, last[place] - read[place]) for place in places}


_LATEST = 253_402_300_799_000
"""Milliseconds: the end of the year 9999, beyond which there are no datetimes. Producers set the time as they like."""


def bus_record(record: Any) -> BusRecord:
    return BusRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.headers,
        record.value,
        datetime.fromtimestamp(min(max(record.timestamp or 0, 0), _LATEST) / 1000, UTC),
        record.error if isinstance(record, Unreadable) else "",
    )


def position(consumer: AIOKafkaConsumer, place: TopicPartition) -> int | None:
    """The offset to read next, also behind records that are not handed out: those of aborted transactions, and the
    transactions' ends. None as long as it is not known. (aiokafka's own `position` waits for it.)"""
    assigned = consumer._subscription.subscription and consumer._subscription.subscription.assignment
    state = assigned.state_value(place) if assigned else None
    return state.position if state is not None and state.has_valid_position else None


def end(consumer: AIOKafkaConsumer, place: TopicPartition) -> int | None:
    """The offset behind the last record that can be read now; what open transactions wrote comes when they end. None as
    long as it is not known."""
    stable: int | None = consumer.last_stable_offset(place)
    high: int | None = consumer.highwater(place)
    return high if high is None or stable is None or stable < 0 else min(stable, high)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka's base is untyped
    def __init__(
        self, assigned: asyncio.Event, committed: dict[TopicPartition, int], to_begin: set[TopicPartition]
    ) -> None:
        self.assigned, self.committed, self.to_begin = assigned, committed, to_begin

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            log.info("partitions revoked", count=len(revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.committed.clear()  # others may have come further meanwhile
        self.to_begin |= set(assigned)
        self.assigned.set()
        log.info("partitions assigned", count=len(assigned))


async def start_client(client: Any) -> None:
    try:
        await client.start()
    except BaseException as error:
        await close_client(client)
        if isinstance(error, KafkaError | OSError):
            raise BusUnavailable(type(error).__name__) from error
        raise


async def close_client(client: Any) -> None:
    """Leave in good order where Kafka answers; never wait for one that does not, nor fail over a client that is of no
    use any more."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await _stop(client)
    except (TimeoutError, KafkaError, OSError):
        log.warning("client did not leave Kafka in time", client=type(client).__name__)
    except Exception as bug:
        log.exception("client was not closed", client=type(client).__name__, error=type(bug).__name__)


async def _stop(client: Any) -> None:
    """A fetch that waits to be tried again, as all do while the broker is gone, lets its cancellation out of `stop`
    (aiokafka 0.14), which then closes no connection. Only a cancellation from outside is passed on."""
    try:
        await client.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling() or not isinstance(client, AIOKafkaConsumer):
            raise
        await client._client.close()
