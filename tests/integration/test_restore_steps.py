"""The steps of `orderbus restore` that wait, refuse, or go on where a run before was broken off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from deploy.restore import run
from deploy.restore.database import MARGIN, RestoredDatabase
from deploy.restore.run import NoPoint, StillWorking
from services.declared import declared
from shared.settings import KafkaSettings, Settings
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.restored import NotCaughtUp, check_caught_up
from shared.shell.postgres.store import PostgresStore
from shared.shell.service.registry import HandlerRegistry
from tests.integration.conftest import NewDatabase

POINT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LEASED = """
    insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts, lease,
        leased_by, leased_until, in_doubt, abandoned, error, history)
    values (gen_random_uuid(), 'a', 'b', '{}', '{}', $1, $1, 'c', false, 1, 3, 'checkout-0', $1, false, false, '', '')
"""
PARKED = """
    insert into parked (key, message_id, origin, kind, topic, partition, record_offset, headers, reason, error,
        parked_at)
    values ('s/odd', gen_random_uuid(), 'record', 'sku.define', 'checkout.commands.v1', 0, 1, '', 'failed', $1, $2)
"""
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database("checkout")


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[RestoredDatabase]:
    database = await RestoredDatabase.open(url)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    engine = create_engine(url, "store")
    store = PostgresStore(engine)
    yield store
    await store.close()
    await engine.dispose()


class Step:
    """The point and the epoch of a restore of checkout, whose topics have epoch 4."""

    def __init__(self, database: RestoredDatabase) -> None:
        self.database, self.said = database, list[str]()

    async def begins(self, to: datetime | None) -> tuple[int, datetime, datetime]:
        registry = HandlerRegistry(declared()["checkout"])
        begun = await run._begin(_settings(), registry, self.database, to, self.said.append)
        assert await self.database.begun() == begun
        return begun.epoch, begun.to, begun.read_from


def _settings() -> Settings:
    return Settings.model_construct(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))


@pytest.fixture
def step(database: RestoredDatabase, monkeypatch: pytest.MonkeyPatch) -> Step:
    async def four(*_: object) -> int:
        return 4

    monkeypatch.setattr(run, "latest_epoch", four)
    return Step(database)


async def test_the_epoch_is_above_those_that_the_topics_and_the_database_know(
    step: Step, database: RestoredDatabase
) -> None:
    assert await step.begins(POINT) == (5, POINT, POINT - MARGIN)
    restored = await database.begun()
    assert restored is not None
    await database.caught_up(restored)
    assert await database.begun() is None
    assert (await step.begins(POINT))[0] == 6


async def test_a_restore_that_was_broken_off_goes_on_at_its_first_point(step: Step) -> None:
    """The database has changed since: its last change is no longer the restored point."""
    first = await step.begins(POINT)
    assert await step.begins(None) == first
    assert await step.begins(POINT + HOUR) == first, "a later point would leave out a part"
    assert step.said == ["The restore to 2026-05-01 12:00:00 UTC goes on."] * 2


async def test_an_earlier_point_widens_what_is_read_again(step: Step) -> None:
    epoch, _, _ = await step.begins(POINT)
    assert await step.begins(POINT - HOUR) == (epoch, POINT - HOUR, POINT - HOUR - MARGIN)
    assert await step.begins(None) == (epoch, POINT - HOUR, POINT - HOUR - MARGIN)


async def test_the_point_is_the_databases_last_change(step: Step, url: str) -> None:
    other = await asyncpg.connect(url)
    await other.execute("insert into inbox values (gen_random_uuid(), $1, 0)", POINT)
    await other.close()
    assert (await step.begins(None))[1] == POINT


async def test_a_point_later_than_the_last_change_leaves_nothing_out(step: Step, url: str) -> None:
    other = await asyncpg.connect(url)
    await other.execute("insert into inbox values (gen_random_uuid(), $1, 0)", POINT)
    await other.close()
    assert (await step.begins(POINT + HOUR))[1] == POINT


async def test_a_point_in_the_future_is_refused(step: Step, database: RestoredDatabase) -> None:
    with pytest.raises(NoPoint, match="is in the future"):
        await step.begins(datetime.now(UTC) + HOUR)
    assert await database.begun() is None


async def test_a_database_that_has_handled_nothing_needs_a_point(step: Step, database: RestoredDatabase) -> None:
    with pytest.raises(NoPoint, match="name that time with --to"):
        await step.begins(None)
    assert await database.begun() is None


async def test_leases_of_workers_that_run_no_more_end(step: Step, url: str) -> None:
    other = await asyncpg.connect(url)
    await other.execute(LEASED, POINT)
    await step.begins(POINT)
    left = [tuple(row) for row in await other.fetch("select lease, leased_until from operations")]
    assert left == [(4, None)], "an old answer is not taken"
    await other.close()


async def test_each_key_that_is_parked_is_named_with_what_parked_it(database: RestoredDatabase, url: str) -> None:
    other = await asyncpg.connect(url)
    for error in ("a bug", "an earlier message of this key is parked"):
        await other.execute(PARKED, error, POINT)
    assert await database.parked() == {"s/odd": "a bug"}
    await other.close()


async def test_members_that_died_are_waited_for(monkeypatch: pytest.MonkeyPatch, database: RestoredDatabase) -> None:
    answers = [["checkout-0"], ["checkout-0"], []]

    async def members() -> list[str]:
        return answers.pop(0)

    monkeypatch.setattr(run, "DROPPED_WITHIN", 30.0)
    await run._no_workers("checkout", members, database.relays)
    assert answers == []


async def test_a_worker_that_runs_refuses_it(
    monkeypatch: pytest.MonkeyPatch, database: RestoredDatabase, url: str
) -> None:
    """Its membership may be over while it waits for Kafka; its relay's lock is not."""

    async def members() -> list[str]:
        return []

    monkeypatch.setattr(run, "DROPPED_WITHIN", 0.2)
    lock = PostgresRelayLock(url, "checkout-7")
    await lock.acquire(lambda: None)
    assert lock.held()
    with pytest.raises(StillWorking, match=r"Workers of checkout are still running \(checkout-7-relay\)"):
        await run._no_workers("checkout", members, database.relays)
    await lock.close()
    await run._no_workers("checkout", members, database.relays)


