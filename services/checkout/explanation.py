"""What checkout says of an order that is asked about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.checkout import queries, storage
from services.checkout.domain.explanation import explanation
from services.checkout.domain.order import Order
from shared.core.explanation import Explanation
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.tables import read_state


async def explain(connection: AsyncConnection, key: str, at: datetime) -> Explanation | None:
    data = await queries.find_state(connection, storage.orders, key)
    if data is None:
        return None
    try:
        return explanation(read_state(Order, data), key, at)
    except WrittenByNewer:
        return None
