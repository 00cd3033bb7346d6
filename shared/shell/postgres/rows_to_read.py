"""Rows as a decision would find them, for those who only look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.core import Ref
from shared.shell.ports.tables import Storage
from shared.shell.postgres.tables import read_state


async def read_rows(connection: AsyncConnection, storage: Storage, refs: Iterable[Ref[Any]]) -> dict[Ref[Any], object]:
    """By what names them; None for one that is not there. Raises WrittenByNewer."""
    found: dict[Ref[Any], object] = dict.fromkeys(refs)
    tables = {each.kind: each.table for each in storage.states}
    for kind in {ref.kind for ref in found}:
        table, keys = tables[kind], [ref.key for ref in found if ref.kind is kind]
        query = sa.select(table.c.key, sa.cast(table.c.data, sa.Text).label("data")).where(
            table.c.key.in_(keys), table.c.data.is_not(None)
        )
        for row in await connection.execute(query):
            found[Ref(kind, row.key)] = read_state(kind, row.data)
    return found


async def read_row(connection: AsyncConnection, storage: Storage, ref: Ref[Any]) -> Any:
    """None where there is none. Raises WrittenByNewer."""
    return (await read_rows(connection, storage, [ref]))[ref]
