"""What older builds left owed is listed after the migration."""

from __future__ import annotations

import asyncio

import orjson
import sqlalchemy as sa

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


async def test_the_column_is_filled(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "payments", url, "0001")
    engine = new_engine(url)
    async with engine.begin() as connection:
        for key, payment in PAYMENTS.items():
            columns = dict(payment_columns(payment.state))
            del columns["owed"]
            data = orjson.loads(codec.dump(payment.state))
            row = {"key": key, "version": 1, "sequence": 0, "changed_at": payment.at, "data": data, **columns}
            await connection.execute(sa.insert(payments).values(row))
    await asyncio.to_thread(migrate, "payments", url)
    async with engine.connect() as connection:
        found = (await connection.execute(sa.select(payments.c.key, payments.c.owed))).all()
    await engine.dispose()
    assert {row.key: row.owed for row in found} == {key: payment.state.owed for key, payment in PAYMENTS.items()}
    assert sum(row.owed > 0 for row in found) == 3
