"""Stores of which `stores.status.v1` lacks the latest settings: workers of older builds tell none, and after a restore
the topic has what came later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.checkout.domain.store_change import StoreUntold
from shared.core.epochs import SPAN
from shared.shell.service import OwnReport

_UNTOLD = sa.text("""
    select key, version from stores s where data is not null and (
        data ->> 'updated_at' is null
        or cast(data ->> 'revision' as bigint) < :span * (select coalesce(max(number), 0) from restore_epoch)
        or exists (
            select from store_changes c where c.key = s.key and c.at > cast(s.data ->> 'updated_at' as timestamptz)
        )
    ) order by key
""")


class UntoldStores:
    """One report for each. Of the workers that find a store at once, one report counts: it is named after the row's
    version."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def __call__(self, now: datetime) -> Sequence[OwnReport]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_UNTOLD, {"span": SPAN})).all()
        return [OwnReport(row.key, StoreUntold(), f"store {row.key} untold at {row.version}") for row in rows]
