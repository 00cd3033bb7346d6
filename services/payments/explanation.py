"""What payments says of an order that is asked about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.payments.domain.explanation import explanation
from services.payments.domain.payment import Payment
from services.payments.storage import storage
from shared.core import Ref
from shared.core.explanation import Explanation
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.rows_to_read import read_row


async def explain(connection: AsyncConnection, key: str, at: datetime) -> Explanation | None:
    try:
        payment: Payment | None = await read_row(connection, storage, Ref(Payment, key))
        return None if payment is None or payment.ended_unrequested else explanation(payment, key, at)
    except WrittenByNewer:
        return None
