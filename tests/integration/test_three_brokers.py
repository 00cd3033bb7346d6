"""The embedded stack with three brokers: records and offsets are on all of them, and any one may be away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.devstack import data_folder
from deploy.devstack.errors import StackError
from deploy.devstack.stack import Stack
from shared.contracts.checkout import ORDERS
from shared.settings import KafkaSettings
from shared.shell.kafka.topics import ensure_topics
from tests.integration.test_embedded_stack import assert_nothing_runs_on, consume, parent

MEMORY_MB = 500
"""Of one broker: 256 of them are its heap."""


def settings_of(stack: Stack) -> KafkaSettings:
    environment = stack.environment()
    return KafkaSettings(
        bootstrap_servers=environment["ORDERBUS_KAFKA__BOOTSTRAP_SERVERS"],
        replication=int(environment["ORDERBUS_KAFKA__REPLICATION"]),
    )


async def produce(stack: Stack, value: bytes) -> None:
    servers = stack.kafka.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(ORDERS.name, value, key=b"order")


async def replicas(stack: Stack) -> dict[str, set[int]]:
    """By topic, on how many brokers its partitions are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap_servers)
    await admin.start()
    try:
        topics = await admin.describe_topics()
        return {it["topic"]: {len(partition["replicas"]) for partition in it["partitions"]} for it in topics}
    finally:
        await admin.close()


async def in_sync_minimum(stack: Stack, topic: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap_servers)
    await admin.start()
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        entries: list[Any] = answers[0].resources[0][4]
        return str({entry[0]: entry[1] for entry in entries}["min.insync.replicas"])
    finally:
        await admin.close()


async def test_everything_is_on_three_brokers_and_one_may_be_away(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with parent(data, "3") as (process, pids):  # ends by SIGKILL, and with it all brokers
        memory = {psutil.Process(pid).memory_info().rss // 1_000_000 for pid in pids[:3]}
        process.kill()
        await process.wait()
    assert max(memory) < MEMORY_MB

    async with Stack(data) as stack:
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
        await ensure_topics(settings_of(stack), ["checkout"])
        await produce(stack, b"to all")
        assert await consume(stack, ORDERS.name) == b"to all"  # by a group: now there is a topic of offsets
        topics = await replicas(stack)
        assert {"__consumer_offsets", ORDERS.name, "checkout.dead-letter.v1"} <= set(topics)
        assert {name: found for name, found in topics.items() if found != {3}} == {}
        assert {await in_sync_minimum(stack, name) for name in topics} == {"2"}

        away = stack.brokers[0]
        assert away.child
        away.child.kill()
        assert (await stack.failed()).name == "Kafka broker 1"
        async with asyncio.timeout(60):
            await produce(stack, b"to two of them")
        await away.start()
    assert_nothing_runs_on(tmp_path)

    with pytest.raises(StackError, match=r"was made with 3 Kafka brokers.*leave --brokers out.*--fresh"):
        await Stack(data, brokers=1).__aenter__()


def test_a_folder_keeps_its_number_of_brokers(tmp_path: Path) -> None:
    first = data_folder.remember(tmp_path)
    assert (first.brokers, {name for name in first.ports if "kafka" in name}) == (1, {"kafka", "kafka_controller"})
    with pytest.raises(StackError, match=r"was made with 1 Kafka broker, and its topics keep their replication"):
        data_folder.remember(tmp_path, 3)
    kept = [replace(data_folder.remember(tmp_path, *brokers), cluster="") for brokers in ((1,), ())]
    assert kept == [replace(first, cluster="")] * 2

    path = tmp_path / "stack.json"
    earlier = {name: value for name, value in json.loads(path.read_text()).items() if name in ("ports", "secrets")}
    path.write_text(json.dumps(earlier))  # as an earlier build left it
    assert data_folder.remember(tmp_path).brokers == 1
    with pytest.raises(StackError, match="was made with 1 Kafka broker"):
        data_folder.remember(tmp_path, 3)

    data_folder.empty(tmp_path)
    three = data_folder.remember(tmp_path, 3)
    assert len([name for name in three.ports if "kafka" in name]) == 6
    assert replace(data_folder.remember(tmp_path), cluster=three.cluster) == three
