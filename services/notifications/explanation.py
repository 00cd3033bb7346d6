"""What notifications says of an order that is asked about."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifications.domain.explanation import commands, explanation
from services.notifications.domain.notification_log import NotificationLog, notification_logs
from services.notifications.storage import storage
from shared.core import Ref
from shared.core.dry_run import needed_rows
from shared.core.explanation import Explanation
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.rows_to_read import read_row, read_rows


async def explain(connection: AsyncConnection, key: str, at: datetime) -> Explanation | None:
    try:
        log: NotificationLog | None = await read_row(connection, storage, Ref(NotificationLog, key))
        if log is None:
            return None
        needed = needed_rows(notification_logs, log, commands(log), key)
        return explanation(log, key, at, await read_rows(connection, storage, needed))
    except WrittenByNewer:
        return None
