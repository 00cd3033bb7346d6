"""Orders that ended before their payment was requested: their rows are kept as long as a request can still be read."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

LONGER = timedelta(days=2)
"""Than the topics' retention, as the inbox."""
_FORGET = sa.text("delete from payments where number = '' and sequence = 0 and changed_at < :before")
"""One with a `sequence` has told something: its numbers must not begin again."""


class ForgettingEnded:
    """Upkeep: removes what no message can need any more."""

    def __init__(self, engine: AsyncEngine, retention: timedelta) -> None:
        self._engine, self._kept = engine, retention + LONGER

    async def __call__(self, now: datetime) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(_FORGET, {"before": now - self._kept})
