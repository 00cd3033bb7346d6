"""Arbitrary records through real Kafka into real PostgreSQL: each is handled, refused, skipped or parked, and read on.

2,000 examples, or ORDERBUS_LONG=1 for 20,000. An example is a batch of some records, sent byte by byte; Hypothesis
shrinks what fails.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.record.util import calc_crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.envelope import Command, Envelope, encode, to_headers
from shared.shell.decisions import Done
from shared.shell.parked_rows import record_of, shown
from shared.shell.reader import inbound_of
from shared.shell.runner import Shell
from tests.integration.toy import COMMANDS, Explode, Fill, Ship, Take
from tests.integration.toy_on_kafka import World, ids, world
from tests.kafka_bytes import RawRecord, batch_of, produce

__all__ = ["world"]
EXAMPLES = 20_000 if os.environ.get("ORDERBUS_LONG") else 2_000
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


@dataclass(frozen=True)
class Batch:
    """What is sent at once; `damage` replaces bytes of the records' part, which the broker may then refuse."""

    records: tuple[RawRecord | Spoiled, ...]
    codec: int
    damage: tuple[tuple[int, int], ...]

    def encoded(self) -> bytes:
        records = [record.record() if isinstance(record, Spoiled) else record for record in self.records]
        data = bytearray(batch_of(records, self.codec))
        for place, value in self.damage:
            data[61 + place % (len(data) - 61)] = value
        struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
        return bytes(data)


batches = st.builds(
    Batch,
    st.lists(garbage | spoiled, min_size=1, max_size=4).map(tuple),
    st.integers(0, 4),
    st.just(()) | st.just(()) | st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=2).map(tuple),
)


class Fuzz:
    """Sends batches to one worker, waits until it is past them, and notes what became of each record."""

    def __init__(self, shell: Shell, client: AIOKafkaClient) -> None:
        self.shell, self.client = shell, client
        self.sent: set[tuple[int, int]] = set()
        """Partition and offset of what was sent undamaged."""
        self.became: dict[tuple[int, int], str] = {}
        self.refused_by_broker = 0
        self._after = shell.handler.after
        shell.handler.after = self._note

    def _note(self, done: Done) -> None:
        for inbound, outcome in done.answered:
            if inbound.record is not None:
                self.became[inbound.record.partition, inbound.record.offset] = outcome
        self._after(done)

    async def bears(self, batch: Batch, partition: int) -> None:
        try:
            first = await produce(self.client, COMMANDS.name, partition, batch.encoded())
        except KafkaError:
            assert batch.damage, "the broker takes whatever is well-formed"
            self.refused_by_broker += 1
            return
        end = first + len(batch.records)
        if not batch.damage:
            self.sent |= {(partition, offset) for offset in range(first, end)}
        async with asyncio.timeout(HANDLED_WITHIN):
            while self._position(partition) < end:
                assert not [name for name, task in self.shell._tasks.items() if task.done()]
                await asyncio.sleep(0.001)

    def _position(self, partition: int) -> int:
        """Up to where all is committed; the reader hands its positions on to the source once a second."""
        committed: dict[TopicPartition, int] = self.shell.source._committed  # type: ignore[attr-defined]
        place = (COMMANDS.name, partition)
        return self.shell.reader._handled.get(place, committed.get(TopicPartition(*place), 0))


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

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(batch=batches, partition=st.integers(0, 3))
    def examples(batch: Batch, partition: int) -> None:
        on_the_loop(fuzz.bears(batch, partition))

    await asyncio.to_thread(examples)

    metrics = shell.metrics
    passed_over = metrics.skipped._value.get() + metrics.duplicates._value.get()
    missing = fuzz.sent - set(fuzz.became)
    assert len(missing) <= passed_over, sorted(missing)[:10]
    assert len(fuzz.sent) > EXAMPLES
    assert set(fuzz.became.values()) == {"handled", "refused", "parked"}
    assert not shell.handler.held_up
    await world.publish("free", Take(shelf="s"))
    await world.until("select count(*) from boxes where key = 'free' and things = 1", (1,))
    for row in await shell.store.parked(limit=100_000):
        assert shown(row)
        if row.origin == "record":
            assert inbound_of(shell.wiring, record_of(row)) is not None
    await client.close()
