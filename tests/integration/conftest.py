"""Real parts for the whole run: one PostgreSQL server, a database copied from a template per test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest
import pytest_asyncio

from deploy.devstack.children import Children
from deploy.devstack.kafka import Kafka, KafkaProgram
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from shared.shell.postgres.migration import migrate
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


Fill = Callable[[str], Awaitable[None]]
"""Writes into a database of a URL."""


class NewDatabase(Protocol):
    async def __call__(self, service: str | None = None, fill: Fill | None = None) -> str:
        """The URL of a database that lives as long as the test: empty, or with the tables of `service` and what `fill`
        writes. Both are made once in a run, and copied."""


@dataclass
class Databases:
    """Of one server. `url` is that of its maintenance database."""

    url: str
    _connection: asyncpg.Connection[asyncpg.Record]
    _models: dict[tuple[str, Fill | None], str] = field(default_factory=dict)
    """The URLs of those that are copied."""

    async def make(self, service: str | None = None, fill: Fill | None = None) -> str:
        """As NewDatabase, until it is dropped."""
        return await self._create(await self._model(service, fill) if service else "")

    async def drop(self, url: str) -> None:
        await self._connection.execute(f"drop database {_name(url)} with (force)")

    async def drop_models(self) -> None:
        for url in self._models.values():
            await self.drop(url)

    async def _model(self, service: str, fill: Fill | None) -> str:
        if (service, fill) not in self._models:
            if fill is None:
                url = await self._create()
                await asyncio.to_thread(migrate, service, url)
            else:
                url = await self._create(await self._model(service, None))
                await fill(url)
            self._models[service, fill] = url
        return self._models[service, fill]

    async def _create(self, model: str = "") -> str:
        name = f"t{os.getpid()}_{next(_numbers)}"
        await self._connection.execute(f"create database {name}" + (f" template {_name(model)}" if model else ""))
        return f"{self.url.rsplit('/', 1)[0]}/{name}"


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


@pytest_asyncio.fixture(scope="session")
async def databases(postgres_url: str) -> AsyncIterator[Databases]:
    connection = await asyncpg.connect(postgres_url)
    databases = Databases(postgres_url, connection)
    yield databases
    await databases.drop_models()
    await connection.close()


@pytest_asyncio.fixture
async def new_database(databases: Databases) -> AsyncIterator[NewDatabase]:
    made: list[str] = []

    async def make(service: str | None = None, fill: Fill | None = None) -> str:
        made.append(await databases.make(service, fill))
        return made[-1]

    yield make
    for url in made:
        await databases.drop(url)


class ShortLivedKafka(Kafka):
    """Without Java's second compiler it starts in half the CPU time; what that costs later, no test runs for."""

    async def run_until_ready(self, program: KafkaProgram, options: list[str]) -> None:
        await super().run_until_ready(program, ["-XX:TieredStopAtLevel=1", *options])


NewBroker = Callable[[], Awaitable[str]]


@pytest_asyncio.fixture
async def new_broker(tmp_path: Path) -> AsyncIterator[NewBroker]:
    """Starts an empty broker that lives as long as the test; returns its bootstrap servers."""
    async with Children() as children:

        async def start() -> str:
            broker = ShortLivedKafka(tmp_path / "kafka", tmp_path, choose(("kafka", "kafka_controller")), children)
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
        broker = ShortLivedKafka(folder / "data", folder, choose(("kafka", "kafka_controller")), children)
        await broker.start()
        yield broker.bootstrap_servers
        await broker.stop()


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_s3() as running:
        yield running
