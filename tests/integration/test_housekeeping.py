"""The inbox remembers an id by when it was first seen, in real partitions, and its housekeeping delays nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from shared.core import derived_id, hashed_id
from shared.shell.ports.rows import Reply
from shared.shell.postgres import housekeeping
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.schema import TABLES_V1, partition_name
from shared.shell.postgres.store import PostgresStore
from tests.integration.conftest import NewDatabase

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEEP = 9


@pytest_asyncio.fixture
async def store(new_database: NewDatabase) -> AsyncIterator[PostgresStore]:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
    yield PostgresStore(engine)
    await engine.dispose()


def of_day(number: int) -> UUID:
    return derived_id(hashed_id("a message"), number, DAY)


async def claim(store: PostgresStore, id: UUID, after: timedelta) -> bool:
    """Whether the id is new, so long after DAY."""
    async with store.begin() as tx:
        new, _ = await tx.claim({id: 7}, (), DAY + after)
        return id in new


async def tables(store: PostgresStore) -> dict[str, int]:
    """How many ids are where."""
    query = "select cast(tableoid::regclass as text), count(*) from inbox group by 1"
    async with store.engine.connect() as connection:
        return {str(name): int(count) for name, count in await connection.execute(sa.text(query))}


async def partitions(store: PostgresStore) -> set[str]:
    query = "select relname from pg_class join pg_inherits on oid = inhrelid where inhparent = 'inbox'::regclass"
    async with store.engine.connect() as connection:
        return set((await connection.execute(sa.text(query))).scalars())


async def test_what_is_seen_long_after_its_day_is_kept_as_long_as_its_record(store: PostgresStore) -> None:
    """An effect has its cause's day. One is seen while the day's partition is there, one 30 days later."""
    await store.housekeep(DAY, KEEP)
    soon, late, very_late, no_time = of_day(1), of_day(2), of_day(3), hashed_id("an Idempotency-Key")
    assert await claim(store, soon, timedelta(0))
    assert await claim(store, no_time, timedelta(0))
    assert await claim(store, late, timedelta(days=8))
    day = partition_name(DAY.date())
    assert await tables(store) == {day: 2, "inbox_other": 1}

    await store.housekeep(DAY + timedelta(days=10), KEEP)
    assert await tables(store) == {"inbox_other": 1}, "the day's partition is dropped, what was seen lately is not"
    assert not await claim(store, late, timedelta(days=10))
    async with store.begin() as tx:
        assert await tx.contents([late, soon]) == {late: 7}

    assert await claim(store, very_late, timedelta(days=30))
    await store.housekeep(DAY + timedelta(days=38), KEEP)
    assert not await claim(store, very_late, timedelta(days=38)), "handled once"
    assert await tables(store) == {"inbox_other": 1}
    await store.housekeep(DAY + timedelta(days=40), KEEP)
    assert await tables(store) == {}


async def test_ids_that_come_before_their_day_move_to_its_partition(store: PostgresStore) -> None:
    early = derived_id(hashed_id("a message"), 1, DAY + timedelta(days=6))
    await store.housekeep(DAY, KEEP)
    assert await claim(store, early, timedelta(0))
    await store.housekeep(DAY + timedelta(days=5), KEEP)

    assert await tables(store) == {partition_name((DAY + timedelta(days=6)).date()): 1}
    assert not await claim(store, early, timedelta(days=6))


async def test_a_dump_delays_housekeeping_and_housekeeping_delays_nothing(store: PostgresStore) -> None:
    await store.housekeep(DAY, KEEP)
    async with store.engine.connect() as dump, asyncio.timeout(20):
        await dump.execute(sa.text("lock table inbox, inbox_other in access share mode"))
        later = DAY + timedelta(days=10)
        working = asyncio.create_task(store.housekeep(later, KEEP))
        for number in range(20):
            async with asyncio.timeout(2):
                assert await claim(store, of_day(number), timedelta(days=10))
        await working
        assert partition_name(DAY.date()) in await partitions(store)
        await dump.rollback()
    await store.housekeep(later, KEEP)

    assert partition_name(DAY.date()) not in await partitions(store)
    assert partition_name((later + timedelta(days=3)).date()) in await partitions(store)


async def test_steps_that_wait_for_a_lock_leave_writes_most_of_the_time(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind each of them, all writes wait: many days are due, and a dump holds the tables."""
    pauses: list[float] = []

    async def rest(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(housekeeping, "rest", rest, raising=False)
    for days in range(5):
        await store.housekeep(DAY + timedelta(days=days), KEEP)
    pauses.clear()
    async with store.engine.connect() as dump:
        await dump.execute(sa.text("lock table inbox, inbox_other in access share mode"))
        await store.housekeep(DAY + timedelta(days=40), KEEP)
        await dump.rollback()
    assert len([seconds for seconds in pauses if seconds >= 4 * 0.2]) >= 9, "a pause after each step that waited 0.2 s"
    assert max(pauses) <= housekeeping.LONGEST_REST


async def test_workers_that_start_together_make_the_partitions_once(store: PostgresStore) -> None:
    for days in range(0, 100, 20):
        await asyncio.gather(*(store.housekeep(DAY + timedelta(days=days), KEEP) for _ in range(4)))
        wanted = {partition_name((DAY + timedelta(days=days + n)).date()) for n in range(-1, 4)}
        async with asyncio.timeout(20):  # a step that found its table locked (by autovacuum) is left to the next run
            while await partitions(store) != {*wanted, "inbox_other"}:
                await store.housekeep(DAY + timedelta(days=days), KEEP)


async def test_an_id_that_comes_early_while_its_partition_is_made_is_kept(store: PostgresStore) -> None:
    """By a sender whose clock is days ahead. The worker went down with `23514`."""
    tomorrow = DAY + timedelta(days=1)  # the partition of the day is made first
    await store.housekeep(DAY - timedelta(days=5), KEEP)
    async with store.begin() as tx:
        await tx.claim({of_day(1): 7}, (), DAY - timedelta(days=5))
        making = asyncio.create_task(store.housekeep(tomorrow, KEEP))
        await asyncio.sleep(0.05)
    await making
    await store.housekeep(tomorrow, KEEP)
    assert partition_name(DAY.date()) in await partitions(store)
    assert not await claim(store, of_day(1), timedelta())
    assert (await tables(store))[partition_name(DAY.date())] == 1


async def test_a_reply_is_forgotten_with_its_messages_id_and_not_before(store: PostgresStore) -> None:
    key, other, callback = hashed_id("a key"), hashed_id("another key"), of_day(7)
    await store.housekeep(DAY, KEEP)
    for id in (key, other, callback):
        assert await claim(store, id, timedelta(hours=6 if id == other else 0))
    async with store.begin() as tx:
        await tx.keep_replies([Reply(id, "f", "no", "No.") for id in (key, other, callback)])
    async with store.engine.begin() as connection:  # the database's clock is wrong
        await connection.execute(sa.text("update replies set replied_at = '2026-02-01'"))

    async def known() -> list[bool]:
        async with store.begin() as tx:
            return [await tx.reply(id) is not None for id in (key, other, callback)]

    await store.housekeep(DAY + timedelta(days=KEEP, hours=-1), KEEP)
    assert await known() == [True, True, True]
    await store.housekeep(DAY + timedelta(days=KEEP, hours=1), KEEP)
    assert await known() == [False, True, True], "the day of the third is dropped as a whole"
    await store.housekeep(DAY + timedelta(days=KEEP + 2), KEEP)
    assert await known() == [False, False, False]
    async with store.begin() as tx:
        await tx.keep_replies([Reply(key, "g", "", "")])
        await tx.keep_replies([Reply(key, "h", "", "")])
        kept = await tx.reply(key)
    assert kept is not None and kept.fingerprint == "h"


@pytest.mark.parametrize("year", [2000, 2090])
async def test_an_id_of_another_year_is_known_for_as_long_as_any_other(store: PostgresStore, year: int) -> None:
    """By when it was first seen; its own time decides only where it lies."""
    id = derived_id(hashed_id("a message"), 1, datetime(year, 1, 1, tzinfo=UTC))
    await store.housekeep(DAY, KEEP)
    assert await claim(store, id, timedelta(0))
    for days in (1, 5, KEEP - 1):
        await store.housekeep(DAY + timedelta(days=days), KEEP)
        assert not await claim(store, id, timedelta(days=days)), f"handled again after {days} days"
    assert await tables(store) == {"inbox_other": 1}
    await store.housekeep(DAY + timedelta(days=KEEP + 1), KEEP)
    assert await tables(store) == {}
