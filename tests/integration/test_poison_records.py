"""Records that none of our libraries would write: each is accounted for, and its partition goes on."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from confluent_kafka import Producer

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Command
from shared.shell.inbound.parked_rows import record_of
from tests.integration.toy import COMMANDS, Explode, Fill, Take
from tests.integration.toy_on_kafka import World, ids, world
from tests.kafka_bytes import GZIP, LZ4, SNAPPY, ZSTD, RawRecord, batch_of, produce

__all__ = ["world"]
PARTITIONS = 4


@dataclass
class Raw:
    """Sends records byte by byte, and looks how the worker bears it."""

    world: World
    client: AIOKafkaClient

    async def send(self, *records: RawRecord, partition: int = 0, codec: int = 0) -> None:
        await produce(self.client, COMMANDS.name, partition, batch_of(records, codec))

    async def goes_on(self, *, parked: int) -> None:
        """All partitions are read to their ends, every part of the worker runs, and so many messages are parked."""
        for partition in range(PARTITIONS):
            await self.send(command(f"after-{partition}", Take(shelf="s")), partition=partition)
        await self.world.until("select count(*) from boxes where key like 'after-%' and things > 0", (PARTITIONS,))
        await self.world.until("select count(*) from parked", (parked,))
        for shell in self.world.shells:
            assert not [name for name, task in shell._tasks.items() if task.done()]

    async def parked(self, columns: str = "key, origin, kind") -> list[tuple[object, ...]]:
        async with self.world.engine.connect() as connection:
            rows = await connection.exec_driver_sql(f"select {columns} from parked order by id")
            return [tuple(row) for row in rows]


def headers_of(key: str, command: Command) -> list[tuple[bytes, bytes | None]]:
    envelope = Envelope(next(ids), command.type, "test", key, datetime.now(UTC))
    return [(name.encode(), value) for name, value in to_headers(envelope)]


def command(key: str, command: Command, more: Sequence[tuple[bytes, bytes | None]] = ()) -> RawRecord:
    return RawRecord(key.encode(), encode(command), (*headers_of(key, command), *more))


@pytest_asyncio.fixture
async def raw(world: World) -> AsyncIterator[Raw]:
    await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=500))
    await world.until("select data->>'things' from shelves", ("500",))
    client = AIOKafkaClient(bootstrap_servers=world.settings.bootstrap_servers)
    await client.bootstrap()
    yield Raw(world, client)
    await client.close()


TYPE = (b"ce_type", b"toy.take")
POISON = {
    "a header with a null value": RawRecord(b"p", b"{}", ((b"ce_id", None), TYPE)),
    "a NUL in the type": RawRecord(b"p", b"{}", ((b"ce_type", b"toy.\x00take"),)),
    "a NUL in every header": RawRecord(b"p", b"\x00", tuple((n, b"\x00") for n in (b"ce_id", b"ce_type", b"\x00"))),
    "a header name that is not UTF-8": RawRecord(b"p", b"{}", ((b"\xff\xfe", b"\xff"), TYPE)),
    "an empty header name": RawRecord(b"p", b"{}", ((b"", b""), (b"", None))),
    "750 KB of 0xff in a header": RawRecord(b"p", b"{}", ((b"x", b"\xff" * 750_000), TYPE)),
    "a header name of 100 KB": RawRecord(b"p", b"{}", ((b"\xff" * 100_000, None), TYPE)),
    "10,000 headers": RawRecord(b"p", b"{}", ((b"h", b"v"),) * 10_000),
    "a key with a NUL": RawRecord(b"p\x00", b"{}", (TYPE,)),
    "a key that is not UTF-8": RawRecord(b"\xff\xfe", b"{}", (TYPE,)),
    "no key and no value": RawRecord(None, None),
    "a type that there is not": RawRecord(b"p", b"{}", ((b"ce_type", b"toy.\xf0\x9f\x92\xa3"),)),
}


def is_type(value: bytes | None) -> bool:
    """Readable, that is."""
    return value is not None and value.startswith(b"toy.") and b"\x00" not in value


@pytest.mark.parametrize("poison", POISON)
async def test_a_poison_record_is_refused_or_parked_and_every_partition_goes_on(raw: Raw, poison: str) -> None:
    record, good = POISON[poison], command("neighbour", Take(shelf="s"))
    await raw.send(command("neighbour", Take(shelf="s")), record, good)
    without = RawRecord(b"\xff", record.value, tuple(pair for pair in record.headers if not is_type(pair[1])))
    await raw.send(without, partition=1)  # nothing is left by which its sender could be answered

    await raw.goes_on(parked=1 if record.key or record.headers else 2)

    await raw.world.until("select things from boxes where key = 'neighbour'", (2,))
    for row in await raw.world.shells[0].store.parked():
        found, sent = record_of(row), without if row.partition == 1 else record
        names = [(name.encode("utf-8", "surrogateescape"), value) for name, value in found.headers]
        assert (found.key, found.value, names) == (sent.key, sent.value, list(sent.headers))
    await raw.world.until("select count(*) from outbox", (0,))


async def test_a_valid_record_with_a_null_header_waits_behind_its_parked_key_and_is_retried(raw: Raw) -> None:
    await raw.send(command("k-1", Explode()), command("k-1", Take(shelf="s"), [(b"x", None), (b"\xff", b"")]))
    await raw.goes_on(parked=2)
    assert await raw.parked("key, reason") == [("k-1", "failed"), ("k-1", "behind")]
    released = await raw.world.shells[0].parking.skip("k-1")
    assert (released.handled, released.error) == (1, "")
    await raw.world.until("select things from boxes where key = 'k-1'", (1,))


async def test_a_good_command_with_a_header_name_that_is_not_utf8_is_handled(raw: Raw) -> None:
    await raw.send(command("k-1", Take(shelf="s"), [(b"\xff", b"x")]))
    await raw.goes_on(parked=0)
    await raw.world.until("select things from boxes where key = 'k-1'", (1,))


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_an_independent_producer_compresses_is_read(raw: Raw, codec: str) -> None:
    producer = Producer(
        {
            "bootstrap.servers": raw.world.settings.bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 50,
            "partitioner": "murmur2",
        }
    )
    for number in range(20):
        message = Take(shelf="s", note="x" * 2000)
        headers = [(name.decode(), value) for name, value in headers_of(f"k-{number}", message)]
        producer.produce(COMMANDS.name, encode(message), f"k-{number}", headers=headers)  # type: ignore[arg-type]
    await asyncio.to_thread(producer.flush, 20)
    await raw.world.until("select count(*) from boxes where things = 1", (20,))
    await raw.goes_on(parked=0)


@pytest.mark.parametrize(("codec", "size"), [(GZIP, 200), (SNAPPY, 40), (LZ4, 200), (ZSTD, 200)])
async def test_a_record_that_decompresses_to_200_mb_is_stepped_over_in_bounded_memory(
    raw: Raw, codec: int, size: int
) -> None:
    process = psutil.Process()
    bomb = await asyncio.to_thread(lambda: batch_of([RawRecord(b"bomb", bytes(size * 1_000_000))], codec))
    gc.collect()
    before = peak = process.memory_info().rss
    await produce(raw.client, COMMANDS.name, 2, bomb)
    going_on = asyncio.create_task(raw.goes_on(parked=1))
    while not going_on.done():
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(0.002)
    await going_on
    assert (peak - before) / 1e6 < 100
    ((origin, error),) = await raw.parked("origin, error")
    assert origin == "place"
    assert "larger than 16,000,000 bytes decompressed" in str(error)
    assert raw.world.shells[0].metrics.unreadable._value.get() == 1


async def test_many_small_records_that_are_large_decompressed_are_held_a_few_at_a_time(raw: Raw) -> None:
    """Forty of 550 bytes come with one fetch, and are 600 MB."""
    process = psutil.Process()
    large = await asyncio.to_thread(lambda: batch_of([RawRecord(b"large", bytes(15_000_000))], ZSTD))
    parking = raw.world.shells[0].parking
    gc.collect()
    before = peak = process.memory_info().rss

    async def all_of_it() -> None:
        await raw.send(command("large", Explode()), partition=2)  # parked, and what follows behind it
        for _ in range(40):
            await produce(raw.client, COMMANDS.name, 2, large)
        await raw.goes_on(parked=41)
        assert len(await parking.list()) == 41
        assert len(await parking.show("large")) == 2
        assert (await parking.retry("large")).handled == 0

    going_on = asyncio.create_task(all_of_it())
    while not going_on.done():
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(0.002)
    await going_on
    assert (peak - before) / 1e6 < 250


async def test_what_an_open_transaction_wrote_is_nothing_to_be_read(raw: Raw) -> None:
    """It may stay open for an hour; nothing stands still because of it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=raw.world.settings.bootstrap_servers, transactional_id=f"shop-{next(ids)}"
    )
    await producer.start()
    await raw.send(command("before", Take(shelf="s")), partition=1)
    await producer.begin_transaction()
    record = command("open", Take(shelf="s"))
    headers = [(name.decode(), value) for name, value in record.headers]
    await producer.send_and_wait(COMMANDS.name, record.value, key=record.key, headers=headers, partition=1)
    await raw.send(command("other", Take(shelf="s")))
    await raw.world.until("select count(*) from boxes where key = 'other'", (1,))
    shell = raw.world.shells[0]
    async with asyncio.timeout(10):
        while shell.source.lag():
            await asyncio.sleep(0.05)
    await asyncio.sleep(2.5)
    assert shell.progress.age("reader") < 2
    await producer.commit_transaction()
    await producer.stop()
    await raw.world.until("select count(*) from boxes where key = 'open'", (1,))


async def test_what_an_aborted_transaction_wrote_does_not_happen(raw: Raw) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=raw.world.settings.bootstrap_servers, transactional_id=f"shop-{next(ids)}"
    )
    await producer.start()
    for key, aborted in (("k-1", True), ("k-2", False), ("k-3", True)):
        await producer.begin_transaction()
        for number in range(PARTITIONS):
            record = command(f"{key}-{number}", Take(shelf="s"))
            headers = [(name.decode(), value) for name, value in record.headers]
            await producer.send(COMMANDS.name, record.value, key=record.key, headers=headers, partition=number)
        await (producer.abort_transaction() if aborted else producer.commit_transaction())
    await producer.stop()
    await raw.goes_on(parked=0)
    await raw.world.until(
        "select key from boxes where key like 'k-%' order by key", *((f"k-2-{n}",) for n in range(PARTITIONS))
    )
    async with asyncio.timeout(10):  # the ends of the transactions are no records that wait
        while raw.world.shells[0].source.lag():
            await asyncio.sleep(0.05)
