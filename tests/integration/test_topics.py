"""The topics on a real broker: how they are made, and that a worker does not start over changed partitions."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions

from deploy.cli import probes
from deploy.cli.errors import Failure
from shared.contracts import TOPICS
from shared.contracts.checkout import ORDERS
from shared.settings import KafkaSettings, Settings
from shared.shell.kafka.topic_retention import topic_settings
from shared.shell.kafka.topics import WrongTopics, ensure_topics
from tests.integration.conftest import NewBroker


async def test_a_worker_does_not_start_when_partitions_were_added(new_broker: NewBroker) -> None:
    servers = await new_broker()
    settings = KafkaSettings(bootstrap_servers=servers, partitions=3)
    assert set(await ensure_topics(settings, ["checkout"])) == {"checkout.dead-letter.v1", *(t.name for t in TOPICS)}
    assert await ensure_topics(settings, ["checkout"]) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, ORDERS.name)])
        configs = {entry[0]: entry[1] for *_, entries in answer.resources for entry in entries}
        answer = await admin.create_partitions({ORDERS.name: NewPartitions(5)})
        assert not any(code for _, code, _ in answer.topic_errors), answer
        while len((await admin.describe_topics([ORDERS.name]))[0]["partitions"]) < 5:
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    assert (configs["min.insync.replicas"], configs["unclean.leader.election.enable"]) == ("1", "false")

    with pytest.raises(WrongTopics) as wrong:
        await ensure_topics(settings, ["checkout"])
    assert f"ORDERBUS_KAFKA__PARTITIONS is 3, but topic {ORDERS.name} has 5." in str(wrong.value)

    code, said = await run_checkout(servers, partitions=3)
    assert (code, "has 5" in said, "Traceback" in said) == (2, True, False)


async def run_checkout(servers: str, partitions: int) -> tuple[int | None, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "ORDERBUS_API_TOKEN": "a-token-for-this-test",
        "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS": servers,
        "ORDERBUS_KAFKA__PARTITIONS": str(partitions),
        "ORDERBUS_CHECKOUT__DATABASE_URL": "postgresql://checkout@127.0.0.1:1/nothing",
    }
    command = (sys.executable, "-m", "deploy.worker", "checkout")
    worker = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(worker.communicate(), 60)
    return worker.returncode, said.decode()


async def test_a_worker_does_not_start_when_records_would_be_handled_twice(new_broker: NewBroker) -> None:
    """With the topic as another program made it: by the broker's defaults."""
    servers = await new_broker()
    settings = KafkaSettings(bootstrap_servers=servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        forever = {"retention.ms": "-1", "segment.ms": str(7 * 86_400_000)}
        await admin.create_topics([NewTopic(ORDERS.name, 6, 1, topic_configs=forever)])
        with pytest.raises(WrongTopics, match=rf"topic {ORDERS.name}: records are kept for ever.*--add-config"):
            await ensure_topics(settings, ["checkout"])
        with pytest.raises(Failure, match="records are kept for ever"):
            await probes.kafka(Settings(kafka=settings))

        short = {"retention.ms": str(2 * 86_400_000), "segment.ms": str(86_400_000)}
        await alter(admin, short)
        with structlog.testing.capture_logs() as logs:
            await ensure_topics(settings, ["checkout"])
        assert [ORDERS.name in entry["problem"] for entry in logs if "problem" in entry] == [True]
        with pytest.raises(Failure, match="ORDERBUS_KAFKA__RETENTION is 7 days"):
            await probes.kafka(Settings(kafka=settings))

        right = {"retention.ms": str(7 * 86_400_000), "segment.ms": str(86_400_000)}
        await alter(admin, right)
        assert (await probes.kafka(Settings(kafka=settings))).startswith("1 broker at ")
    finally:
        await admin.close()


async def alter(admin: AIOKafkaAdminClient, configs: dict[str, str]) -> None:
    """And wait until the broker says so."""
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, ORDERS.name, configs)])
    while not configs.items() <= (await topic_settings(admin, [ORDERS.name]))[ORDERS.name].items():
        await asyncio.sleep(0.1)
