"""The monitor as a process, on a real broker: its counts are those of a plain count, whatever happens to it."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.client.storefront import uuid7
from deploy.devstack.children import Children
from deploy.devstack.kafka import Kafka
from deploy.devstack.ports import choose
from deploy.devstack.processes import Services, Worker
from shared.contracts import TOPICS
from shared.contracts.checkout import STATUS, OrderStatusRecord
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.examples.checkout import EXAMPLES
from shared.contracts.examples.payments import EXAMPLES as OF_PAYMENTS
from shared.contracts.payment_status import AttemptState, PaymentStatusRecord, RefundState
from shared.contracts.values import OrderStatus
from shared.settings import KafkaSettings
from shared.shell.kafka.topics import ensure_topics
from tests.integration.conftest import ShortLivedKafka

TOKEN = "a-token-of-staff"
EXAMPLE = next(one for one in EXAMPLES if isinstance(one, OrderStatusRecord))
PAYMENT = next(one for one in OF_PAYMENTS if isinstance(one, PaymentStatusRecord))
STORES = ("northwind", "southwind", "eastwind")
SPAN = 20
"""Minutes in which orders are placed."""


Status = OrderStatusRecord | PaymentStatusRecord


@dataclass
class Topic:
    """Publishes status records, as checkout's relay does and worse, and counts them plainly."""

    producer: AIOKafkaProducer
    rng: random.Random
    start: datetime
    placed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Minute and store of every order."""
    last: dict[tuple[str, str], Status] = field(default_factory=dict)
    """The last record of every order and payment, by topic and key."""
    published: list[tuple[str, Status]] = field(default_factory=list)
    garbled: int = 0

    def plain_count(self) -> Counter[tuple[str, str]]:
        return Counter(self.placed.values())

    def plain_figures(self) -> Counter[tuple[str, ...]]:
        """By minute, store, figure and currency."""
        found: Counter[tuple[str, ...]] = Counter()
        for status in self.last.values():
            if isinstance(status, OrderStatusRecord):
                assert status.placed_at is not None
                place = (minute(status.placed_at), status.store)
                found[*place, "orders"] += 1
                found[*place, "failed"] += status.status is OrderStatus.FAILED
                if status.paid_at is not None and status.paid is not None:
                    found[*place, "paid"] += 1
                    found[minute(status.paid_at), status.store, "revenue", status.currency] += status.paid
            else:
                for attempt in status.attempts:
                    found[minute(attempt.at), status.store, "attempts"] += 1
                    found[minute(attempt.at), status.store, "declined"] += attempt.status == "declined"
                for refund in (one for one in status.refunds if one.status == "done"):
                    found[minute(refund.at), status.store, "refunds"] += 1
                    found[minute(refund.at), status.store, "refunded", status.currency] += refund.amount
        return Counter({place: amount for place, amount in found.items() if amount})

    async def orders(self, count: int) -> None:
        """Each with several records, some of them twice, and records of earlier orders again."""
        async with self.producer.transaction():
            for _ in range(count):
                order, store = str(uuid7()), self.rng.choice(STORES)
                at = self.start + timedelta(seconds=self.rng.randrange(60 * SPAN))
                self.placed[order] = (minute(at), store)
                for revision in range(1, self.rng.randint(3, 6)):
                    await self._send(order, self._order(store, revision, at if revision > 1 else None))
                    if revision > 1:
                        await self._send(order, self._payment(store, revision, at))
                    if self.rng.random() < 0.3:
                        await self._send(*self.rng.choice(self.published))

    def _order(self, store: str, revision: int, placed_at: datetime | None) -> OrderStatusRecord:
        if placed_at is None:
            return record(store, revision, None)
        paid = placed_at + timedelta(seconds=self.rng.randrange(300)) if self.rng.random() < 0.8 else None
        status = self.rng.choice((OrderStatus.COMPLETED, OrderStatus.FAILED))
        update = {"status": status, "paid_at": paid, "paid": self.rng.randrange(9000) if paid else 0}
        update |= {"updated_at": placed_at + timedelta(minutes=5, seconds=revision)}
        return record(store, revision, placed_at).model_copy(update=update)

    def _payment(self, store: str, revision: int, at: datetime) -> PaymentStatusRecord:
        attempts = tuple(
            AttemptState(
                attempt=number,
                status=self.rng.choice(("declined", "captured", "charging")),
                provider="stripe",
                amount=900,
                at=at + timedelta(seconds=number),
            )
            for number in range(1, self.rng.randint(2, 4))
        )
        refunds = tuple(
            RefundState(
                refund=f"r-{number}",
                attempt=1,
                status=self.rng.choice(("done", "failed")),
                amount=self.rng.randrange(1, 500),
                at=at + timedelta(minutes=number),
            )
            for number in range(self.rng.randrange(3))
        )
        more = {"attempts": attempts, "refunds": refunds, "updated_at": at + timedelta(minutes=5)}
        return PAYMENT.model_copy(update={"store": store, "revision": revision, **more})

    async def aborted(self, count: int) -> None:
        """Records that are there, but not committed: they do not count."""
        await self.producer.begin_transaction()
        for _ in range(count):
            await self._send(str(uuid7()), record("northwind", 2, self.start), remember=False)
            await self._send(str(uuid7()), self._payment("northwind", 2, self.start), remember=False)
        await self.producer.flush()
        await self.producer.abort_transaction()

    async def garbage(self) -> None:
        """Four records that are unreadable, and two of a newer build."""
        key, body = str(uuid7()).encode(), encode(record("northwind", 1, self.start))
        headers = to_headers(envelope(key.decode()))
        newer = [(name, value.replace(b":1", b":99")) for name, value in headers if name == "ce_dataschema"]
        others = [(name, value) for name, value in headers if name not in ("ce_dataschema", "ce_type", "ce_id")]
        named = [pair for pair in headers if pair[0] in ("ce_type", "ce_id")]
        async with self.producer.transaction():
            for value, given in (
                *((b"{", headers), (b"{}", headers), (body, []), (body, [("ce_id", b"\xff\x00")])),
                *((body, [*others, *named, *newer]), (body, [*others, ("ce_type", b"order.unheard"), named[0]])),
            ):
                await self.producer.send(STATUS.name, value, key=key, headers=given)
                self.garbled += 1

    async def _send(self, order: str, status: Status, *, remember: bool = True) -> None:
        headers = to_headers(envelope(order, type(status)))
        topic = type(status).topic.name
        await self.producer.send(topic, encode(status), key=order.encode(), headers=headers)
        if not remember:
            return
        self.published.append((order, status))
        known = self.last.get((topic, order))
        if known is None or known.revision <= status.revision:
            self.last[topic, order] = status


def minute(at: datetime) -> str:
    return at.replace(second=0, microsecond=0).isoformat()


def record(store: str, revision: int, placed_at: datetime | None) -> OrderStatusRecord:
    return EXAMPLE.model_copy(update={"store": store, "revision": revision, "placed_at": placed_at})


def envelope(order: str, type: type[Status] = OrderStatusRecord) -> Envelope:
    now = datetime.now(UTC)
    return Envelope(uuid7(), type.type, type.topic.owner, order, now)


@dataclass
class Rig:
    kafka: Kafka
    services: Services
    topic: Topic
    session: aiohttp.ClientSession

    @property
    def monitor(self) -> Worker:
        return self.services.worker("monitor")

    async def get(self, path: str) -> Any:
        async with self.session.get(self.monitor.url + path) as response:
            return await (response.json() if response.content_type.endswith("json") else response.text())

    async def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.get("/monitor/orders-per-minute?minutes=180")
        return found

    async def counts(self) -> Counter[tuple[str, str]]:
        """Once it has read everything that was published."""
        async with asyncio.timeout(90):
            while not await self.has_read(len(self.topic.published) + self.topic.garbled):
                await asyncio.sleep(0.1)
        answer = await self.get("/monitor/orders-per-minute?minutes=180")
        return Counter({(row["minute"].replace(" ", "T"), row["store"]): row["orders"] for row in answer["minutes"]})

    async def figures(self) -> Counter[tuple[str, ...]]:
        """Once `counts` has been asked."""
        found: Counter[tuple[str, ...]] = Counter()
        for row in (await self.get("/monitor/live?minutes=180"))["minutes"]:
            place = (row["minute"].replace(" ", "T"), row["store"])
            for figure, amount in row.items():
                if isinstance(amount, int):
                    found[*place, figure] = amount
                elif isinstance(amount, dict):
                    found.update({(*place, figure, currency): money for currency, money in amount.items()})
        return Counter({place: amount for place, amount in found.items() if amount})

    async def has_read(self, records: int) -> bool:
        try:
            return sum((await self.records()).values()) >= records and not (await self.get("/ready"))["missing"]
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def records(self) -> dict[str, float]:
        """Records that this process has read, by outcome."""
        found = re.findall(
            r'^orderbus_monitor_records_total{.*outcome="(.*?)".*} (.*)$', await self.text(), re.MULTILINE
        )
        return {outcome: float(count) for outcome, count in found}

    async def text(self) -> str:
        return str(await self.get("/metrics"))

    async def is_not_ready(self, missing: list[str]) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    if (await self.get("/ready"))["missing"] == missing:
                        return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(0.1)

    async def is_killed(self) -> None:
        """And comes back by itself."""
        before = self.monitor.pid
        self.monitor.kill()
        async with asyncio.timeout(30):
            while self.monitor.pid in (None, before):
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Children() as children:
        kafka = ShortLivedKafka(tmp_path / "kafka", tmp_path, choose(("kafka", "kafka_controller")), children)
        await kafka.start()
        environment = {
            "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "ORDERBUS_API_TOKEN": TOKEN,
        }
        await ensure_topics(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers), [])
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id="relay")
        await producer.start()
        start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=SPAN + 10)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        services = Services(environment, logs=tmp_path, services=["monitor"], children=children)
        async with services, aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(5)) as session:
            yield Rig(kafka, services, Topic(producer, random.Random(7), start), session)
            await producer.stop()
        log = (tmp_path / "monitor-0.log").read_text()
        assert "Traceback" not in log, log


async def test_its_counts_are_a_plain_count_whenever_it_is_killed(rig: Rig) -> None:
    await rig.topic.orders(200)
    assert await rig.counts() == rig.topic.plain_count()
    for _ in range(4):
        publishing = asyncio.create_task(rig.topic.orders(300))
        await asyncio.sleep(rig.topic.rng.random())
        await rig.is_killed()
        await publishing
        await rig.topic.aborted(50)
    await rig.topic.garbage()
    await rig.topic.orders(50)
    assert await rig.counts() == rig.topic.plain_count()
    assert await rig.figures() == rig.topic.plain_figures()
    assert rig.monitor.restarts == 4
    assert sum(rig.topic.plain_count().values()) == 1450
    assert await rig.records() == {"counted": len(rig.topic.published), "unknown": 2, "unreadable": 4, "failed": 0}


async def test_it_waits_for_kafka_and_ends_in_good_order(rig: Rig, tmp_path: Path) -> None:
    await rig.topic.orders(100)
    assert await rig.counts() == rig.topic.plain_count()

    rig.monitor.restarting = False
    rig.kafka.child.kill(signal.SIGKILL)  # type: ignore[union-attr]
    await rig.is_not_ready(["kafka"])
    assert (await rig.get("/monitor/orders-per-minute"))["minutes"], "what it knows it still tells"
    rig.monitor.kill()
    rig.monitor.restarting = True
    await rig.is_not_ready(["kafka"])

    await rig.kafka.start()
    assert await rig.counts() == rig.topic.plain_count()
    await rig.topic.orders(100)
    assert await rig.counts() == rig.topic.plain_count()
    assert await rig.services.workers[0].ready(rig.session)

    rig.monitor.restarting = False
    rig.monitor.kill(signal.SIGTERM)
    child = rig.monitor._child
    assert child is not None
    assert await asyncio.wait_for(child.wait(), 10) == 0
    assert '"stopped"' in (tmp_path / "monitor-0.log").read_text().splitlines()[-1]


async def test_it_reads_partitions_that_were_added_when_it_comes_back_at_once(rig: Rig) -> None:
    """It is a static member of its group, which hands it what it had before."""
    await rig.topic.orders(20)
    assert await rig.counts() == rig.topic.plain_count()
    rig.monitor.restarting = False
    rig.monitor.kill()
    await partitions_are(rig, 8)
    rig.services.environment["ORDERBUS_KAFKA__PARTITIONS"] = "8"
    rig.monitor.restarting = True
    await rig.topic.producer.client.force_metadata_update()
    await rig.topic.orders(100)
    assert await rig.counts() == rig.topic.plain_count()


async def test_it_reads_partitions_that_are_added_under_it(rig: Rig) -> None:
    await rig.topic.orders(20)
    assert await rig.counts() == rig.topic.plain_count()
    await partitions_are(rig, 8)
    await rig.topic.producer.client.force_metadata_update()
    await rig.topic.orders(100)
    async with asyncio.timeout(90):
        while await rig.counts() != rig.topic.plain_count():  # it reads the others again, too
            await asyncio.sleep(0.5)
    assert rig.monitor.restarts == 0


async def partitions_are(rig: Rig, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.kafka.bootstrap_servers)
    await admin.start()
    await admin.create_partitions({topic.name: NewPartitions(count) for topic in TOPICS})
    await admin.close()
