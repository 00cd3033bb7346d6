"""Arbitrary records through real Kafka into real PostgreSQL: each is handled, refused, skipped or parked, and read on.

500 examples, or ORDERBUS_LONG=1 for 20,000. An example is a batch of some records, sent byte by byte. Nothing is
shrunk: a reader that stands still stands still for every later example too.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.record.util import calc_crc32c
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Command
from shared.shell.batch.result import BatchResult
from shared.shell.inbound.message import Inbound
from shared.shell.inbound.parked_rows import record_of, shown
from shared.shell.inbound.records import inbound_of
from shared.shell.shell import Shell
from tests.integration.toy import COMMANDS, Explode, Fill, Ship, Take
from tests.integration.toy_on_kafka import World, ids, world
from tests.kafka_bytes import RawRecord, batch_around, encoded, produce

__all__ = ["world"]
EXAMPLES = 20_000 if os.environ.get("ORDERBUS_LONG") else 500
HANDLED_WITHIN = 20.0
"""Seconds."""

odd_bytes = st.sampled_from([b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"a\x00b", b"\\u0000", b"{}", b"\xf4\x90\x80\x80"])
some_bytes = st.binary(max_size=30) | odd_bytes
keys = st.none() | some_bytes | st.sampled_from([b"k-1", b"k-2", b"k-3", b"s"])
known_names = st.sampled_from(
    [b"ce_id", b"ce_type", b"ce_source", b"ce_specversion", b"ce_subject", b"ce_time", b"ce_store", b"ce_sequence",
     b"ce_dataschema", b"ce_correlationid", b"ce_causationid", b"ce_actor", b"traceparent", b"content-type"]
)  # fmt: skip
names = known_names | some_bytes
values = st.none() | some_bytes | st.sampled_from([b"toy.take", b"1.0", b"x" * 300, b"2026-01-01T00:00:00+00:00"])
bodies = st.none() | some_bytes | st.sampled_from([b'{"shelf": "s"}', b"[" * 10_000, b'{"shelf": "\\ud800"}'])
garbage = st.builds(RawRecord, keys, bodies, st.lists(st.tuples(names, values), max_size=8).map(tuple))


@dataclass(frozen=True)
class Spoiled:
    """A good command, and what is done to its record."""

    command: Command
    key: str
    body: bytes | None
    replaced: tuple[tuple[bytes, bytes | None], ...]
    added: tuple[tuple[bytes, bytes | None], ...]

    def record(self) -> RawRecord:
        envelope = Envelope(next(ids), self.command.type, "test", self.key, datetime.now(UTC))
        replaced = dict(self.replaced)
        headers = [(name.encode(), replaced.get(name.encode(), value)) for name, value in to_headers(envelope)]
        body = encode(self.command) if self.body is None else self.body
        return RawRecord(self.key.encode(), body, (*headers, *self.added))


commands = st.sampled_from([Take(shelf="s"), Take(shelf="nowhere"), Ship(), Explode(), Fill(shelf="s", count=1)])
spoiled = st.builds(
    Spoiled,
    commands,
    st.integers(1, 300).map("k-{}".format) | st.just("s"),
    st.none() | bodies,
    st.lists(st.tuples(known_names, values), max_size=2).map(tuple),
    st.lists(st.tuples(names, values), max_size=2).map(tuple),
)


Damage = tuple[tuple[int, int], ...]
"""Places, and the bytes to put there."""
damages = st.lists(
    st.tuples(st.integers(0, 30) | st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=2
).map(tuple)


def damaged(data: bytes, damage: Damage) -> bytes:
    found = bytearray(data)
    for place, value in damage:
        found[place % len(found)] = value
    return bytes(found)


@dataclass(frozen=True)
class Batch:
    """What is sent at once. Kafka refuses some batches that are damaged or misplaced."""

    records: tuple[RawRecord | Spoiled, ...]
    codec: int
    misplaced: tuple[int, int] | None
    """Number of a record, and what it says its offset is, counted from the batch's."""
    inside: Damage
    """To the records before they are compressed."""
    outside: Damage

    @property
    def sound(self) -> bool:
        return not (self.misplaced or self.inside or self.outside)

    def encoded(self) -> bytes:
        records = [record.record() if isinstance(record, Spoiled) else record for record in self.records]
        deltas = list(range(len(records)))
        if self.misplaced:
            deltas[self.misplaced[0] % len(deltas)] = self.misplaced[1]
        body = damaged(b"".join(map(encoded, records, deltas)), self.inside)
        batch = batch_around(body, len(records), self.codec)
        data = bytearray(batch[:61] + damaged(batch[61:], self.outside))
        struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
        return bytes(data)


