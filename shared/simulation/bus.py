"""Kafka in memory: topics in partitions, groups with rebalances, positions that are committed or not.

As at Kafka: order per partition, at least once; a member that comes back under its name gets its partitions back; one
that is silent for longer than its session loses them to the others, who begin at the committed positions.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from shared.shell.kafka.catch_up import InOrderOfTime
from shared.shell.ports.bus import BusRecord, BusUnavailable, Positions, Sent
from shared.shell.ports.rows import OutboxRow

Place = tuple[str, int]
"""Topic and partition."""
Position = tuple[str, int, int]
"""Topic, partition and offset."""
Trouble = Callable[[str], str]
"""Asked before each call, with the call's name: what goes wrong with it; empty for nothing. Sinks know `refused`,
`half` (the later part is not taken) and `unheard` (taken, but the answer is lost); sources `refused` and `again`
(records from the committed position once more)."""
KnownPositions = Callable[[Collection[Place]], Awaitable[Mapping[Place, int]]]
"""The offset to read next of each partition; one that is missing is read from its beginning."""


MAX_RECORD = 1_048_576
"""Bytes of key, headers and value. As Kafka's `max.message.bytes`: more is refused for good."""
READ_TIMEOUT = 60.0
"""Seconds that a read waits. Kafka's are shorter; here a read that finds nothing costs real time."""


def all_well(call: str) -> str:
    return ""


@dataclass
class Group:
    """A service's consumer group."""

    topics: tuple[str, ...]
    committed: dict[Place, int] = field(default_factory=dict)
    assigned: dict[Place, str] = field(default_factory=dict)
    members: dict[str, MemorySource] = field(default_factory=dict)


class MemoryBus:
    def __init__(self, clock: Callable[[], datetime], rng: random.Random, partitions: int = 3) -> None:
        self.clock, self.rng, self.partitions = clock, rng, partitions
        self.logs: dict[Place, list[BusRecord]] = {}
        self.groups: dict[str, Group] = {}
        self._epochs: dict[str, int] = {}
        self._seen: dict[tuple[str, Place], int] = {}
        """The newest epoch of each fence that wrote to each partition."""
        self.aborted: set[Position] = set()
        """Records of transactions that their producer aborted: no reader of committed records sees them."""
        self.missing: set[str] = set()
        """Topics that are not there: nothing can be written to them."""
        self.on_append: Callable[[BusRecord], None] = lambda record: None

    def place_of(self, topic: str, key: bytes | None) -> Place:
        return topic, zlib.crc32(key or b"") % self.partitions

    def next_position(self, topic: str, key: bytes | None) -> Position:
        """Where the next record of this key will be."""
        place = self.place_of(topic, key)
        return *place, len(self.logs.get(place, ()))

    def append(
        self,
        topic: str,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        value: bytes | None,
        *,
        aborted: bool = False,
        unreadable: str = "",
    ) -> BusRecord:
        """Write a record to the partition of its key. `unreadable`: why no client can parse it."""
        place = self.place_of(topic, key)
        log = self.logs.setdefault(place, [])
        record = BusRecord(topic, place[1], len(log), key, tuple(headers), value, self.clock(), unreadable)
        log.append(record)
        if aborted:
            self.aborted.add((topic, place[1], record.offset))
        else:
            self.on_append(record)
        for group in self.groups.values():
            member = group.assigned.get(place)
            if member is not None:
                group.members[member].wake()
        return record

    def next_epoch(self, fence: str) -> int:
        """As Kafka's coordinator gives one to each producer that starts under a transactional id."""
        self._epochs[fence] = self._epochs.get(fence, 0) + 1
        return self._epochs[fence]

    def admits(self, fence: str, epoch: int, place: Place) -> bool:
        """Whether no newer producer of the fence has written to the partition."""
        if not fence:
            return True
        newest = self._seen.get((fence, place), 0)
        self._seen[fence, place] = max(newest, epoch)
        return epoch >= newest

    def repeat(self, record: BusRecord) -> None:
        """Write a record once more: a producer's late repetition."""
        self.append(record.topic, record.key, record.headers, record.value)

    def records(self) -> list[BusRecord]:
        """Everything that was ever written and committed, by topic and partition."""
        return [record for place in sorted(self.logs) for record in self.records_of(place)]

    def records_of(self, place: Place) -> list[BusRecord]:
        log = self.logs.get(place, [])
        if not self.aborted:
            return log
        return [record for record in log if (*place, record.offset) not in self.aborted]

    # Groups

    def join(self, source: MemorySource) -> None:
        group = self.groups.setdefault(source.group, Group(tuple(source.topics)))
        known = source.member in group.members
        group.members[source.member] = source
        if known:
            source.seek_back()
        else:
            self.rebalance(source.group)

    def leave(self, group: str, member: str) -> None:
        """The member left, or was silent for too long."""
        if self.groups[group].members.pop(member, None) is not None:
            self.rebalance(group)

    def rebalance(self, name: str) -> None:
        """Assign the partitions again; a member that gets another's begins at its committed position."""
        group = self.groups[name]
        members = sorted(group.members)
        before = dict(group.assigned)
        group.assigned = {}
        if not members:
            return
        shift = int(self.rng.random() * len(members))
        places = [(topic, partition) for topic in group.topics for partition in range(self.partitions)]
        for number, place in enumerate(places):
            group.assigned[place] = members[(number + shift) % len(members)]
        for member in members:
            mine = {place for place, owner in group.assigned.items() if owner == member}
            group.members[member].assigned(mine, {place for place in mine if before.get(place) != member})


