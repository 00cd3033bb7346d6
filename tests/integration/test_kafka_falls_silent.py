"""A broker that does not answer (SIGSTOP): a member stops in time, and one that lost its group joins it again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy.devstack.children import Child, Children
from deploy.devstack.kafka import Kafka
from deploy.devstack.ports import choose
from shared.contracts.checkout import ORDERS
from shared.settings import KafkaSettings
from shared.shell.kafka import source as kafka
from shared.shell.kafka.source import KafkaSource
from shared.shell.kafka.topics import ensure_topics
from shared.shell.ports.bus import BusRecord, BusUnavailable, Positions
from tests.integration.conftest import ShortLivedKafka


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Kafka]:
    async with Children() as children:
        broker = ShortLivedKafka(tmp_path / "kafka", tmp_path, choose(("kafka", "kafka_controller")), children)
        await broker.start()
        yield broker
        assert broker.child
        broker.child.kill()


async def freeze(child: Child) -> None:
    """Its threads stop one after the other, and the last may still answer something."""
    child.kill(signal.SIGSTOP)
    while not _stopped(child.pid):
        await asyncio.sleep(0.001)


def _stopped(pid: int) -> bool:
    return all("\nState:\tT" in (thread / "status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir())


async def publish(settings: KafkaSettings, *bodies: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        for body in bodies:
            await producer.send_and_wait(ORDERS.name, body, key=b"o")


async def next_records(source: KafkaSource) -> list[BusRecord]:
    async with asyncio.timeout(60):
        while True:
            try:
                if found := await source.read(10):
                    return list(found)
            except BusUnavailable:
                await asyncio.sleep(0.2)


async def member(broker: Kafka) -> tuple[KafkaSource, KafkaSettings, Positions]:
    """One that has read a record and committed how far it came."""
    settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
    await ensure_topics(settings, [])
    source = KafkaSource(settings, "toy", "toy-0", [ORDERS.name])
    await source.start()
    await publish(settings, b"1")
    first = (await next_records(source))[-1]
    came = {(first.topic, first.partition): first.offset + 1}
    await source.commit(came)
    return source, settings, came


async def test_a_member_that_lost_its_group_joins_it_again(broker: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMMIT_SECONDS", "REJOIN_SECONDS", "STOP_SECONDS"):
        monkeypatch.setattr(kafka, name, 0.5)
    source, settings, came = await member(broker)

    assert broker.child
    await freeze(broker.child)
    for _ in range(3):
        with pytest.raises(BusUnavailable):
            await source.commit(came)
    began = asyncio.get_running_loop().time()
    await source.stop()
    assert asyncio.get_running_loop().time() - began < 5
    with pytest.raises(BusUnavailable):
        await source.commit(came)

    broker.child.kill(signal.SIGCONT)
    await publish(settings, b"2")
    assert [record.value for record in await next_records(source)] == [b"2"]
    await source.stop()


async def test_a_member_lives_on_while_its_broker_is_gone(broker: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves a group that it cannot reach, again and again, while its fetches fail."""
    for name in ("COMMIT_SECONDS", "REJOIN_SECONDS"):
        monkeypatch.setattr(kafka, name, 0.5)
    source, settings, came = await member(broker)

    assert broker.child
    broker.child.kill()
    await broker.child.wait()
    for _ in range(3):
        with pytest.raises(BusUnavailable):
            await source.commit(came)
        await asyncio.sleep(0.3)
    for _ in range(3):
        with pytest.raises(BusUnavailable):
            await source.read(10)

    await broker.start()
    await publish(settings, b"2")
    assert [record.value for record in await next_records(source)] == [b"2"]
    await source.stop()
