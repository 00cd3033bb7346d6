"""What the simulation rests on: random histories of store calls leave the same answers and the same rows in memory and
in PostgreSQL.

Two transactions at a time, their calls interleaved as the seed says. A history is made against the memory, then played
to the database; where a call waits for the other transaction's locks, that one ends next, so nothing can deadlock.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.ports.rows import (
    OperationRow,
)
from shared.shell.ports.store import Store
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.simulation.memory_database import OUTBOX, UNDELIVERABLE
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase
from tests.integration.store_history import BOXES, Author
from tests.integration.store_player import ENDS, Player, Step, plain
from tests.integration.toy import metadata

TABLES = (
    *("inbox", "outbox", "undeliverable", "operations", "destinations", "timers"),
    *("parked", "replies", "boxes", "moved"),
)
OPERATION_COLUMNS = ", ".join(column.name for column in dataclasses.fields(OperationRow) if column.name != "begun")


async def play(store: Store, steps: list[Step]) -> None:
    """The same history on another store; every answer must be the same."""
    players: dict[int, Player] = {}
    waiting: tuple[Step, asyncio.Future[Any]] | None = None
    for step in steps:
        if step.player < 0:
            assert step.work is not None
            assert plain(await step.work(store, None)) == step.answer, step.text
            continue
        if step.player not in players:
            players[step.player] = Player(store)
        player = players[step.player]
        told = player.call(step.work or step.text)
        if step.waited:
            await asyncio.sleep(0.02)
            assert not told.done(), f"{step.text} waits in memory only"
            waiting = (step, told)
            continue
        await check(step, told, players)
        if waiting:
            await check(*waiting, players)
            waiting = None


async def check(step: Step, told: asyncio.Future[Any], players: dict[int, Player]) -> None:
    async with asyncio.timeout(5):
        given = await told
    assert given == step.answer, step.text
    if step.answer in ENDS:
        del players[step.player]


def in_memory(store: MemoryStore) -> dict[str, Any]:
    found: dict[str, Any] = {name: [plain(row) for row in store.rows(name).values()] for name in TABLES}
    found["inbox"] = [[str(id), at, content] for id, (at, content) in store.rows("inbox").items()]
    found["outbox"] = [[row.topic, row.key, row.body.decode()] for row, _ in store.rows(OUTBOX).values()]
    aside = [row for row, _ in store.rows(UNDELIVERABLE).values()]
    found["undeliverable"] = [[row.topic, row.key, row.body.decode(), row.reason] for row in aside]
    found["replies"] = [plain(reply) for reply, _ in store.rows("replies").values()]
    boxes = store.states(BOXES).values()
    found["boxes"] = [[*plain(box.row), box.columns["things"], plain(box.columns["tags"]), box.at] for box in boxes]
    return {name: sorted(rows, key=str) for name, rows in found.items()}


async def in_database(engine: AsyncEngine) -> dict[str, Any]:
    queries = {
        "inbox": "select cast(message_id as text), seen_at, content from inbox",
        "outbox": "select topic, key, convert_from(body, 'utf8') from outbox",
        "undeliverable": "select topic, key, convert_from(body, 'utf8'), reason from undeliverable",
        "operations": f"select {OPERATION_COLUMNS}, false as begun from operations",
        "destinations": "select name, paused_at, reason, paused_by, probe_at, probes from destinations",
        "timers": "select key, name, due, kind, payload, meta, id, occurred from timers",
        "parked": "select key, message_id, origin, kind, topic, partition, record_offset, record_key, headers, body, "
        "reason, error, parked_at, identity from parked",
        "replies": "select id, fingerprint, code, text, problems from replies",
        "boxes": "select key, version, sequence, cast(data as text), shape, things, cast(tags as text), changed_at "
        "from boxes",
        "moved": "select key, id, count, detail from moved",
    }
    found = {}
    async with engine.connect() as connection:
        for name, query in queries.items():
            found[name] = sorted((plain(tuple(row)) for row in await connection.execute(sa.text(query))), key=str)
    return found


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("seed", range(1, 5))
async def test_a_random_history_leaves_the_same_rows_in_memory_and_in_postgresql(
    engine: AsyncEngine, seed: int
) -> None:
    memory = MemoryStore(checks={"boxes": lambda row: (row["things"] or 0) < 1000})
    steps = await Author(random.Random(seed), memory).write(150)

    await play(PostgresStore(engine), steps)

    left, expected = await in_database(engine), in_memory(memory)
    for name in TABLES:
        assert left[name] == expected[name], name
    assert any(step.waited for step in steps)
    ended = {step.answer for step in steps if isinstance(step.answer, str)}
    assert {"committed", "RolledBack"} <= ended
    assert ended & {"Conflict", "BatchRefused"}


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "postgresql"])
async def test_a_transaction_is_in_progress_from_its_first_row_to_its_end(engine: AsyncEngine, memory: bool) -> None:
    store: Store = MemoryStore() if memory else PostgresStore(engine)
    at, before = datetime.now(UTC), await store.running()
    assert before.oldest >= before.following, "nothing is in progress"

    async with store.begin() as transaction:
        await transaction.claim({uuid4(): 1}, (), at)
        held = await store.running()
        async with store.begin() as later:
            await later.claim({uuid4(): 2}, (), at)
        assert (await store.running()).oldest == held.oldest < held.following
    after = await store.running()
    assert after.oldest >= held.following