class MemorySource:
    """A member of a group. See `shell.ports.bus`."""

    def __init__(
        self,
        bus: MemoryBus,
        group: str,
        member: str,
        topics: Sequence[str],
        trouble: Trouble = all_well,
        positions: KnownPositions | None = None,
    ) -> None:
        """`positions`: where it begins, in place of where the group was."""
        self.bus, self.group, self.member, self.topics, self.trouble = bus, group, member, tuple(topics), trouble
        self._positions: dict[Place, int] = {}
        self._known_positions, self._new = positions, set[Place]()
        self._woken = asyncio.Event()

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.bus.join(self)

    async def read(self, limit: int) -> Sequence[BusRecord]:
        await asyncio.sleep(0)
        if self.bus.groups[self.group].members.get(self.member) is not self:
            self.bus.join(self)
        match self.trouble("read"):
            case "refused":
                raise BusUnavailable("the broker cannot be reached")
            case "again":
                self.seek_back()
        await self._begin_where_known()
        if not (found := self._found(limit)):
            self._woken.clear()
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    await self._woken.wait()
            except TimeoutError:
                return []
            found = self._found(limit)
        return found

    async def _begin_where_known(self) -> None:
        while self._known_positions is not None and self._new:
            asked = set(self._new)
            known = await self._known_positions(asked)
            self._new -= asked
            self._positions |= {place: known.get(place, 0) for place in asked if place in self._positions}

    def _found(self, limit: int) -> list[BusRecord]:
        """From a random partition on, as fetches come back in any order."""
        places = list(self._positions)
        first = int(self.bus.rng.random() * len(places)) if places else 0
        found: list[BusRecord] = []
        for place in (*places[first:], *places[:first]):
            log = self.bus.logs.get(place, ())
            position = self._positions[place]
            if position < len(log):
                records = log[position : position + limit - len(found)]
                self._positions[place] = position + len(records)
                found += [record for record in records if self._visible(record)]
            if len(found) >= limit:
                break
        return found

    def _visible(self, record: BusRecord) -> bool:
        """Read committed: what a producer aborted was never there."""
        aborted = self.bus.aborted
        return not aborted or (record.topic, record.partition, record.offset) not in aborted

    async def commit(self, positions: Positions) -> None:
        await asyncio.sleep(0)
        if self.trouble("commit"):
            raise BusUnavailable("the broker cannot be reached")
        group = self.bus.groups[self.group]
        if group.members.get(self.member) is not self:
            raise BusUnavailable("the member is not in the group any more")
        group.committed.update({p: o for p, o in positions.items() if group.assigned.get(p) == self.member})

    def lag(self) -> int:
        return sum(len(self.bus.logs.get(place, ())) - position for place, position in self._positions.items())

    def oldest_unread(self) -> datetime | None:
        logs = ((self.bus.logs.get(place, ()), position) for place, position in self._positions.items())
        return min((log[position].at for log, position in logs if position < len(log)), default=None)

    def ready(self) -> bool:
        return bool(self._positions)

    async def stop(self) -> None:
        """A static member says no good-bye: its session runs on."""

    # The bus calls these

    def wake(self) -> None:
        self._woken.set()

    def assigned(self, mine: set[Place], new: set[Place]) -> None:
        committed = self.bus.groups[self.group].committed
        self._positions = {
            place: committed.get(place, 0) if place in new or place not in self._positions else self._positions[place]
            for place in sorted(mine)
        }
        self._new |= new
        self.wake()

    def seek_back(self) -> None:
        """Begin at the committed positions again."""
        group = self.bus.groups[self.group]
        mine = sorted(place for place, owner in group.assigned.items() if owner == self.member)
        self._positions = {place: group.committed.get(place, 0) for place in mine}
        self._new = set(mine)
        self.wake()