records = st.lists(garbage | spoiled, min_size=1, max_size=4).map(tuple)
codecs = st.integers(0, 4)
deltas = st.integers(-3, 8) | st.sampled_from([-(2**31), 100, 10_000, 2**31 - 1, 2**32, 2**33 + 1, 2**62])
batches = st.one_of(
    st.builds(Batch, records, codecs, st.none(), st.just(()), st.just(())),
    st.builds(Batch, records, codecs, st.none(), st.just(()), st.just(())),
    st.builds(Batch, records, codecs, st.none(), damages, st.just(())),
    st.builds(Batch, records, codecs, st.none(), st.just(()), damages),
    st.builds(Batch, records, st.just(0) | codecs, st.tuples(st.integers(0, 3), deltas), st.just(()), st.just(())),
)


class Fuzz:
    """Sends batches to one worker, waits until it is past them, and notes the outcome of each record."""

    def __init__(self, shell: Shell, client: AIOKafkaClient) -> None:
        self.shell, self.client = shell, client
        self.sent: set[tuple[int, int]] = set()
        """Partition and offset of what was sent undamaged."""
        self.became: dict[tuple[int, int], str] = {}
        self.refused_by_broker = 0
        self.past: dict[int, int] = {}
        """Per partition, up to where all is handled."""
        self.failure = ""
        self._after, self._put = shell.batcher.after, shell.batcher.put
        shell.batcher.after = self._note
        shell.batcher.put = self._put_and_note  # type: ignore[method-assign]

    def _note(self, done: BatchResult) -> None:
        for inbound, outcome in done.decided:
            if inbound.record is not None:
                self.became[inbound.record.partition, inbound.record.offset] = outcome
        self._after(done)

    async def _put_and_note(self, inbounds: Sequence[Inbound], mark: Callable[[], None] | None = None) -> None:
        """The reader keeps its positions only until they are committed."""

        def noted() -> None:
            if mark:
                mark()
            for (topic, partition), position in self.shell.reader._handled.items():
                if topic == COMMANDS.name:
                    self.past[partition] = max(position, self.past.get(partition, 0))

        await self._put(inbounds, noted)

    async def bears(self, batch: Batch, partition: int) -> None:
        assert not self.failure, self.failure
        data = batch.encoded()
        try:
            first = await produce(self.client, COMMANDS.name, partition, data)
        except KafkaError:
            assert not batch.sound, "the broker takes whatever is well-formed"
            self.refused_by_broker += 1
            return
        end = first + len(batch.records)
        if batch.sound:
            self.sent |= {(partition, offset) for offset in range(first, end)}
        try:
            await self._is_past(partition, end)
        except (TimeoutError, AssertionError) as error:
            place = f"partition {partition}: at {self.past.get(partition)}, not at {end}"
            self.failure = f"{error!r} after {batch!r}, which was sent as {data.hex()}; {place}"
            raise AssertionError(self.failure) from error

    async def _is_past(self, partition: int, end: int) -> None:
        async with asyncio.timeout(HANDLED_WITHIN):
            while self.past.get(partition, 0) < end:
                assert not [name for name, task in self.shell._tasks.items() if task.done()]
                await asyncio.sleep(0.001)
        assert self.past[partition] == end, "records are read whose batch ended before them"


# aiokafka draws random numbers in the loop's thread while Hypothesis, which looks at the global state, draws examples.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
async def test_every_record_is_accounted_for_and_no_worker_ends(world: World) -> None:
    shell = await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=10**6))
    await world.until("select data->>'things' from shelves", (str(10**6),))
    client = AIOKafkaClient(bootstrap_servers=world.settings.bootstrap_servers)
    await client.bootstrap()
    fuzz, loop = Fuzz(shell, client), asyncio.get_running_loop()

    def on_the_loop(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(batch=batches, partition=st.integers(0, 3))
    def examples(batch: Batch, partition: int) -> None:
        on_the_loop(fuzz.bears(batch, partition))

    await asyncio.to_thread(examples)

    metrics = shell.metrics
    passed_over = metrics.skipped._value.get() + metrics.duplicates._value.get()
    missing = fuzz.sent - set(fuzz.became)
    assert len(missing) <= passed_over, sorted(missing)[:10]
    assert len(fuzz.sent) > EXAMPLES / 2 and fuzz.refused_by_broker < EXAMPLES / 2
    assert set(fuzz.became.values()) == {"handled", "refused", "parked"}
    assert not shell.batcher.database_away
    await world.publish("free", Take(shelf="s"))
    await world.until("select count(*) from boxes where key = 'free' and things = 1", (1,))
    for row in await shell.store.parked(limit=100_000):
        assert shown(row)
        if row.origin == "record":
            assert inbound_of(shell.registry, record_of(row)) is not None
    await client.close()
