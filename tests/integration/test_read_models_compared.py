"""Staff's read models compared with the records that they are made of: what is damaged is found, and made again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.check.read_models.comparison import Comparison
from deploy.check.read_models.latest import LatestRecords
from services.staff.domain import PROJECTION
from services.staff.storage import read_models
from shared.core.fast_dataclasses import replace
from shared.shell.ports.bus import BusRecord
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.read_models import PostgresReadModels
from tests.integration.conftest import NewDatabase
from tests.integration.staff_records import simulated_records
from tests.integration.test_read_models import projector_of

DAMAGE = {
    "a row says something else": "update orders set status = 'lost' where order_id = :key",
    "a row is gone": "delete from orders where order_id = :key",
    "a part is gone": "delete from order_items where order_id = :key",
    "a part is another": "update order_items set quantity = quantity + 1 where order_id = :key",
    "there is a part too many": "insert into messages select order_id, channel, 'x', store, fact, name, audience, "
    "endpoint, state, attempts, at, code, text, in_doubt from messages where order_id = :key limit 1",
    "a counter is wrong": "update order_counts set count = count + 1",
    "a sum is wrong": "update day_sums set sales = sales + 1 where about = 'country'",
    "a sum is gone": "delete from day_sums where about = 'provider'",
    "an order adds something else": "update orders set order_adds = null where order_id = :key",
    "an older record was written last": "update orders set order_revision = 1, total = 1 where order_id = :key",
}


@pytest.fixture(scope="module")
def records() -> Sequence[BusRecord]:
    return simulated_records(1)


@pytest_asyncio.fixture
async def comparison(new_database: NewDatabase, records: Sequence[BusRecord]) -> AsyncIterator[Comparison]:
    url = await new_database("staff")
    engine = create_engine(url, "test")
    await projector_of(PROJECTION, read_models, PostgresReadModels(engine, read_models)).take(records)
    with LatestRecords() as latest:
        found = Comparison(engine, PROJECTION, read_models, latest)
        found.take(record for record in records if record.topic in found.topics())
        yield found
    await engine.dispose()


async def damage(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        key = await connection.scalar(
            sa.text("select order_id from orders join messages using (order_id) where total > 1 order by 1 limit 1")
        )
        values = {"key": key} if ":key" in statement else {}
        changed = await connection.execute(sa.text(statement), values)
        assert changed.rowcount > 0


async def test_what_was_read_is_what_the_records_show(comparison: Comparison) -> None:
    assert await comparison.compare() == {}
    assert await comparison.wrong_counts() == []
    assert comparison.compared > 30


@pytest.mark.parametrize("what", DAMAGE)
async def test_damage_is_found_and_fixed(comparison: Comparison, what: str) -> None:
    await damage(comparison.engine, DAMAGE[what])

    differing, counts = await comparison.compare(), await comparison.wrong_counts()
    assert differing or counts
    await comparison.fix(differing)
    await comparison.count_again()

    assert await comparison.again(differing) == {}
    assert await comparison.compare() == {}
    assert await comparison.wrong_counts() == []


async def test_a_row_without_a_record_is_told_and_left(comparison: Comparison) -> None:
    async with comparison.engine.begin() as connection:
        await connection.execute(sa.text("insert into orders (order_id, order_revision) values ('nowhere', 3)"))

    differing = await comparison.compare()
    assert differing == {"OrderRow": {"nowhere": "orders: comes from no record"}}
    assert await comparison.fix(differing) == 0
    assert await comparison.again(differing) == differing


async def test_of_one_key_the_highest_revision_counts_and_what_is_erased_is_not_missed(
    comparison: Comparison, records: Sequence[BusRecord]
) -> None:
    status = [record for record in records if record.topic == "orders.status.v1"]
    comparison.take(status[:20])  # repeated late, as producers do
    assert await comparison.compare() == {}
    gone = replace(status[0], value=None, offset=10_000)
    await projector_of(PROJECTION, read_models, PostgresReadModels(comparison.engine, read_models)).take([gone])
    comparison.take([gone])
    assert await comparison.compare() == {}