class MemoryCatchUp(MemorySource):
    """The only member of its group after a restore: in order of time, no key twice in one go. See
    `shell/kafka/catch_up.py`."""

    settled: Callable[[], Awaitable[None]]
    _targets: Mapping[Place, int] = {}

    async def read(self, limit: int) -> Sequence[BusRecord]:
        await self.settled()
        if not self._targets:
            self._targets = {place: len(self.bus.logs.get(place, ())) for place in self._positions}
        return await super().read(limit)

    def reached(self) -> bool:
        """Whether all that was there when it began to read is handed on."""
        return bool(self._targets) and all(self._positions.get(it, 0) >= end for it, end in self._targets.items())

    def time(self) -> datetime:
        """Of the next record."""
        if self.reached():
            return self.bus.clock()
        return self.oldest_unread() or datetime.min.replace(tzinfo=UTC)

    def _found(self, limit: int) -> list[BusRecord]:
        merged = InOrderOfTime()
        for place, position in self._positions.items():
            merged.add(self.bus.logs.get(place, [])[position:])
        taken = merged.take(limit, ())
        self._positions |= {(record.topic, record.partition): record.offset + 1 for record in taken}
        return [record for record in taken if self._visible(record)]


class MemorySink:
    """A producer. See `shell.ports.bus`. `fence`: the same for all that write for one service; none where empty."""

    def __init__(self, bus: MemoryBus, trouble: Trouble = all_well, fence: str = "") -> None:
        self.bus, self.trouble, self.fence = bus, trouble, fence
        self._epoch = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        self._epoch = self.bus.next_epoch(self.fence)

    def started(self) -> bool:
        return self._epoch > 0

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        await asyncio.sleep(0)
        trouble = self.trouble("send")
        if trouble == "refused":
            raise BusUnavailable("the broker cannot be reached")
        taken: list[int] = []
        refused: dict[int, str] = {}
        held_up: dict[str, str] = {}
        whole = rows[: len(rows) // 2] if trouble == "half" else rows
        bad = {self._place(row) for row in whole if _size(row) > MAX_RECORD}
        for row in whole:
            place = self._place(row)
            if row.topic in self.bus.missing:
                held_up[row.topic] = "UnknownTopicOrPartitionError"
            elif place in bad:  # a batch is refused whole
                refused[row.id] = "MessageSizeTooLargeError"
            elif not self.bus.admits(self.fence, self._epoch, place):
                self._epoch = 0
                raise BusUnavailable("a newer producer has written here")
            else:
                self.bus.append(row.topic, row.key.encode(), _headers(row), row.body)
                taken.append(row.id)
        await asyncio.sleep(0)
        if trouble == "unheard":
            raise BusUnavailable("the broker's answer was lost")
        return Sent(taken, refused, held_up, trouble="half of it was not taken" if trouble == "half" else "")

    def _place(self, row: OutboxRow) -> Place:
        return self.bus.place_of(row.topic, row.key.encode())

    async def stop(self) -> None:
        self._epoch = 0


def _size(row: OutboxRow) -> int:
    return len(row.key) + len(row.headers) + len(row.body)


def _headers(row: OutboxRow) -> Sequence[tuple[str, bytes]]:
    pairs: Sequence[tuple[str, str]] = orjson.loads(row.headers)
    return [(name, value.encode()) for name, value in pairs]


def sizes(bus: MemoryBus) -> Mapping[str, int]:
    """How many records each topic holds."""
    found: dict[str, int] = {}
    for (topic, _), log in bus.logs.items():
        found[topic] = found.get(topic, 0) + len(log)
    return found
