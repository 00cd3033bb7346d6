"""What is kept of relayed records, and what `orderbus republish` makes of it, on real databases and an empty broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import orjson
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy.republish import Republished, RepublishRefused, republish
from deploy.settings import load_system_settings
from services.registry import SERVICES
from shared.contracts import TOPICS, checkout
from shared.contracts.envelope import Envelope, attributes
from shared.core import Topic, derived_id, hashed_id
from shared.settings import PREFIX, KafkaSettings, Settings
from shared.shell.inbound.message import identity_of
from shared.shell.kafka.cluster import cluster_id
from shared.shell.kafka.topics import ensure_topics
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import Reach
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.store import KeptRecords, PostgresStore
from tests.integration.conftest import NewBroker, NewDatabase

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEPT = KeptRecords([checkout.ORDERS.name], DAY)


@dataclass
class Rig:
    settings: Settings
    urls: dict[str, str]

    async def execute(self, service: str, statement: str, *values: object) -> None:
        connection = await asyncpg.connect(self.urls[service])
        await connection.execute(statement, *values)
        await connection.close()

    async def rows(self, service: str, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.urls[service])
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query)
            return rows
        finally:
            await connection.close()

    async def sent(self, key: str, number: int) -> None:
        """Checkout told a fact, and Kafka acknowledged it."""
        await self.execute(
            "checkout",
            "insert into outbox (topic, key, headers, body) values ($1, $2, $3, $4)",
            checkout.ORDERS.name,
            key,
            headers(key, number),
            b"{}",
        )
        engine = create_engine(self.urls["checkout"], "test")
        store = PostgresStore(engine, sent=KEPT)
        await store.outbox_sent([row.id for row in await store.outbox_head(Reach())])
        await engine.dispose()

    async def handled(self, service: str, key: str, number: int) -> None:
        identity = identity_of("checkout", id_of(key, number))
        await self.execute(service, "insert into inbox (message_id, seen_at, content) values ($1, now(), 1)", identity)

    async def outbox(self) -> list[tuple[str, int]]:
        """What is to be sent, in its order: key and sequence."""
        rows = await self.rows("checkout", "select key, headers from outbox order by id")
        return [(row["key"], int(dict(orjson.loads(row["headers"]))["ce_sequence"])) for row in rows]


def id_of(key: str, number: int) -> UUID:
    return derived_id(hashed_id(key), number, NOW)


def headers(key: str, number: int) -> str:
    envelope = Envelope(
        id=id_of(key, number),
        type=checkout.OrderPaid.type,
        source="checkout",
        subject=key,
        time=NOW,
        sequence=number,
    )
    return orjson.dumps(attributes(envelope)).decode()


@pytest_asyncio.fixture
async def rig(new_database: NewDatabase, new_broker: NewBroker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    servers, urls = await new_broker(), {name: await new_database(name) for name in SERVICES}
    monkeypatch.setenv(f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS", servers)
    monkeypatch.setenv(f"{PREFIX}API_TOKEN", "a-token-for-this-test")
    for name, url in urls.items():
        monkeypatch.setenv(f"{PREFIX}{name.upper()}__DATABASE_URL", url)
    rig = Rig(load_system_settings(SERVICES), urls)
    for name in SERVICES:
        await rig.execute(name, "update database_identity set cluster = 'a-cluster-that-is-gone'")
    yield rig


def of(done: list[Republished], service: str) -> Republished:
    return next(one for one in done if one.service == service)


async def test_what_a_reader_has_not_handled_is_sent_again_in_order(rig: Rig) -> None:
    for number in (1, 2, 3):
        await rig.sent("order-1", number)
        await rig.sent("order-2", number)
    for service in SERVICES:
        for key, number in (("order-1", 1), ("order-2", 1), ("order-2", 2), ("order-2", 3)):
            await rig.handled(service, key, number)
        if service != "payments":
            await rig.handled(service, "order-1", 3)
    await rig.execute(
        "checkout",
        "insert into outbox (topic, key, headers, body) values ($1, 'order-1', $2, '')",
        checkout.ORDERS.name,
        headers("order-1", 4),
    )

    servers = rig.settings.kafka.bootstrap_servers
    crowded = KafkaSettings(bootstrap_servers=servers, replication=3)  # which one broker refuses
    with pytest.raises(BusUnavailable, match=r"cannot be created: InvalidReplicationFactor"):
        await republish(rig.settings.model_copy(update={"kafka": crowded}), dry_run=True)
    looked = await republish(rig.settings, dry_run=True)
    missing = await ensure_topics(rig.settings.kafka, SERVICES, dry_run=True)
    assert len(missing) == len(TOPICS) + len(SERVICES), "none was created"
    assert (of(looked, "checkout").facts, await rig.outbox()) == (2, [("order-1", 4)])

    done = await republish(rig.settings)
    assert of(done, "checkout").facts == 2
    assert await rig.outbox() == [("order-1", 2), ("order-1", 3), ("order-1", 4)]
    assert len(await rig.rows("checkout", "select from outbox_sent")) == 4

    again = await republish(rig.settings)
    assert all(one.belongs for one in again)
    assert len(await rig.outbox()) == 3


async def test_one_that_broke_off_is_taken_up(rig: Rig) -> None:
    await rig.sent("order-1", 1)
    here = await cluster_id(rig.settings.kafka)
    for name in SERVICES[:2]:
        await rig.execute(name, "update database_identity set cluster = $1", here)

    done = await republish(rig.settings)
    assert [one.service for one in done if one.belongs] == list(SERVICES[:2])
    assert await rig.outbox() == [("order-1", 1)], "its readers were not asked yet, or are older backups"
    for name in SERVICES:
        assert [tuple(row) for row in await rig.rows(name, "select cluster from database_identity")] == [(here,)]


async def test_a_backup_of_the_lost_clusters_time_gets_what_the_others_told_since(rig: Rig) -> None:
    """All have gone on with the new cluster, and then one database is restored to the time before."""
    here = await cluster_id(rig.settings.kafka)
    for number in (1, 2):
        await rig.sent("order-1", number)
    for name in SERVICES:
        await rig.handled(name, "order-1", 1)
        if name != "fulfillment":
            await rig.handled(name, "order-1", 2)
            await rig.execute(name, "update database_identity set cluster = $1", here)

    done = await republish(rig.settings)
    assert (of(done, "fulfillment").belongs, of(done, "checkout").facts) == (False, 1)
    assert await rig.outbox() == [("order-1", 2)]


async def test_workers_must_be_stopped(rig: Rig) -> None:
    await rig.sent("order-1", 1)
    working = await asyncpg.connect(rig.urls["payments"], server_settings={"application_name": "payments-0"})
    with pytest.raises(RepublishRefused, match=r"These workers are running: payments-0\. Stop all workers first"):
        await republish(rig.settings)
    assert await rig.outbox() == []
    await working.close()


async def test_a_cluster_with_records_is_not_taken(rig: Rig) -> None:
    await ensure_topics(rig.settings.kafka, [])
    async with AsyncExitStack() as stack:
        await produce(stack, rig.settings.kafka.bootstrap_servers, checkout.ORDERS)
    with pytest.raises(RepublishRefused, match=r"Kafka has records on orders\.events\.v1, but no database belongs"):
        await republish(rig.settings)


async def test_kept_records_go_with_their_day(rig: Rig) -> None:
    engine = create_engine(rig.urls["checkout"], "test")
    store = PostgresStore(engine, sent=KEPT)
    await store.housekeep(NOW, 9)
    await rig.sent("order-1", 1)
    assert len(await rig.rows("checkout", "select from outbox_sent")) == 1
    assert await rig.rows("checkout", "select from outbox_sent_other") == []

    await store.housekeep(NOW + DAY, 9)
    assert len(await rig.rows("checkout", "select from outbox_sent")) == 1
    await store.housekeep(NOW + 2 * DAY, 9)
    assert await rig.rows("checkout", "select from outbox_sent") == []
    await engine.dispose()


async def produce(stack: AsyncExitStack, servers: str, topic: Topic) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    stack.push_async_callback(producer.stop)
    await producer.send_and_wait(topic.name, b"{}", key=b"order-1")
