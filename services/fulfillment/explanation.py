"""What fulfillment says of an order that is asked about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.domain.delivery import Delivery, deliveries
from services.fulfillment.domain.explanation import commands, explanation
from services.fulfillment.storage import storage
from shared.core import Ref
from shared.core.dry_run import needed_rows
from shared.core.explanation import Explanation
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.rows_to_read import read_row, read_rows


async def explain(connection: AsyncConnection, key: str, at: datetime) -> Explanation | None:
    try:
        delivery: Delivery | None = await read_row(connection, storage, Ref(Delivery, key))
        if delivery is None:
            return None
        needed = needed_rows(deliveries, delivery, commands(delivery), key)
        return explanation(delivery, key, at, await read_rows(connection, storage, needed))
    except WrittenByNewer:
        return None
