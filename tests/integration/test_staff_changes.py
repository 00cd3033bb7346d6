"""Changes of orders, followed live: none is missed, whichever worker has written it and whichever tells of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.live import live_changes, routes
from services.staff.live.routes import add_changes
from shared.api_clients import ApiClientSettings
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.ports.http_api import HttpApi
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import staff_engine

Client = TestClient[web.Request, web.Application]
Event = tuple[str, Any]
CHANGES = "/api/v1/changes"
UPSERT = sa.text("""
    insert into orders (order_id, store, number, status, order_revision) values (:order, :store, :order, 'paid', 1)
    on conflict (order_id) do update set order_revision = orders.order_revision + 1
""")


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    monkeypatch.setattr(live_changes, "POLL", 0.05)
    async with staff_engine(new_database) as engine:
        yield engine


@asynccontextmanager
async def worker(engine: AsyncEngine) -> AsyncIterator[Client]:
    clients = [
        ApiClientSettings(
            name=name,
            token_sha256=(hashlib.sha256(name.encode()).hexdigest(),),
            stores=stores,
            permissions=("order.read",),
        )
        for name, stores in (("all", ("*",)), ("game", ("game",)))
    ]
    application = web.Application(middlewares=[protection(Principals(clients))])
    add_changes(application, cast(HttpApi, SimpleNamespace(engine=engine)))
    async with TestClient(TestServer(application)) as client:
        yield client


class Reader:
    """As browsers read: an event's id counts once all of it has come."""

    def __init__(self, who: str = "all") -> None:
        self.last, self.events, self._who = "", list[Event](), who

    async def read(self, client: Client, path: str = CHANGES, *, seconds: float = 0.3, until: int = 0) -> list[Event]:
        """For so long, or until so many events have come; returns those of this time."""
        before = len(self.events)
        headers = {"Authorization": f"Bearer {self._who}"} | ({"Last-Event-ID": self.last} if self.last else {})
        async with client.get(path, headers=headers) as response:
            assert response.status == 200, await response.text()
            try:
                async with asyncio.timeout(20 if until else seconds):
                    while not until or len(self.events) < before + until:
                        self._take((await response.content.readuntil(b"\n\n")).decode())
            except TimeoutError:
                assert not until, self.events[before:]
        return self.events[before:]

    async def come(self, client: Client) -> None:
        """Until it is known where the stream begins."""
        async with client.get(CHANGES, headers={"Authorization": f"Bearer {self._who}"}) as response:
            async with asyncio.timeout(30):
                while not self.last:
                    self._take((await response.content.readuntil(b"\n\n")).decode())

    async def has(self, events: int) -> None:
        async with asyncio.timeout(30):
            while len(self.events) < events:
                await asyncio.sleep(0.02)

    def _take(self, block: str) -> None:
        lines = dict(line.split(": ", 1) for line in block.strip().split("\n"))
        self.last = lines.get("id", self.last)
        if "data" in lines:
            self.events.append((lines["event"], json.loads(lines["data"])))


async def write(engine: AsyncEngine, *orders: str, store: str = "game", seconds: float = 0.0) -> None:
    async with engine.begin() as connection:
        for order in sorted(orders):
            await connection.execute(UPSERT, {"order": order, "store": store})
        await asyncio.sleep(seconds)


