"""What is watched is read from the tables: checkout's and payments' gauges, and calls whose outcome is
unknown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa

from services.checkout.gauges import GAUGES
from services.payments.gauges import GAUGES as PAYMENTS
from shared.core import derived_id
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import StoreUnavailable, Writes
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore, read_gauges
from tests.integration.conftest import NewDatabase

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ORDERS = (
    # status, age of the last change, item, refunded whole, deadline ago
    ("processing", HOUR, "pending", False, None),  # stuck
    ("processing", HOUR, "pending", True, None),  # nothing more is to be delivered of it
    ("processing", HOUR, "waiting", False, None),  # for a parcel
    ("processing", 4 * DAY, "waiting", False, None),  # for too long
    ("processing", timedelta(0), "pending", False, None),  # on its way
    ("failed", DAY, "failed", False, None),
    ("completed", 4 * DAY, "delivered", False, None),
    ("pending_payment", HOUR, "pending", False, HOUR),  # should have expired
    ("pending_payment", HOUR, "pending", False, -HOUR),
)


async def test_orders_that_do_not_get_on_are_counted(new_database: NewDatabase) -> None:
    url = await new_database("checkout")
    engine = create_engine(url, "test")
    now = datetime.now(UTC)
    insert = sa.text(
        "insert into orders (key, version, sequence, status, data, changed_at, number, deadline) "
        "values (:key, 1, 1, :status, cast(:data as jsonb), :changed_at, :key, :deadline)"
    )
    async with engine.begin() as connection:
        for number, (status, age, item, refunded, ago) in enumerate(ORDERS):
            written = {"refunded_whole": True} if refunded else {}  # as states are stored: without an empty default
            lines = [{"delivery": "delivered"}, {"delivery": item, **written}]
            row = {
                "key": f"o-{number}",
                "status": status,
                "data": orjson.dumps({"lines": lines}).decode(),
                "changed_at": now - age,
                "deadline": None if ago is None else now - ago,
            }
            await connection.execute(insert, row)
        unknown = row | {"key": "o-unknown", "data": '{"charge": "unresolved"}', "deadline": now - HOUR}
        await connection.execute(insert, unknown)  # an unresolved payment, which staff are told of

    assert await read_gauges(engine, GAUGES) == {
        "orders_paid_unfinished": 5,
        "orders_paid_unfinished_overdue": 2,
        "orders_failed": 1,
        "orders_payment_overdue": 1,
    }
    await engine.dispose()


async def test_a_call_is_in_doubt_once_its_lease_is_over_or_released(new_database: NewDatabase) -> None:
    url = await new_database("payments")
    engine = create_engine(url, "test")
    store, now = PostgresStore(engine), datetime.now(UTC)

    def row(number: int, *, in_doubt: bool, until: datetime | None) -> OperationRow:
        identity = derived_id(UUID(int=3), number, now)
        worker = "payments-0" if until else "payments-9"
        return OperationRow(
            identity,
            "o-1",
            "ChargeCard",
            b"{}",
            b"[]",
            now,
            now,
            "ChargeCard",
            attempts=1,
            leased_by=worker,
            leased_until=until,
            in_doubt=in_doubt,
        )

    rows = [
        row(1, in_doubt=True, until=now + HOUR),  # in progress
        row(2, in_doubt=True, until=now - HOUR),  # its worker died
        row(3, in_doubt=True, until=None),  # waits for its next try
        row(4, in_doubt=False, until=None),  # certainly not done
    ]
    async with store.begin() as tx:
        await tx.write(Writes(operations=rows))
    await store.begin_calls([each for each in rows if each.in_doubt])
    sizes = await store.gauge()
    assert (sizes["operations"], sizes["operations_in_doubt"], sizes["operations_late"]) == (4, 2, 0)
    await engine.dispose()


async def test_money_that_is_owed_for_long_and_unknown_outcomes_are_counted(new_database: NewDatabase) -> None:
    url = await new_database("payments")
    engine = create_engine(url, "test")
    store, now = PostgresStore(engine), datetime.now(UTC)

    def row(number: int, kind: str, age: timedelta) -> OperationRow:
        identity = derived_id(UUID(int=3), number, now)
        return OperationRow(identity, "o-1", kind, b"{}", b"[]", now + HOUR, now - age, "stripe")

    rows = [row(1, "RefundCharge", HOUR), row(2, "RefundCharge", 2 * DAY), row(3, "FindCharge", 2 * DAY)]
    async with store.begin() as tx:
        await tx.write(Writes(operations=rows))
    payment = sa.text(
        "insert into payments (key, version, sequence, changed_at, unresolved) values (:key, 1, 1, now(), :unresolved)"
    )
    async with engine.begin() as connection:
        await connection.execute(payment, [{"key": "o-1", "unresolved": True}, {"key": "o-2", "unresolved": False}])
    assert await read_gauges(engine, PAYMENTS) == {"payments_unresolved": 1, "refunds_owed": 1}
    await engine.dispose()


async def test_a_database_that_is_away_is_said_to_be(new_database: NewDatabase) -> None:
    engine = create_engine("postgresql://user@127.0.0.1:1/nothing", "test")
    with pytest.raises(StoreUnavailable):
        await read_gauges(engine, GAUGES)
    await engine.dispose()


async def test_how_long_the_relay_has_been_the_relay_is_known(new_database: NewDatabase) -> None:
    url = await new_database("payments")
    engine = create_engine(url, "test")
    store, lock = PostgresStore(engine), PostgresRelayLock(url, "relay")
    assert (await store.gauge())["relay_session_seconds"] == 0
    await lock.acquire(lambda: None)
    await asyncio.sleep(0.1)
    assert 0.1 <= (await store.gauge())["relay_session_seconds"] < 60
    await lock.close()
    assert (await store.gauge())["relay_session_seconds"] == 0
    await engine.dispose()
