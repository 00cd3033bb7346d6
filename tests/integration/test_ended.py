"""Orders that ended before their payment was requested are forgotten when no request can come any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import sqlalchemy as sa

from services.payments.domain.payment import Payment
from services.payments.ended import ForgettingEnded
from services.payments.storage import payment_columns, payments
from shared.contracts.checkout import OrderCancelled
from shared.core import codec
from shared.shell.postgres.engine import new_engine
from tests.integration.conftest import NewDatabase
from tests.unit.payments.examples import PaymentScenario, requested

NOW, DAY = datetime(2026, 3, 3, tzinfo=UTC), timedelta(days=1)
ENDED = PaymentScenario(OrderCancelled()).state
DECLINED = PaymentScenario(requested()).decline().hear(OrderCancelled()).state


async def test_a_row_is_kept_for_as_long_as_messages_can_be_read(new_database: NewDatabase) -> None:
    url = await new_database("payments")
    engine = new_engine(url)

    async def has(key: str, payment: Payment, age: timedelta, sequence: int = 0) -> None:
        row = {"key": key, "version": 1, "sequence": sequence, "changed_at": NOW - age}
        row |= {"data": orjson.loads(codec.dump(payment)), **payment_columns(payment)}
        async with engine.begin() as connection:
            await connection.execute(sa.insert(payments).values(row))

    await has("old", ENDED, 9 * DAY + timedelta(minutes=1))
    await has("young", ENDED, 9 * DAY - timedelta(minutes=1))
    await has("answered", ENDED, 99 * DAY, sequence=1)
    await has("a payment", DECLINED, 99 * DAY)

    await ForgettingEnded(engine, 7 * DAY)(NOW)

    async with engine.connect() as connection:
        kept = (await connection.execute(sa.select(payments.c.key))).scalars().all()
    await engine.dispose()
    assert sorted(kept) == ["a payment", "answered", "young"]
