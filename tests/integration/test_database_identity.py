"""A database belongs to one service and one Kafka cluster: with others, nothing begins."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.devstack.ports import LOOPBACK, choose
from shared.settings import KafkaSettings
from shared.shell.kafka.cluster import cluster_id
from shared.shell.postgres.identity import WrongDatabase
from shared.shell.postgres.migration import migrate
from tests.integration.conftest import NewBroker, NewDatabase

ENDS_WITHIN = 60.0


async def test_the_database_of_another_service_is_refused(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "checkout", url)
    await asyncio.to_thread(migrate, "checkout", url)

    with pytest.raises(WrongDatabase, match="ORDERBUS_PAYMENTS__DATABASE_URL: this database belongs to checkout"):
        await asyncio.to_thread(migrate, "payments", url)


async def test_a_worker_makes_nothing_in_another_cluster(new_database: NewDatabase, new_broker: NewBroker) -> None:
    servers, url = await new_broker(), await new_database()
    await asyncio.to_thread(migrate, "checkout", url)
    await belongs_to(url, "a-cluster-that-is-gone")

    async with worker(servers, url) as checkout:
        code, said = await ended(checkout)

    assert code == 4
    here = await cluster_id(KafkaSettings(bootstrap_servers=servers))
    assert f"ORDERBUS_KAFKA__BOOTSTRAP_SERVERS: these brokers are cluster {here}, but the database of checkout" in said
    assert "“Kafka is lost” in docs/operations.md" in said
    assert "Traceback" not in said and "never retrieved" not in said, said
    assert await topics_of(servers) == []


async def test_a_worker_ends_when_the_cluster_becomes_another_one(
    new_database: NewDatabase, new_broker: NewBroker
) -> None:
    servers, url = await new_broker(), await new_database()
    await asyncio.to_thread(migrate, "checkout", url)
    port = choose(["http"])["http"]

    async with worker(servers, url, {"ORDERBUS_CHECKOUT__HTTP_PORT": str(port)}) as checkout:
        async with asyncio.timeout(ENDS_WITHIN):
            while await missing(port):
                await asyncio.sleep(0.2)
        assert await known_cluster(url) == await cluster_id(KafkaSettings(bootstrap_servers=servers))
        await belongs_to(url, "a-cluster-that-is-gone")  # which is the same as if the brokers had been replaced
        code, said = await ended(checkout)

    assert (code, "belongs to cluster a-cluster-that-is-gone" in said) == (4, True)
    assert "Traceback" not in said and "never retrieved" not in said, said


@asynccontextmanager
async def worker(
    servers: str, url: str, more: Mapping[str, str] = {}, program: Sequence[str] = ("-m", "deploy.worker")
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        "PATH": os.environ["PATH"],
        "ORDERBUS_API_TOKEN": "a-token-for-this-test",
        "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS": servers,
        "ORDERBUS_CHECKOUT__DATABASE_URL": url,
        **more,
    }
    command = (sys.executable, *program, "checkout")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(ENDS_WITHIN):
        _, said = await process.communicate()
    return process.returncode, said.decode()


async def missing(port: int) -> list[str]:
    """What keeps the worker from being ready."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{LOOPBACK}:{port}/ready") as answer:
            return list((await answer.json())["missing"])
    except aiohttp.ClientError:
        return ["process"]


async def belongs_to(url: str, cluster: str) -> None:
    connection = await asyncpg.connect(url)
    assert await connection.execute("update database_identity set cluster = $1", cluster) == "UPDATE 1"
    await connection.close()


async def known_cluster(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("select cluster from database_identity"))
    finally:
        await connection.close()


async def topics_of(servers: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        return sorted(await admin.list_topics())
    finally:
        await admin.close()
