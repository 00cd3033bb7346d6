"""Pages of orders, from their indexes.

Three ways to a page, and the first that is sure to have it whole is taken:

1. the first orders of the sort's index are looked through (a filter that many orders match);
2. all that match are collected, unless they are too many, and sorted (a filter that few match);
3. the sort's index is walked till the page is full.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.cursors import Place
from services.staff.domain.order_filter import OrderFilter, SearchText
from services.staff.order_conditions import DATE, Condition, Search, of_filter, of_stores
from shared.contracts.values import PaymentStatus

WINDOW = 2000
"""Orders of an index that are looked through first."""
HITS = 5000
"""At most so many are collected and sorted."""
FOUND = 20_000
"""At most so many that a search finds are compared with the rest of the filter."""
WINDOW_STORES = 4
"""The index has its stores one after the other, so each further one is looked through, too."""
PLANS = sa.text("select set_config('plan_cache_mode', 'force_custom_plan', true)")
"""How many orders a filter matches depends on its values."""
PAYMENT_STATUSES = tuple(status.value for status in PaymentStatus)


@dataclass(frozen=True, slots=True)
class Sort:
    key: str
    """Of a row `o`, as in the index."""
    sql_type: str
    type: type


BY_DATE = Sort(DATE, "timestamptz", datetime)
SORTS: Mapping[str, Sort] = {
    "date": BY_DATE,
    "updated": Sort("o.updated_at", "timestamptz", datetime),
    "total": Sort("o.total", "bigint", int),
    "number": Sort("o.number", "text", str),
}
BY_PAYMENT_STATUS = "payment_status"
SORT_NAMES = (*SORTS, BY_PAYMENT_STATUS)


def shape_of(sort: str) -> Sequence[type]:
    """The types of a place in this order."""
    return (SORTS[sort].type, str) if sort in SORTS else (str, datetime, str)


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """What is asked for. `stores`: those of the caller; `all_of_them`: there are no others."""

    stores: Sequence[str]
    all_of_them: bool
    wanted: OrderFilter
    search: Search | None = None
    sort: str = "date"
    descending: bool = True

    @property
    def cursor_kind(self) -> str:
        return f"orders {self.sort} {'desc' if self.descending else 'asc'}"


async def known_stores(connection: AsyncConnection) -> Sequence[str]:
    return (await connection.execute(sa.text("select distinct store from order_counts order by store"))).scalars().all()


async def search_of(connection: AsyncConnection, stores: Sequence[str], text: SearchText) -> Search:
    """By what is there: all of a number, an address or an id, if it is one of these; otherwise pieces."""
    if text.is_short:
        return Search.of_beginning(text)
    if text.may_be_whole:
        whole = Search.of_whole(text)
        values = {**whole.values, "stores": list(stores), "most_found": 1}
        statement = f"""select exists (select from ({whole.source}) f join orders o on o.order_id = f.order_id
            where o.store = any(cast(:stores as text[])))"""
        if (await connection.execute(sa.text(statement), values)).scalar_one():
            return whole
    return Search.of_pieces(text)


async def page_of(connection: AsyncConnection, query: OrderQuery, after: Place | None, most: int) -> list[Place]:
    """The places of the next orders, at most so many."""
    if not query.stores:
        return []
    await connection.execute(PLANS)
    if query.sort in SORTS:
        return await _Walk(connection, query, SORTS[query.sort], query.descending).page(after, most)
    return [place async for place in _by_payment_status(connection, query, after, most)]


async def _by_payment_status(
    connection: AsyncConnection, query: OrderQuery, after: Place | None, most: int
) -> AsyncIterator[Place]:
    """One status after the other, in the order of `PaymentStatus`; within one, the newest first."""
    statuses = list(reversed(PAYMENT_STATUSES) if query.descending else PAYMENT_STATUSES)
    if after is not None:
        statuses = statuses[statuses.index(str(after[0])) :] if after[0] in statuses else []
    for status in statuses:
        narrowed = replace(query, wanted=query.wanted.narrowed(f"payment:{status}"))
        walk = _Walk(connection, narrowed, BY_DATE, True, status)
        begin = after[1:] if after is not None and after[0] == status else None
        for place in await walk.page(begin, most):
            yield (status, *place)
            most -= 1
        if most <= 0:
            return


class _Walk:
    """Through the orders of one index."""

    def __init__(
        self, connection: AsyncConnection, query: OrderQuery, sort: Sort, descending: bool, payment_status: str = ""
    ) -> None:
        self._connection, self._query, self._sort = connection, query, sort
        self._way, self._past = ("desc", "<") if descending else ("asc", ">")
        search = query.search
        self._filter = of_filter(query.wanted)
        self._search = Condition(search.check, search.values) if search else None
        self._plain = query.wanted.is_everything
        self._status = payment_status
        if payment_status:
            self._plain = query.wanted == OrderFilter().narrowed(f"payment:{payment_status}")

    async def page(self, after: Place | None, most: int) -> list[Place]:
        if self._plain and not self._search:
            return await self._walk(after, most)
        if len(self._query.stores) <= WINDOW_STORES:
            places, whole = await self._window(after, most)
            if whole or len(places) >= most:
                return places
        for collect in (self._found, self._collected):
            places, whole = await collect(after, most)
            if whole:
                return places
        return await self._walk(after, most)

    def _past_place(self, after: Place | None, key: str) -> Condition:
        if after is None:
            return Condition("true")
        sql = f"({key}, order_id) {self._past} (cast(:after_key as {self._sort.sql_type}), cast(:after_id as text))"
        return Condition(sql, {"after_key": after[0], "after_id": after[1]})

    def _of_index(self, after: Place | None, further: Condition, columns: str) -> Condition:
        """The rows of each store in the order of the index, from the place on."""
        key = self._sort.key
        status = Condition("o.payment_status = :of_status", {"of_status": self._status} if self._status else {})
        conditions = further & self._past_place(after, key)
        conditions = conditions & status if self._status else conditions
        return Condition(
            f"""select x.* from unnest(cast(:stores as text[])) as s(store) cross join lateral (
                    select {columns}, {key} as k from orders o where o.store = s.store and {conditions.sql}
                    order by k {self._way}, o.order_id {self._way} limit :each
                ) x order by k {self._way}, order_id {self._way} limit :each""",
            conditions.values | {"stores": list(self._query.stores)},
        )

    async def _window(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        """Of the next rows of the index, those that match; whether there are no more."""
        columns = "o.order_id, o.facets, o.placed_at, o.created_at, o.number, o.email, o.customer_name"
        rows = self._of_index(after, Condition("true"), columns)
        matching = self._filter & self._search if self._search else self._filter
        statement = f"""with w as materialized ({rows.sql})
            select (select count(*) from w) as seen, p.order_id, p.k from (select 1) one left join lateral (
                select o.order_id, o.k from w o where {matching.sql}
                order by o.k {self._way}, o.order_id {self._way} limit :most
            ) p on true"""
        found = await self._rows(statement, rows.values | matching.values | {"each": WINDOW, "most": most})
        return _places(found), found[0].seen < WINDOW

    async def _found(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        """Of all that the search finds."""
        search = self._query.search
        if search is None:
            return [], False
        stores = of_stores(self._query.stores, all_of_them=True)
        conditions = stores & self._filter
        statement = f"""with t as materialized (select distinct order_id from ({search.source}) f limit :most_found),
            h as materialized (select o.order_id, {self._sort.key} as k from t cross join lateral (
                select * from orders o where o.order_id = t.order_id offset 0) o
                where {conditions.sql} limit :most_hits)
            select (select count(*) from t) as found, (select count(*) from h) as seen, p.order_id, p.k
            {self._page_of_hits(after)}"""
        values = {**search.values, **conditions.values, "most_found": FOUND + 1}
        rows = await self._rows(statement, self._with_place(values, after, most))
        return _places(rows), rows[0].found <= FOUND and rows[0].seen <= HITS

    async def _collected(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        """Of all that the filter matches."""
        if self._plain:
            return [], False
        conditions = of_stores(self._query.stores, all_of_them=self._query.all_of_them) & self._filter
        limit = FOUND if self._search else HITS
        search = f"where {self._search.sql}" if self._search else ""
        statement = f"""with f as materialized (
                select o.order_id, o.number, o.email, o.customer_name, {self._sort.key} as k from orders o
                where {conditions.sql} limit :most_found),
            h as materialized (select o.order_id, o.k from f o {search} limit :most_hits)
            select (select count(*) from f) as found, (select count(*) from h) as seen, p.order_id, p.k
            {self._page_of_hits(after)}"""
        values = {**conditions.values, **(self._search.values if self._search else {}), "most_found": limit + 1}
        rows = await self._rows(statement, self._with_place(values, after, most))
        return _places(rows), rows[0].found <= limit and rows[0].seen <= HITS

    async def _walk(self, after: Place | None, most: int) -> list[Place]:
        matching = self._filter & self._search if self._search else self._filter
        rows = self._of_index(after, matching, "o.order_id")
        return _places(await self._rows(rows.sql, rows.values | {"each": most}))

    def _page_of_hits(self, after: Place | None) -> str:
        return f"""from (select 1) one left join lateral (
                select order_id, k from h where {self._past_place(after, "k").sql}
                order by k {self._way}, order_id {self._way} limit :most
            ) p on true"""

    def _with_place(self, values: dict[str, Any], after: Place | None, most: int) -> dict[str, Any]:
        return values | self._past_place(after, "k").values | {"most_hits": HITS + 1, "most": most}

    async def _rows(self, statement: str, values: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        return (await self._connection.execute(sa.text(statement), values)).all()


def _places(rows: Sequence[sa.Row[Any]]) -> list[Place]:
    return [(row.k, row.order_id) for row in rows if row.order_id is not None]
