"""Pages of what belongs to orders: transactions, actions of deliveries. The same ways as in `order_query.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.cursors import Place
from services.staff.order_conditions import Condition
from services.staff.order_query import HITS, MERGED_STORES, PLANS, WINDOW
from services.staff.storage import orders

SHAPE = (datetime, str, str)
"""Of a place: the time, the order's id, and the row's within it."""


@dataclass(frozen=True, slots=True)
class PartTable:
    """A table whose index has (store, time, order_id, id)."""

    name: str
    at: str
    id: str


TRANSACTIONS = PartTable("transactions", "at", "id")
EXECUTIONS = PartTable("executions", "updated_at", "execution")


@dataclass(frozen=True, slots=True)
class PartQuery:
    """`chosen`: one of these values, by column. `begin`, `end`: a period, without its end."""

    table: PartTable
    stores: Sequence[str]
    chosen: Mapping[str, Collection[object]]
    begin: datetime | None = None
    end: datetime | None = None
    descending: bool = True


async def part_page(connection: AsyncConnection, query: PartQuery, after: Place | None, most: int) -> list[Place]:
    """The places of the next rows, at most so many."""
    if not query.stores:
        return []
    await connection.execute(PLANS)
    return await _PartPages(connection, query).page(after, most)


class _PartPages:
    def __init__(self, connection: AsyncConnection, query: PartQuery) -> None:
        self._connection, self._query, self._table = connection, query, query.table
        self._way, self._past = ("desc", "<") if query.descending else ("asc", ">")
        chosen = {name: list(values) for name, values in query.chosen.items() if values}
        self._chosen = Condition(" and ".join(["true", *(f"x.{name} = any(:{name})" for name in chosen)]), dict(chosen))
        self._order = f"at {self._way}, order_id {self._way}, id {self._way}"

    async def page(self, after: Place | None, most: int) -> list[Place]:
        if not self._chosen.values:
            return await self._walk(after, most)
        if len(self._query.stores) <= MERGED_STORES:
            places, whole = await self._window(after, most)
            if whole or len(places) >= most:
                return places
        places, whole = await self._collected(after, most)
        return places if whole else await self._walk(after, most)

    def _period(self, after: Place | None, at: str, id: str) -> Condition:
        parts, values = ["true"], dict[str, Any]()
        for name, sign, moment in (("begin", ">=", self._query.begin), ("end", "<", self._query.end)):
            if moment is not None:
                parts.append(f"{at} {sign} :{name}")
                values[name] = moment
        if after is not None:
            parts.append(f"({at}, x.order_id, {id}) {self._past} (:after_at, :after_order, :after_id)")
            values |= dict(zip(("after_at", "after_order", "after_id"), after, strict=True))
        return Condition(" and ".join(parts), values)

    def _rows(self, after: Place | None, further: Condition) -> Condition:
        """Of each store, in the order of its index."""
        at, id = f"x.{self._table.at}", f"x.{self._table.id}"
        conditions = further & self._period(after, at, id)
        columns = ", ".join(f"x.{name}" for name in self._chosen.values)
        return Condition(
            f"""select y.* from unnest(cast(:stores as text[])) as s(store) cross join lateral (
                    select x.order_id, {at} as at, {id} as id{", " + columns if columns else ""}
                    from {self._table.name} x where x.store = s.store and {conditions.sql}
                    order by {at} {self._way}, x.order_id {self._way}, {id} {self._way} limit :each
                ) y order by {self._order} limit :each""",
            conditions.values | {"stores": list(self._query.stores)},
        )

    async def _walk(self, after: Place | None, most: int) -> list[Place]:
        rows = self._rows(after, self._chosen)
        return _places(await self._found(rows.sql, rows.values | {"each": most}))

    async def _window(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        rows = self._rows(after, Condition("true"))
        statement = f"""with w as materialized ({rows.sql})
            select (select count(*) from w) as seen, p.* from (select 1) one left join lateral (
                select x.at, x.order_id, x.id from w x where {self._chosen.sql} order by {self._order} limit :most
            ) p on true"""
        found = await self._found(statement, rows.values | self._chosen.values | {"each": WINDOW, "most": most})
        return _places(found), found[0].seen < WINDOW

    async def _collected(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        at, id = f"x.{self._table.at}", f"x.{self._table.id}"
        conditions = self._chosen & self._period(after, at, id)
        statement = f"""with h as materialized (
                select x.order_id, {at} as at, {id} as id from {self._table.name} x
                where x.store = any(cast(:stores as text[])) and {conditions.sql} limit :most_hits)
            select (select count(*) from h) as seen, p.* from (select 1) one left join lateral (
                select at, order_id, id from h order by {self._order} limit :most
            ) p on true"""
        values = {"stores": list(self._query.stores), "most_hits": HITS + 1, "most": most}
        found = await self._found(statement, conditions.values | values)
        return _places(found), found[0].seen <= HITS

    async def _found(self, statement: str, values: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        return (await self._connection.execute(sa.text(statement), values)).all()


def _places(rows: Sequence[sa.Row[Any]]) -> list[Place]:
    return [(row.at, row.order_id, row.id) for row in rows if row.order_id is not None]


async def rows_at(
    connection: AsyncConnection, table: sa.Table, id: str, places: Sequence[Place]
) -> list[dict[str, Any]]:
    """In the order of the places, each with its order's `number`."""
    keys = sa.literal([str(place[1]) for place in places], sa.ARRAY(sa.Text))
    query = sa.select(table, orders.c.number).join(orders, orders.c.order_id == table.c.order_id, isouter=True)
    query = query.where(table.c.order_id == sa.any_(keys))
    found = {(row["order_id"], row[id]): dict(row) for row in (await connection.execute(query)).mappings()}
    return [found[key] for place in places if (key := (str(place[1]), str(place[2]))) in found]