PLACES = {("orders.events.v1", 0): 7, ("orders.events.v1", 1): 3}


async def test_positions_never_go_back(url: str, store: PostgresStore) -> None:
    await store.keep_positions(PLACES)
    await store.keep_positions({("orders.events.v1", 0): 5, ("orders.events.v1", 1): 4})
    database = await RestoredDatabase.open(url)
    assert await database.positions() == PLACES | {("orders.events.v1", 1): 4}
    await database.close()


@pytest.mark.parametrize("committed", [{}, PLACES, {("orders.events.v1", 0): 6}, {("orders.events.v1", 2): 0}])
async def test_a_database_that_knows_what_kafka_knows_was_not_restored(
    store: PostgresStore, committed: dict[tuple[str, int], int]
) -> None:
    await store.keep_positions(PLACES)
    await check_caught_up(store.fetch, "checkout", committed)


@pytest.mark.parametrize("known", [{}, PLACES])
async def test_a_backup_from_before_the_first_record_of_a_partition_was_restored(
    store: PostgresStore, known: dict[tuple[str, int], int]
) -> None:
    await store.keep_positions(known)
    with pytest.raises(NotCaughtUp, match=r"orders.events.v1/2, .* before 0.* before 9"):
        await check_caught_up(store.fetch, "checkout", {("orders.events.v1", 2): 9})


async def test_workers_do_not_start_on_a_restored_database_that_has_not_caught_up(
    store: PostgresStore, step: Step, database: RestoredDatabase
) -> None:
    await store.keep_positions(PLACES)
    further = PLACES | {("orders.events.v1", 1): 4}
    with pytest.raises(NotCaughtUp, match=r"orders.events.v1/1.* before 3.* before 4.*`orderbus restore checkout`"):
        await check_caught_up(store.fetch, "checkout", further)
    await step.begins(POINT)
    await database.read_from([(*place, offset) for place, offset in further.items()])
    with pytest.raises(NotCaughtUp, match=r"to 2026-05-01 12:00:00 UTC was broken off.*`orderbus restore checkout`"):
        await check_caught_up(store.fetch, "checkout", further)
    restored = await database.begun()
    assert restored is not None
    await database.caught_up(restored)
    await check_caught_up(store.fetch, "checkout", further)


async def test_calls_that_are_left_after_a_restore_may_have_been_made_before(step: Step, url: str) -> None:
    other = await asyncpg.connect(url)
    await other.execute(LEASED, POINT)
    await step.begins(POINT)
    restored = await step.database.begun()
    assert restored is not None
    await step.database.caught_up(restored)
    assert await other.fetchval("select bool_and(abandoned) from operations")
    await other.close()
