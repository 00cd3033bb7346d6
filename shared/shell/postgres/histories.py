"""What HTTP reads of tables: rows as they are, and the history of a key."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine


async def rows_of(engine: AsyncEngine, statement: sa.Select[Any]) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        rows = (await connection.execute(statement)).mappings()
        return [{str(name): value for name, value in row.items()} for row in rows]


async def history_of(
    engine: AsyncEngine, table: sa.Table, key: str, limit: int, before: UUID | None
) -> list[dict[str, Any]]:
    """A page of what an append-only table (with `key`, `id` and `at`) has of a key, the latest first. `before`: the id
    of the last row of the page before."""
    place = sa.tuple_(table.c.at, table.c.id)
    query = sa.select(*(column for column in table.c if column.name != "key")).where(table.c.key == key)
    if before:
        last = sa.select(table.c.at).where(table.c.key == key, table.c.id == before)
        query = query.where(place < sa.tuple_(last.scalar_subquery(), sa.literal(before)))
    return await rows_of(engine, query.order_by(table.c.at.desc(), table.c.id.desc()).limit(limit))
