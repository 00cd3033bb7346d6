"""Invalid records arrive in masses while orders are processed: each is parked by itself, and no worker ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient

from deploy.client.storefront import uuid7
from deploy.demo.basket import checkout, person
from services.declared import declared
from services.registry import SERVICES
from shared.contracts.checkout import OrderPaid
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.examples import EXAMPLES
from shared.contracts.storefront import CHECKOUTS, CheckoutSubmitted
from shared.core import MESSAGES, Command
from tests.faults.scenario import ORDERS, SECONDS, FaultScenario
from tests.faults.system import System
from tests.kafka_bytes import GZIP, LZ4, SNAPPY, ZSTD, RawRecord, batch_of, encoded, produce, varint
from tests.kafka_bytes import batch_around as around

RECORDS_OF_AN_ORDER = 30
"""About; one in twenty of all is garbage."""
TOPICS = sorted({topic.name for service in declared().values() for topic in service.consumes if not topic.compacted})
COMMANDS = {kind.topic.name for kind in MESSAGES.values() if issubclass(kind, Command)}
"""There garbage is refused if it has a key or a type, and parked if it has neither."""
TYPE = (b"ce_type", b"order.paid")
Headers = tuple[tuple[bytes, bytes | None], ...]
ODD: tuple[tuple[bytes | None, bytes | None, Headers], ...] = (
    (b"garbage", b"{}", ((b"ce_id", None), TYPE)),
    (b"garbage", b"{}", ((b"ce_type", b"order.\x00paid"),)),
    (b"garbage", b"{}", ((b"\xff\xfe", b"\xff"), TYPE)),
    (b"garbage", None, ((b"", None),)),
    (b"garbage\x00", b"\x00", (TYPE,)),
    (b"\xff\xfe", b"\xff", (TYPE,)),
    (None, None, ()),
    (b"garbage", b"[" * 20_000, (TYPE,)),
    (b"garbage", b"{}", ((b"x", b"\xff" * 20_000), TYPE)),
)
CODECS = (0, GZIP, SNAPPY, LZ4, ZSTD)


def good_headers(key: str) -> Headers:
    envelope = Envelope(uuid7(), OrderPaid.type, "unknown", key, datetime.now(UTC))
    return tuple((name.encode(), value) for name, value in to_headers(envelope))


@dataclass
class Storm:
    system: System
    rng: random.Random
    client: AIOKafkaClient
    sent: int = 0
    """To topics of facts, where all of it is parked."""
    number: int = 0
    aborted: list[str] = field(default_factory=list)

    async def rages(self, count: int, seconds: float) -> None:
        """So many records, evenly spread; a few large ones and the aborted transactions among them."""
        for turn in range(count):
            await self.produce(self._record())
            if turn % 100 == 7:
                await self.produce(around(encoded(self._odd(), 0) + varint(1 << 40), 1), any_answer=True)
            if turn % (count // 3) == 11:
                await self.produce(batch_of([RawRecord(b"garbage", b"{}", ((b"x", b"\xff" * 750_000), TYPE))]))
                await self.produce(batch_of([RawRecord(b"garbage", bytes(200_000_000))], GZIP))
                await self.produce(batch_of([RawRecord(b"garbage", bytes(200_000_000))], ZSTD))
                await self.abort()
            await asyncio.sleep(seconds / count)

    def _odd(self) -> RawRecord:
        """Under a key of its own, where it has one that can be read."""
        key, value, headers = self.rng.choice(ODD)
        self.number += 1
        return RawRecord(key.replace(b"garbage", b"garbage-%d" % self.number) if key else key, value, headers)

    def _record(self) -> bytes:
        if self.rng.random() < 0.1:  # readable, but behind garbage of the same key
            key = f"garbage-behind-{self.rng.randrange(10)}"
            good = RawRecord(key.encode(), encode(EXAMPLES[OrderPaid]), (*good_headers(key), (b"\xff", None)))
            bad = RawRecord(key.encode(), b"{}", ((b"ce_id", None),))
            return batch_of([bad, good], self.rng.choice(CODECS))
        return batch_of([self._odd()], self.rng.choice(CODECS))

    async def produce(self, batch: bytes, *, any_answer: bool = False) -> None:
        topic = self.rng.choice(TOPICS)
        await self.client.add_topic(topic)
        partition = self.rng.choice(sorted(self.client.cluster.partitions_for_topic(topic)))
        try:
            await produce(self.client, topic, partition, batch)
            self.sent += topic not in COMMANDS
        except Exception:
            if not any_answer:  # the broker may see that a record is damaged, and refuse it
                raise

    async def abort(self) -> None:
        """Checkouts in a transaction that is aborted: these orders must never exist."""
        servers = self.system.settings.kafka.bootstrap_servers
        producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"storm-{uuid7()}")
        await producer.start()
        await producer.begin_transaction()
        for _ in range(3):
            key = f"aborted-{uuid7()}"
            customer = person("Aborted", str(uuid7()))
            submitted = checkout(self.system.catalogue, "lasting", customer, [("atlas", 1)])
            envelope = Envelope(uuid7(), CheckoutSubmitted.type, "storm", key, datetime.now(UTC))
            await producer.send(CHECKOUTS.name, encode(submitted), key=key.encode(), headers=to_headers(envelope))
            self.aborted.append(key)
        await producer.abort_transaction()
        await producer.stop()


async def test_poison_pours_in_while_orders_flow(scenario: FaultScenario) -> None:
    system = scenario.system
    client = AIOKafkaClient(bootstrap_servers=system.settings.kafka.bootstrap_servers)
    await client.bootstrap()
    storm = Storm(system, random.Random(scenario.seed), client)
    pids = {worker.name: worker.pid for worker in system.services.workers}
    parked: list[str] = []

    async def fix() -> None:
        await client.close()
        parked.extend(await only_garbage(system))

    async def rage() -> None:
        await storm.rages(ORDERS * RECORDS_OF_AN_ORDER // 20, SECONDS)

    await scenario.survives("(p) poison storm, 5 % of all records", rage, fix, after=0.1)

    assert {worker.name: worker.pid for worker in system.services.workers} == pids, "a worker ended"
    assert len(parked) >= storm.sent
    query = f"select count(*) from orders where key in ({', '.join(repr(key) for key in storm.aborted)})"
    assert await system.value("checkout", query) == 0


async def only_garbage(system: System) -> Sequence[str]:
    """Wait until all is read, see that nothing but garbage was parked, show some of it as staff see it, and drop it."""
    await system.at_rest()
    found: list[str] = []
    for service in SERVICES:
        rows = (await system.edges.get(service, "/parked"))["parked"]
        assert rows or service == "staff", "staff reads facts into its archive, where garbage is kept"
        for row in rows[:5]:
            assert (await system.edges.get(service, f"/parked/{row['key']}"))["parked"]
        orders = await system.value(
            service, "select string_agg(key || ' ' || error, '; ') from parked where not (key ~ '^garbage|/[0-9]+$')"
        )
        assert orders is None
        found += [service] * await system.value(service, "select count(*) from parked")
        await system.execute(service, "delete from parked")
    return found
