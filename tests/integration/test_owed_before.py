"""What older builds left owed is listed after the migration, and what older workers leave owed after it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments import owed
from services.payments.domain.payment import Payment
from services.payments.storage import payment_columns, payments
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import RefundPayment
from shared.core import codec
from shared.shell.postgres.engine import new_engine
from shared.shell.postgres.migration import migrate
from tests.integration.conftest import NewDatabase
from tests.unit.payments.examples import PaymentScenario, requested
from tests.unit.payments.test_owed import surplus

PAYMENTS = {
    "paid": PaymentScenario(requested()).pay(),
    "refunded": PaymentScenario(requested()).pay().hear(RefundPayment()).make_refund(),
    "partly refunded": PaymentScenario(requested()).pay().hear(RefundPayment(amount=100)),
    "given up": surplus().fail_refund(),
    "surplus refunded": surplus().make_refund(),
    "cancelled, given up": PaymentScenario(requested()).pay().hear(OrderCancelled()).fail_refund(),
    "cancelled": PaymentScenario(requested()).pay().hear(OrderCancelled()).make_refund(),
    "declined": PaymentScenario(requested()).decline(),
}
OWED = {key: payment.state.owed for key, payment in PAYMENTS.items()}


async def test_the_column_is_filled(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "payments", url, "0001")
    engine = new_engine(url)
    async with engine.begin() as connection:
        for key in PAYMENTS:
            await connection.execute(sa.insert(payments).values(row_of(key)))
    await asyncio.to_thread(migrate, "payments", url)
    found = await owed_in(engine)
    await engine.dispose()
    assert found == OWED
    assert sum(owed > 0 for owed in found.values()) == 3


def row_of(name: str, **more: Any) -> dict[str, Any]:
    """As a build writes it that does not know the column."""
    payment = PAYMENTS[name]
    columns = {name: value for name, value in payment_columns(payment.state).items() if name != "owed"}
    data = orjson.loads(codec.dump(payment.state))
    return {"key": name, "version": 1, "sequence": 0, "changed_at": payment.at, "data": data} | columns | more


async def owed_in(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {row.key: row.owed for row in await connection.execute(sa.select(payments.c.key, payments.c.owed))}


async def test_what_an_older_worker_changes_is_computed_again(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "AT_A_TIME", 3)
    url = await new_database("payments")
    engine, now = new_engine(url), max(payment.at for payment in PAYMENTS.values())
    newer = row_of("paid", key="newer", owed=7) | {"data": {"number": "of a shape that this build cannot read"}}
    ours = row_of("cancelled", key="ours", owed=7, shape=codec.shape_of(Payment))
    async with engine.begin() as connection:
        for key in PAYMENTS:
            await connection.execute(sa.insert(payments).values(row_of(key, owed=5 if key == "declined" else 0)))
        for row in (newer, ours):
            await connection.execute(sa.insert(payments).values(row))
    await looked(engine, now)
    await owed.refresh_owed(engine, now + timedelta(hours=1))
    found = await owed_in(engine)
    await engine.dispose()
    assert found == OWED | {"newer": 7, "ours": 7}


async def looked(engine: AsyncEngine, until: datetime) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("update owed_look set until = :until"), {"until": until})


async def test_however_long_only_older_workers_ran_what_they_left_is_found(new_database: NewDatabase) -> None:
    url = await new_database("payments")
    engine, rolled_back = new_engine(url), PAYMENTS["given up"].at - timedelta(hours=1)
    await looked(engine, rolled_back)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(payments).values(row_of("given up", owed=0)))
        old = row_of("surplus refunded", owed=5, changed_at=rolled_back - timedelta(days=30))
        await connection.execute(sa.insert(payments).values(old))

    await owed.refresh_owed(engine, rolled_back + timedelta(days=60))

    found = await owed_in(engine)
    assert found == {"given up": OWED["given up"], "surplus refunded": 5}, "the second was looked at long before"
    async with engine.begin() as connection:
        await connection.execute(sa.text("update payments set owed = 0"))
    await owed.refresh_owed(engine, rolled_back + timedelta(days=60, hours=1))
    assert (await owed_in(engine))["given up"] == 0, "what was looked at is not looked at again"
    await engine.dispose()