async def revisions(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        rows = await connection.execute(sa.text("select order_id, order_revision from orders"))
        return {str(order): int(revision) for order, revision in rows}


async def test_none_is_missed_between_two_workers(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions of any length overlap, and the reader goes from one worker to the other."""
    monkeypatch.setattr(routes, "HEARTBEAT", 0.1)
    rng, reader = random.Random(5), Reader()
    names = [f"o-{number}" for number in range(12)]

    async def writes(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(25):
            await write(engine, *own.sample(names, own.randint(1, 3)), seconds=own.choice((0, 0, 0.01, 0.2)))

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(engine)) for _ in range(2)]
        await reader.come(workers[0])
        writing = asyncio.gather(*(writes(seed) for seed in range(4)))
        while not writing.done():
            await reader.read(rng.choice(workers), seconds=rng.uniform(0.02, 0.4))
        await writing
        await reader.read(workers[1], seconds=1.0)
    told: dict[str, int] = {}
    for name, data in reader.events:
        assert name == "order"
        told[data["order"]] = data["revisions"]["order"]
    assert told == await revisions(engine)


async def test_what_is_not_committed_is_told_when_it_is(engine: AsyncEngine) -> None:
    reader = Reader()
    async with worker(engine) as client:
        await reader.come(client)
        async with engine.begin() as connection:
            await connection.execute(UPSERT, {"order": "slow", "store": "game"})
            await write(engine, "quick")
            assert [data["order"] for _, data in await reader.read(client, until=1)] == ["quick"]
        assert [data["order"] for _, data in await reader.read(client, until=1)] == ["slow"]
        assert await reader.read(client, seconds=0.4) == []


async def test_only_orders_of_the_callers_stores_are_told(engine: AsyncEngine) -> None:
    mine, chosen = Reader("game"), Reader()
    async with worker(engine) as client:
        await mine.come(client)
        await chosen.come(client)
        await write(engine, "main-1", store="main")
        await write(engine, "game-1")
        [(_, data)] = await mine.read(client, until=1)
        assert data == {
            "order": "game-1",
            "store": "game",
            "number": "game-1",
            "status": "paid",
            "revisions": {"order": 1},
        }
        path = f"{CHANGES}?store=main"
        assert [data["order"] for _, data in await chosen.read(client, path, until=1)] == ["main-1"]
        async with client.get(path, headers={"Authorization": "Bearer game"}) as response:
            assert response.status == 403
        async with client.get("/api/v1/orders/main-1/changes", headers={"Authorization": "Bearer game"}) as response:
            assert response.status == 404


async def test_where_it_is_not_known_what_was_missed_the_reader_is_told_so(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader()
    async with worker(engine) as client:
        await reader.come(client)
        database, _, snapshot = reader.last.partition("-")
        elsewhere = "0" * len(database)
        for last in (
            f"{elsewhere}-{snapshot}",
            "nonsense",
            f"{database}-9{snapshot.replace(':', ':9')}",
            f"{database}-5:4:",
        ):
            reader.last = last
            assert await reader.read(client, until=1) == [("reset", {})]
        monkeypatch.setattr(live_changes, "CHANGED_MOST", 2)
        await write(engine, "a", "b")
        assert {data["order"] for _, data in await reader.read(client, until=2)} == {"a", "b"}
        await write(engine, "a", "b", "c")
        assert await reader.read(client, until=1) == [("reset", {})]
        await write(engine, "c")
        assert [data["order"] for _, data in await reader.read(client, until=1)] == ["c"]


async def test_rows_of_a_restored_dump_are_no_changes(engine: AsyncEngine) -> None:
    reader = Reader()
    async with worker(engine) as client:
        await reader.come(client)
        async with engine.begin() as connection:
            await connection.execute(sa.text("alter table orders disable trigger order_is_changed"))
            insert = "insert into orders (order_id, store, changed_in) values ('restored', 'game', '99999999999')"
            await connection.execute(sa.text(insert))
        assert await reader.read(client, seconds=0.4) == []


async def test_no_special_right_is_needed(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        for statement in (
            "create role plain_reader",
            "grant select on orders to plain_reader",
            "set role plain_reader",
        ):
            await connection.execute(sa.text(statement))
        position, changes = await live_changes._changed(connection, None)
        await connection.rollback()
    assert len(position.database) == 12 and changes == []


async def test_an_orders_stream_begins_as_it_is_and_tells_of_its_timeline(engine: AsyncEngine) -> None:
    reader, path = Reader(), "/api/v1/orders/one/changes"
    await write(engine, "one")
    await write(engine, "one")
    async with worker(engine) as client:
        begun = await reader.read(client, path, until=2)
        assert [(name, data.get("revisions", data.get("events"))) for name, data in begun] == [
            ("order", {"order": 2}), ("timeline", 0),
        ]  # fmt: skip
        reading = asyncio.create_task(reader.read(client, path, until=4))
        await reader.has(4)
        await write(engine, "other")
        async with engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "insert into events_other (key, at, id, topic, source, type, version, store, sequence, actor, "
                    "correlation, causation, body) values ('one', '2020-01-01', gen_random_uuid(), 't', 's', "
                    "'order.noted', 1, 'game', 1, 'system', '', '', '{}')"
                )
            )
        await reader.has(5)
        await write(engine, "one")
        told = await reading
        assert told[2:] == [
            ("timeline", {"order": "one", "events": 1}),
            ("order", {"order": "one", "store": "game", "number": "one", "status": "paid", "revisions": {"order": 3}}),
        ]


async def test_streams_are_limited_and_end(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "OF_CALLER", 1)
    headers = {"Authorization": "Bearer all"}
    async with worker(engine) as client:
        async with client.get(CHANGES, headers=headers) as first:
            assert first.status == 200
            async with client.get(CHANGES, headers=headers) as second:
                assert (second.status, (await second.json())["code"]) == (429, "too_many_streams")
            async with client.get(CHANGES, headers={"Authorization": "Bearer game"}) as other:
                assert other.status == 200
        monkeypatch.setattr(routes, "LASTS", 0.3)
        await asyncio.sleep(0.5)
        async with client.get(CHANGES, headers=headers) as response:
            assert (await response.read()).startswith(b"retry: 1000\n\n")
