"""Real parts for the whole run: one PostgreSQL server, a database copied from a template per test."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from deploy.devstack.children import Children
from deploy.devstack.kafka import Kafka
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from tests.integration.moto_s3 import Moto, moto_s3

_numbers = itertools.count(1)


PASSING = {"fsync": "off", "full_page_writes": "off"}
"""Nothing has to outlive the machine's power here, and each database that is dropped would be a checkpoint on disk."""


@pytest_asyncio.fixture(scope="session")
async def postgres_url(tmp_path_factory: object) -> AsyncIterator[str]:
    """The URL of a server's maintenance database. ORDERBUS_TEST_POSTGRES names a server that is there already."""
    given = os.environ.get("ORDERBUS_TEST_POSTGRES")
    if given:
        yield given
        return
    folder = Path(tmp_path_factory.mktemp("postgres"))  # type: ignore[attr-defined]
    async with Children() as children:
        port = choose(["postgres"])["postgres"]
        server = Postgres(folder / "data", folder, port, "test", children, databases=(), settings=PASSING)
        await server.start()
        yield server.url("postgres")
        await server.stop()


NewDatabase = Callable[[], Awaitable[str]]


@pytest_asyncio.fixture
async def new_database(postgres_url: str) -> AsyncIterator[NewDatabase]:
    """Makes empty databases that live as long as the test."""
    made: list[str] = []
    server = await asyncpg.connect(postgres_url)

    async def make() -> str:
        name = f"t{os.getpid()}_{next(_numbers)}"
        await server.execute(f"create database {name}")
        made.append(name)
        return postgres_url.rsplit("/", 1)[0] + f"/{name}"

    yield make
    for name in made:
        await server.execute(f"drop database {name} with (force)")
    await server.close()


NewBroker = Callable[[], Awaitable[str]]


@pytest_asyncio.fixture
async def new_broker(tmp_path: Path) -> AsyncIterator[NewBroker]:
    """Starts an empty broker that lives as long as the test; returns its bootstrap servers."""
    async with Children() as children:

        async def start() -> str:
            broker = Kafka(tmp_path / "kafka", tmp_path, choose(("kafka", "kafka_controller")), children)
            await broker.start()
            return broker.bootstrap_servers

        yield start


@pytest_asyncio.fixture(scope="session")
async def kafka_servers(tmp_path_factory: object) -> AsyncIterator[str]:
    """Bootstrap servers of a broker for the whole run. ORDERBUS_TEST_KAFKA names one that is there already."""
    given = os.environ.get("ORDERBUS_TEST_KAFKA")
    if given:
        yield given
        return
    folder = Path(tmp_path_factory.mktemp("kafka"))  # type: ignore[attr-defined]
    async with Children() as children:
        broker = Kafka(folder / "data", folder, choose(("kafka", "kafka_controller")), children)
        await broker.start()
        yield broker.bootstrap_servers
        await broker.stop()


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_s3() as running:
        yield running
