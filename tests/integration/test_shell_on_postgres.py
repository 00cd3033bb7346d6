"""The shell on a real database: one transaction per batch, duplicates, races between workers, refused data, timers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import orjson
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.core import Command, NoOutcome, NotDone, OperatorFault, Outcome, Retry, Unknown, derived_id
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.principals import Principals
from shared.shell.inbound.message import Inbound
from shared.shell.ports.bus import BusRecord, Positions, Sent
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.http_api import Accepted
from shared.shell.ports.rows import OutboxRow
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.conftest import NewDatabase
from tests.integration.toy import Explode, Fill, SendBox, Ship, Take, metadata, toy_service

_ids = (derived_id(UUID(int=7), n, datetime.now(UTC)) for n in count(1))


class NoSource:
    async def start(self) -> None: ...
    async def read(self, limit: int) -> list[BusRecord]:
        await asyncio.sleep(0.05)
        return []

    async def commit(self, positions: Positions) -> None: ...
    def lag(self) -> int:
        return 0

    def oldest_unread(self) -> None:
        return None

    def ready(self) -> bool:
        return True

    async def stop(self) -> None: ...


@dataclass
class Collected:
    """A sink that keeps what it gets, without the copies of commands by HTTP."""

    rows: list[OutboxRow] = field(default_factory=list)

    async def start(self) -> None: ...

    def started(self) -> bool:
        return True

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        self.rows += [row for row in rows if not dict(orjson.loads(row.headers)).get("ce_source", "").endswith("/http")]
        return Sent([row.id for row in rows])

    async def stop(self) -> None: ...


@dataclass
class Post:
    """A gateway that answers as it is told, then with labels."""

    answers: list[Outcome | NoOutcome] = field(default_factory=list)
    found: list[Outcome | NotDone | Unknown] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    hangs: bool = False

    async def perform(self, operation: SendBox, key: str) -> Outcome | NoOutcome:
        self.keys.append(key)
        if self.hangs:
            await asyncio.Event().wait()
        return self.answers.pop(0) if self.answers else SendBox.Done(f"box of {operation.things}")

    async def find(self, operation: SendBox, key: str) -> Outcome | NotDone | Unknown:
        return self.found.pop(0) if self.found else NotDone()


@dataclass
class Toy:
    shell: Shell
    engine: AsyncEngine
    sink: Collected
    post: Post
    api: ShellHttpApi

    async def says(self, key: str, *commands: Command) -> None:
        await self.shell.batcher.handle([Inbound(next(_ids), key, command) for command in commands])

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.engine.begin() as connection:
            return [tuple(row) for row in await connection.execute(sa.text(query))]

    async def until(self, query: str, *expected: tuple[object, ...]) -> None:
        for _ in range(200):
            if await self.rows(query) == list(expected):
                return
            await asyncio.sleep(0.02)
        assert await self.rows(query) == list(expected)


NewToy = Callable[..., Awaitable[Toy]]


@pytest_asyncio.fixture
async def new_toy(new_database: NewDatabase) -> AsyncIterator[NewToy]:
    toys: list[Toy] = []
    url = await new_database()
    engine = create_engine(url, "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
        await connection.run_sync(metadata.create_all)
    store = PostgresStore(engine)
    await store.housekeep(datetime.now(UTC), 9)

    async def make(worker: str = "toy-0", post: Post | None = None, *, started: bool = True) -> Toy:
        gateway, sink = post or Post(), Collected()
        shell = Shell(
            toy_service(gateway),
            worker,
            store=store,
            source=NoSource(),
            sink=sink,
            lock=lambda: PostgresRelayLock(url, worker),
            clock=SystemClock(),
            rng=random.Random(1),
        )
        toy = Toy(shell, engine, sink, gateway, ShellHttpApi(shell.registry, store, shell.batcher, shell.clock, engine))
        if started:
            await shell.start()
            toys.append(toy)
        return toy

    yield make
    for toy in toys:
        await toy.shell.stop(2)
    await engine.dispose()


async def test_a_command_changes_rows_and_its_events_reach_the_bus_in_order(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s", count=2, note="x"), Take(shelf="s"), Take(shelf="s", count=9))
    await toy.until("select count(*) from outbox", (0,))
    assert await toy.rows("select key, version, sequence, things from boxes") == [("b-1", 1, 3, 3)]
    assert await toy.rows("select data->>'things' from shelves") == [("2",)]
    assert await toy.rows("select count, detail->>'note' from moved order by id") == [(2, "x"), (1, "")]
    assert [row.body for row in toy.sink.rows][:2] == [b'{"count":2}', b'{"count":1}']
    assert b'"code":"empty"' in toy.sink.rows[2].body


async def test_the_same_message_twice_is_handled_once(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.says("s", Fill(shelf="s", count=5))
    message = Inbound(next(_ids), "b-1", Take(shelf="s"))
    await toy.shell.batcher.handle([message, message])
    await toy.shell.batcher.handle([message])
    assert await toy.rows("select things from boxes") == [(1,)]


async def test_an_operation_is_performed_and_its_outcome_handled(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s", count=3), Ship())
    await toy.until("select data->>'label' from boxes", ("box of 3",))
    assert await toy.rows("select count(*) from operations") == [(0,)]
    assert await toy.rows("select count(*) from timers") == [(0,)]


async def test_serial_operations_go_one_after_the_other(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s"), Ship(), Take(shelf="s"), Ship())
    await toy.until("select data->>'label' from boxes", ("box of 2",))
    assert len(toy.post.keys) == 2


async def test_a_retried_operation_keeps_its_key_and_gives_up_in_the_end(new_toy: NewToy) -> None:
    toy = await new_toy(post=Post(answers=[Retry("busy")] * 100))
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s"), Ship())
    await toy.until("select data->>'label' like 'failed after %' from boxes", (True,))
    assert len(toy.post.keys) > 2
    assert len(set(toy.post.keys)) == 1
    assert await toy.rows("select data->>'label' from boxes") == [(f"failed after {len(toy.post.keys)}",)]


async def test_after_a_lost_answer_the_outcome_is_asked_for_before_repeating(new_toy: NewToy) -> None:
    toy = await new_toy(post=Post(answers=[Unknown("time-out")], found=[SendBox.Done("it was sent")]))
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s"), Ship())
    await toy.until("select data->>'label' from boxes", ("it was sent",))
    assert len(toy.post.keys) == 1


async def test_a_worker_that_starts_again_takes_up_its_operations_and_asks_first(new_toy: NewToy) -> None:
    dead = await new_toy(post=Post(hangs=True), started=False)
    await dead.says("s", Fill(shelf="s", count=5))
    await dead.says("b-1", Take(shelf="s"), Ship())
    await dead.until("select leased_by, attempts, in_doubt from operations", ("toy-0", 1, True))
    for task in dead.shell.operations._tasks:
        task.cancel()
    again = await new_toy(post=Post(found=[SendBox.Done("it was sent")]))
    await again.until("select data->>'label' from boxes", ("it was sent",))
    assert again.post.keys == []


async def test_a_worker_that_starts_again_performs_at_once_what_it_had_not_begun(new_toy: NewToy) -> None:
    dead = await new_toy(started=False)
    dead.shell.operations.call_budget = lambda kind: 0  # type: ignore[method-assign]
    dead.shell.operations.start = lambda leased, probe=False: None  # type: ignore  # it died before it called
    await dead.says("s", Fill(shelf="s", count=5))
    await dead.says("b-1", Take(shelf="s"), Ship())
    assert await dead.rows("select leased_by, lease, attempts, in_doubt from operations") == [("toy-0", 1, 0, False)]
    again = await new_toy(post=Post(found=[SendBox.Done("not asked for")]))
    await again.until("select data->>'label' from boxes", ("box of 1",))


async def test_a_call_whose_turn_came_with_its_row_is_looked_for_after_a_crash(new_toy: NewToy) -> None:
    dead = await new_toy(started=False)
    dead.shell.operations.start = lambda leased, probe=False: None  # type: ignore  # it died, perhaps as it called
    await dead.says("s", Fill(shelf="s", count=5))
    await dead.says("b-1", Take(shelf="s"), Ship())
    assert await dead.rows("select leased_by, lease, attempts, in_doubt from operations") == [("toy-0", 1, 1, True)]
    again = await new_toy(post=Post(found=[SendBox.Done("it was called")]))
    await again.until("select data->>'label' from boxes", ("it was called",))


async def test_a_timer_fires_once_and_only_if_it_was_not_cancelled(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s"))
    await toy.says("b-2", Take(shelf="s"), Ship())
    await toy.until("select key, data->>'forgotten' from boxes order by key", ("b-1", "true"), ("b-2", "false"))
    assert await toy.rows("select count(*) from timers") == [(0,)]


async def test_two_workers_that_create_and_change_the_same_rows_lose_nothing(new_toy: NewToy) -> None:
    first, second = await new_toy("toy-0", started=False), await new_toy("toy-1", started=False)
    await first.says("s", Fill(shelf="s", count=100))
    await asyncio.gather(*(toy.says(f"b-{n % 3}", Take(shelf="s")) for n in range(20) for toy in (first, second)))
    assert await first.rows("select data->>'things' from shelves") == [("60",)]
    assert await first.rows("select sum(things) from boxes") == [(40,)]


async def test_a_message_that_makes_the_core_raise_is_parked_with_all_later_ones_of_its_key(new_toy: NewToy) -> None:
    toy = await new_toy(started=False)  # no timer comes in between, however slow the machine
    await toy.says("s", Fill(shelf="s", count=9))
    await toy.shell.batcher.handle(
        [
            Inbound(next(_ids), "b-1", Take(shelf="s")),
            Inbound(next(_ids), "b-1", Explode()),
            Inbound(next(_ids), "b-1", Take(shelf="s")),
            Inbound(next(_ids), "b-2", Take(shelf="s")),
        ]
    )
    await toy.says("b-1", Take(shelf="s"))
    assert await toy.rows("select key, things from boxes order by key") == [("b-1", 1), ("b-2", 1)]
    parked = await toy.rows("select key, reason, error from parked order by id")
    assert [row[:2] for row in parked] == [("b-1", "failed"), ("b-1", "behind"), ("b-1", "behind")]
    assert "boom" in str(parked[0][2])


async def test_data_that_the_database_refuses_sets_only_its_message_aside(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.says("s", Fill(shelf="s", count=5000))
    batch = [Inbound(next(_ids), f"b-{n}", Take(shelf="s", count=1500 if n == 7 else 1)) for n in range(20)]
    await toy.shell.batcher.handle(batch)
    assert await toy.rows("select count(*), sum(things) from boxes") == [(19, 19)]
    parked = await toy.rows("select key, error from parked")
    assert parked[0][0] == "b-7" and "23514" in str(parked[0][1])


async def test_an_http_command_is_answered_the_same_when_it_is_repeated(new_toy: NewToy) -> None:
    toy = await new_toy()
    await toy.api.submit(Fill(shelf="s", count=5), "s", identity="k0", actor="staff")
    first = await toy.api.submit(Take(shelf="s"), "b-1", identity="k1", actor="staff")
    again = await toy.api.submit(Take(shelf="s"), "b-1", identity="k1", actor="staff")
    assert isinstance(first, Accepted) and not first.duplicate
    assert isinstance(again, Accepted) and again.duplicate
    assert await toy.rows("select things from boxes") == [(1,)]
    refused = await toy.api.submit(Take(shelf="s", count=99), "b-1", identity="k2", actor="staff")
    assert refused == await toy.api.submit(Take(shelf="s", count=99), "b-1", identity="k2", actor="staff")


async def test_a_paused_destination_and_what_waits_for_it_are_seen_and_resumed_over_http(new_toy: NewToy) -> None:
    fault = OperatorFault("HTTP 401: the key has expired")
    toy = await new_toy(post=Post(answers=[fault]))
    shell = toy.shell
    ready = Readiness(notes=shell.notes)
    app = application(
        shell.registry, toy.api, shell.parking, shell.operations, shell.metrics, Principals.of_token("t" * 20), ready
    )
    headers = {"Authorization": "Bearer " + "t" * 20}
    await toy.says("s", Fill(shelf="s", count=5))
    await toy.says("b-1", Take(shelf="s"), Ship())
    await toy.until("select name, reason from destinations", ("SendBox", fault.text))
    await toy.until("select attempts, in_doubt, leased_by from operations", (0, False, ""))
    await toy.says("b-2", Take(shelf="s"), Ship())
    await asyncio.sleep(0.6)
    assert len(toy.post.keys) == 1, "the second one is not tried"

    async with TestClient(TestServer(app), headers=headers) as client:

        async def get(path: str) -> dict[str, Any]:
            async with client.get(path) as response:
                assert response.status == 200
                answer: dict[str, Any] = await response.json()
                return answer

        (waits,) = (await get("/operations?key=b-1"))["operations"]
        assert (waits["kind"], waits["destination"], waits["attempts"]) == ("SendBox", "SendBox", 0)
        explained = await get("/orders/b-1/explain")
        assert explained["operations"] == [waits]
        assert (explained["says"], explained["parked"]) == (None, [])
        assert (await get("/orders/unknown/explain"))["operations"] == []
        assert (waits["paused"], waits["next_try"], waits["calls"]) == (fault.text, None, [])
        everything = await get("/operations")
        assert [each["key"] for each in everything["operations"]] == ["b-1", "b-2"]
        assert everything["next"] is None
        assert [each["key"] for each in (await get(f"/operations?after={waits['id']}"))["operations"]] == ["b-2"]
        assert (await client.get("/operations?after=x")).status == 400
        (paused,) = (await get("/destinations"))["paused"]
        assert (paused["destination"], paused["reason"], paused["worker"]) == ("SendBox", fault.text, "toy-0")
        state = await get("/ready")
        assert (state["ready"], state["notes"]) == (True, ["SendBox is paused"]), "no reason for the public to read"
        assert (await toy.shell.store.gauge())["destinations_paused"] == 1

        assert (await client.get("/operations", headers={"Authorization": "Bearer x"})).status == 401
        async with client.post("/destinations/SendBox/resume") as response:
            assert await response.json() == {"destination": "SendBox", "resumed": True}
        async with client.post("/destinations/SendBox/resume") as response:
            assert await response.json() == {"destination": "SendBox", "resumed": False}
        await toy.until("select data->>'label' from boxes order by key", ("box of 1",), ("box of 1",))
        assert await get("/operations?key=b-1") == {"operations": [], "next": None}


async def test_another_worker_keeps_to_the_pause_and_one_probe_ends_it(new_toy: NewToy) -> None:
    first = await new_toy(post=Post(answers=[OperatorFault("wrong key")]))
    await first.says("s", Fill(shelf="s", count=5))
    await first.says("b-1", Take(shelf="s"), Ship())
    await first.until("select attempts, leased_by from operations", (0, ""))
    second = await new_toy("toy-1", post=Post(answers=[OperatorFault("wrong key")] * 2))
    await second.says("b-2", Take(shelf="s"), Ship())
    await asyncio.sleep(0.6)
    calls = len(second.post.keys)
    assert calls <= 2, "the probe of its start, and at most one that was leased at birth before the pause was known"
    second.post.answers.clear()
    async with second.engine.begin() as connection:
        await connection.execute(sa.text("update destinations set probe_at = now()"))
    await second.until("select count(*) from destinations", (0,))
    await second.until("select data->>'label' from boxes order by key", ("box of 1",), ("box of 1",))
