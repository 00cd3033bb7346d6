"""The oldest of what waits for staff, and how many more there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.shell.ports.attention import MOST, Attention


async def oldest(
    connection: AsyncConnection, statement: str, entry: Callable[[Any], Attention], *needed: str, most: int = MOST
) -> list[Attention]:
    """An entry for each of the oldest rows, by their column `since`; if that is not all, one more that counts the rest.
    The `statement` has neither order nor limit. Raises ValueError where a row lacks `since` or another
    needed column."""
    limited = sa.text(f"{statement} order by since limit :most")
    rows = (await connection.execute(limited, {"most": most})).all()
    if any(getattr(row, name) is None for row in rows for name in ("since", *needed)):
        raise ValueError("a row does not say what it should")
    found = [entry(row) for row in rows]
    if len(found) < most:
        return found
    total: int = (await connection.execute(sa.text(f"select count(*) from ({statement}) waiting"))).scalar_one()
    return [*found, *_rest(found[-1], total - len(found))]


def _rest(last: Attention, count: int) -> list[Attention]:
    if count <= 0:
        return []
    text = "Not listed one by one: the oldest come first, these follow as those are dealt with"
    entry = Attention(last.what, f"{count} more", last.since, text, "orderbus attention", count, routine=last.routine)
    return [entry]
