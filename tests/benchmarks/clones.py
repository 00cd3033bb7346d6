"""A large system in minutes: copies of real finished orders, written into databases, topics and Stripe's books.

    orderbus demo --data DIR                                        # real orders of all kinds
    python -m tests.benchmarks.clones --data DIR --orders 200000    # copies of them, each with ids of its own

A copy has all that its original has, byte for byte: rows of every service, what its inboxes know, its records, its
movements at the provider. Only ids differ, and in the same way everywhere, so that it is as true as the original.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2

from deploy.devstack.stack import Stack
from deploy.sandboxes.stripe.journal import Journal
from services.declared import declared
from services.fulfillment.domain.stock import Stock
from services.registry import SERVICES
from shared.core import codec
from shared.core.fast_dataclasses import replace
from tests.benchmarks.originals import OWNED, SEPARATOR, Originals, Template, columns_of

AT_ONCE = 200
"""Orders whose rows are copied together."""
SPREAD = 3 * 3600
"""Seconds before the originals over which the ids of the copies are spread."""


@dataclass
class Copies:
    originals: Originals
    orders: int

    def each(self) -> Iterator[tuple[Template, list[str]]]:
        """Every copy: what it is made of, and its ids."""
        templates = list(self.originals.templates.values())
        for number in range(self.orders):
            template = templates[number % len(templates)]
            yield template, template.copy_ids(number + 1, SPREAD - SPREAD * number // self.orders)

    async def into_databases(self) -> None:
        places = sorted({place for template in self.originals.templates.values() for place in template.shapes})
        await asyncio.gather(*(self._service([p for p in places if p[0] == service]) for service in OWNED))

    async def _service(self, places: Sequence[tuple[str, str]]) -> None:
        connection = await asyncpg.connect(self.originals.stack.postgres.url(places[0][0]))
        try:
            await connection.execute("set synchronous_commit = off")
            columns = {table: await columns_of(connection, table) for _, table in places}
            for chunk in self._chunks():
                for place in places:
                    text = "".join(template.shapes[place].filled(ids) for template, ids in chunk)
                    if text:
                        await connection.copy_to_table(
                            place[1], source=_once(text.encode()), columns=columns[place[1]], format="text"
                        )
            await connection.execute("vacuum analyze")
        finally:
            await connection.close()

    def _chunks(self) -> Iterator[list[tuple[Template, list[str]]]]:
        some = []
        for one in self.each():
            some.append(one)
            if len(some) == AT_ONCE:
                yield some
                some = []
        yield some

    async def into_topics(self) -> None:
        settings = self.originals.settings
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks=1, max_batch_size=500_000)
        await producer.start()
        try:
            writer = BatchWriter(producer)
            for template, ids in self.each():
                assert template.texts is not None
                texts = iter(template.texts.filled(ids).encode().split(SEPARATOR.encode()))
                key = ids[template.ids[template.key]].encode()
                partition = (murmur2(key) & 0x7FFFFFFF) % settings.partitions
                for record in template.records:
                    value = next(texts)
                    headers = [(name, next(texts)) for name, _ in record.headers]
                    body = None if record.value is None else value
                    await writer.add(record.topic, partition, key, body, headers, record.timestamp)
            await writer.flush()
        finally:
            await producer.stop()

    async def into_books(self) -> None:
        """While the sandbox is stopped."""
        journal, now = Journal(self.originals.stack.data / "stripe" / "stripe.journal"), int(time.time())
        for _ in journal.replay():
            pass
        try:
            lines: list[tuple[str, bytes]] = []
            for template, ids in self.each():
                assert template.stripe is not None
                records = orjson.loads(template.stripe.filled(ids))
                for _, values in records:
                    values["created"] = now  # the books are in the order of time
                if records:
                    lines.append(("C", orjson.dumps(records)))
                if len(lines) == 1000:
                    journal.append(lines)
                    lines = []
            journal.append(lines or [("C", b"[]")])
        finally:
            journal.close()

    async def into_stock(self) -> None:
        """What the copies hold was received once."""
        held: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for number, template in enumerate(self.originals.templates.values()):
            times = len(range(number, self.orders, len(self.originals.templates)))
            for stock, (reserved, taken) in template.holds.items():
                held[stock][0] += reserved * times
                held[stock][1] += taken * times
        connection = await asyncpg.connect(self.originals.stack.postgres.url("fulfillment"))
        try:
            for key, (reserved, taken) in held.items():
                row: Stock = codec.load(Stock, await connection.fetchval("select data from stock where key = $1", key))
                row = replace(
                    row,
                    on_hand=row.on_hand + reserved,
                    reserved=row.reserved + reserved,
                    received=row.received + reserved + taken,
                )
                await connection.execute(
                    "update stock set data = $2, on_hand = $3, reserved = $4, received = $5 where key = $1",
                    *(key, codec.dump(row).decode(), row.on_hand, row.reserved, row.received),
                )
        finally:
            await connection.close()

    async def into_positions(self) -> None:
        """The services have read everything."""
        settings = self.originals.settings
        for service in SERVICES:
            topics = [topic.name for topic in declared()[service].consumes]
            places = [TopicPartition(topic, number) for topic in topics for number in range(settings.partitions)]
            consumer = AIOKafkaConsumer(
                bootstrap_servers=settings.bootstrap_servers, group_id=service, enable_auto_commit=False
            )
            await consumer.start()
            try:
                consumer.assign(places)
                await consumer.commit(await consumer.end_offsets(places))
            finally:
                await consumer.stop()


class BatchWriter:
    """Fills a batch per partition."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._batches: dict[tuple[str, int], Any] = {}
        self._sent: list[asyncio.Future[Any]] = []

    async def add(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]], at: int
    ) -> None:
        batch = self._batches.get((topic, partition))
        if batch is None:
            batch = self._batches[topic, partition] = self._producer.create_batch()
        if batch.append(timestamp=at, key=key, value=value, headers=headers) is None:
            await self._send(topic, partition)
            batch = self._batches[topic, partition] = self._producer.create_batch()
            batch.append(timestamp=at, key=key, value=value, headers=headers)

    async def flush(self) -> None:
        for topic, partition in list(self._batches):
            await self._send(topic, partition)
        await asyncio.gather(*self._sent)

    async def _send(self, topic: str, partition: int) -> None:
        batch = self._batches.pop((topic, partition))
        batch.close()
        self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        if len(self._sent) > 20:
            await asyncio.gather(*self._sent)
            self._sent.clear()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def clone(stack: Stack, orders: int, say: Any = print) -> None:
    """Add that many orders. Nothing else may use the stack meanwhile."""
    began = time.monotonic()
    await stack.stripe.stop()
    originals = Originals(stack)
    await originals.read()
    copies = Copies(originals, orders)
    records = sum(len(template.records) for template in originals.templates.values()) / len(originals.templates)
    say(f"{len(originals.templates)} originals with {records:.1f} records each after {time.monotonic() - began:.0f} s")
    for what, work in (
        ("books", copies.into_books),
        ("stock", copies.into_stock),
        ("topics", copies.into_topics),
        ("databases", copies.into_databases),
        ("positions", copies.into_positions),
    ):
        await work()
        say(f"{what} written after {time.monotonic() - began:.0f} s")
    await stack.stripe.start()


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.clones", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of a stack with finished orders")
    parser.add_argument("--orders", type=int, default=200_000, help="how many orders to add")
    given = parser.parse_args(None if arguments is None else list(arguments))

    async def run() -> None:
        async with Stack(given.data) as stack:
            await clone(stack, given.orders)

    asyncio.run(run())


if __name__ == "__main__":
    main()
