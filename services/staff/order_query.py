"""Pages of orders, from their indexes.

Three ways to a page, and the first that is sure to have it whole is taken:

1. the first orders of the sort's index are looked through (a filter that many orders match);
2. all that match are collected, unless they are too many, and sorted (a filter that few match);
3. the sort's index is walked till the page is full.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
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
LIKELY = 2
"""So many times as many are supposed to match, and are collected nonetheless: it is only an estimate."""
FOUND = 5000
"""At most so many that a search finds are compared with the rest of the filter, or the other way round."""
FOUND_MOST = 25_000
"""So many, if both are more: few may match both, and a walk would be long."""
SEARCH_WINDOW = 500
"""The same of a search, for which the texts of each are looked up."""
MERGED_STORES = 16
"""The index has its stores one after the other. So many are merged while they are read; of more, each is read."""
COLUMNS = ", ".join(
    f"o.{name}"
    for name in (
        *("order_id", "store", "number", "email", "customer_name", "payment_status", "total"),
        *("placed_at", "created_at", "updated_at", "facets"),
    )
)
"""Of which the conditions and sorts are made."""
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
        return await _Pages(connection, query, SORTS[query.sort], query.descending).page(after, most)
    if query.search is not None or await _estimated(connection, query) < LIKELY * HITS:
        pages = _Pages(connection, query, BY_DATE, True, _ByPaymentStatus(query.descending))
        places, whole = await pages.collected(after, most)
        if whole:
            return places
    return [place async for place in _by_payment_status(connection, query, after, most)]


async def _estimated(connection: AsyncConnection, query: OrderQuery) -> float:
    """How many orders match the filter, as PostgreSQL supposes."""
    conditions = of_stores(query.stores, all_of_them=query.all_of_them) & of_filter(query.wanted)
    statement = sa.text(f"explain (format json) select from orders o where {conditions.sql}")
    found = (await connection.execute(statement, conditions.values)).scalar_one()
    plan = orjson.loads(found) if isinstance(found, str) else found
    return float(plan[0]["Plan"]["Plan Rows"])


async def _by_payment_status(
    connection: AsyncConnection, query: OrderQuery, after: Place | None, most: int
) -> AsyncIterator[Place]:
    """One status after the other, in the order of `PaymentStatus`; within one, the newest first."""
    statuses = list(reversed(PAYMENT_STATUSES) if query.descending else PAYMENT_STATUSES)
    if after is not None:
        statuses = statuses[statuses.index(str(after[0])) :] if after[0] in statuses else []
    for status in statuses:
        narrowed = replace(query, wanted=query.wanted.narrowed(f"payment:{status}"))
        pages = _Pages(connection, narrowed, BY_DATE, True, payment_status=status)
        begin = after[1:] if after is not None and after[0] == status else None
        for place in await pages.page(begin, most):
            yield (status, *place)
            most -= 1
        if most <= 0:
            return


class _ByKey:
    """The order of collected rows by the sort's key `k`."""

    def __init__(self, sort: Sort, descending: bool) -> None:
        self._sort, (self._way, self._past) = sort, ("desc", "<") if descending else ("asc", ">")
        self.columns = f"{sort.key} as k"
        self.by = f"k {self._way}, order_id {self._way}"

    def past(self, after: Place | None, key: str = "k") -> Condition:
        if after is None:
            return Condition("true")
        sql = f"({key}, order_id) {self._past} (cast(:after_key as {self._sort.sql_type}), cast(:after_id as text))"
        return Condition(sql, {"after_key": after[0], "after_id": after[1]})

    def place(self, row: sa.Row[Any]) -> Place:
        return row.k, row.order_id


class _ByPaymentStatus:
    """By the place of the payment's status, then by date."""

    def __init__(self, descending: bool) -> None:
        sign = "-" if descending else ""
        self._rank = f"{sign}array_position(array{list(PAYMENT_STATUSES)}, {{}})"
        self.columns = f"o.payment_status as status, {self._rank.format('o.payment_status')} as rank, {DATE} as k"
        self.by = "rank, k desc, order_id desc"

    def past(self, after: Place | None) -> Condition:
        if after is None:
            return Condition("true")
        rank = self._rank.format("cast(:after_status as text)")
        later = "(k, order_id) < (cast(:after_key as timestamptz), cast(:after_id as text))"
        values = dict(zip(("after_status", "after_key", "after_id"), after, strict=True))
        return Condition(f"(rank > {rank} or (rank = {rank} and {later}))", values)

    def place(self, row: sa.Row[Any]) -> Place:
        return row.status, row.k, row.order_id


class _Pages:
    """Of one sort."""

    def __init__(
        self,
        connection: AsyncConnection,
        query: OrderQuery,
        sort: Sort,
        descending: bool,
        order: _ByPaymentStatus | None = None,
        payment_status: str = "",
    ) -> None:
        """`order`: of collected rows, if it is not that of the sort's index. `payment_status`: of this one only, of
        which too many are found to be collected together with the others."""
        self._connection, self._query, self._sort = connection, query, sort
        self._in_index, self._way = _ByKey(sort, descending), "desc" if descending else "asc"
        self._order = order or self._in_index
        search = query.search
        self._filter = of_filter(query.wanted)
        self._search = Condition(search.check, search.values) if search else None
        self._matching = self._filter & self._search if self._search else self._filter
        self._status = payment_status
        plain = OrderFilter().narrowed(f"payment:{payment_status}") if payment_status else OrderFilter()
        self._plain = query.wanted == plain

    async def page(self, after: Place | None, most: int) -> list[Place]:
        if self._plain and not self._search:
            return await self._walk(after, most)
        if len(self._query.stores) <= MERGED_STORES:
            places, whole = await self._window(after, most)
            if whole or len(places) >= most:
                return places
        places, whole = await self.collected(after, most)
        return places if whole else await self._walk(after, most)

    async def collected(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        """Of all that match, and whether they are not too many."""
        ways: list[Callable[[Place | None, int], Awaitable[tuple[list[Place], bool]]]]
        ways = [self._found] if self._search and not self._status else []
        ways += [] if self._plain else [self._filtered]
        for way in ways:
            places, whole = await way(after, most)
            if whole:
                return places, True
        if len(ways) > 1:
            return await self._found(after, most, FOUND_MOST)
        return [], False

    def _rows_of_index(self, after: Place | None, further: Condition, columns: str) -> Condition:
        """The rows of each store in the order of the index, from the place on."""
        conditions = further & self._in_index.past(after, self._sort.key)
        if self._status:
            conditions = conditions & Condition("o.payment_status = :of_status", {"of_status": self._status})
        row = f"select {columns}, {self._sort.key} as k from orders o where o.store = {{}} and {conditions.sql}"
        stores, by = self._query.stores, self._in_index.by
        names = {f"store_{number}": store for number, store in enumerate(stores)}
        if len(stores) <= MERGED_STORES:  # read as far as the merged rows need
            of_each = f"({row} order by k {self._way}, o.order_id {self._way} limit :each)"
            rows = " union all ".join(of_each.replace("{}", f":{name}") for name in names)
            return Condition(f"select * from ({rows}) x order by {by} limit :each", conditions.values | names)
        return Condition(
            f"""select x.* from unnest(cast(:stores as text[])) as s(store) cross join lateral (
                    {row.replace("{}", "s.store")} order by k {self._way}, o.order_id {self._way} limit :each
                ) x order by {by} limit :each""",
            conditions.values | {"stores": list(stores)},
        )

    async def _window(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        """Of the next rows of the index, those that match; whether there are no more."""
        size = SEARCH_WINDOW if self._search else WINDOW
        rows = self._rows_of_index(after, Condition("true"), COLUMNS)
        statement = f"""with w as materialized ({rows.sql})
            select (select count(*) from w) as seen, p.order_id, p.k from (select 1) one left join lateral (
                select o.order_id, o.k from w o where {self._matching.sql}
                order by {self._in_index.by} limit :most
            ) p on true"""
        found = await self._rows(statement, rows.values | self._matching.values | {"each": size, "most": most})
        return _places(found, self._in_index), found[0].seen < size

    async def _found(self, after: Place | None, most: int, most_found: int = 0) -> tuple[list[Place], bool]:
        """Of all that the search finds."""
        search = self._query.search
        assert search is not None
        conditions = of_stores(self._query.stores, all_of_them=True) & self._filter
        statement = f"""with t as materialized (select distinct order_id from ({search.source}) f limit :most_found),
            h as materialized (select o.order_id, {self._order.columns} from t cross join lateral (
                select {COLUMNS} from orders o where o.order_id = t.order_id offset 0) o
                where (select count(*) from t) < :most_found and {conditions.sql} limit :most_hits)
            select (select count(*) from t) as found, {self._page_of_hits(after)}"""
        limit = most_found or FOUND
        values = {**search.values, **conditions.values, "most_found": limit + 1}
        return await self._hits(statement, values, after, most, limit)

    async def _filtered(self, after: Place | None, most: int) -> tuple[list[Place], bool]:
        """Of all that the filter matches."""
        conditions = of_stores(self._query.stores, all_of_them=self._query.all_of_them) & self._filter
        limit = FOUND if self._search else HITS
        search = f"where (select count(*) from f) < :most_found and {self._search.sql}" if self._search else ""
        statement = f"""with f as materialized (
                select o.order_id, o.number, o.email, o.customer_name, {self._order.columns} from orders o
                where {conditions.sql} limit :most_found),
            h as materialized (select o.* from f o {search} limit :most_hits)
            select (select count(*) from f) as found, {self._page_of_hits(after)}"""
        values = {**conditions.values, **(self._search.values if self._search else {}), "most_found": limit + 1}
        return await self._hits(statement, values, after, most, limit)

    async def _walk(self, after: Place | None, most: int) -> list[Place]:
        rows = self._rows_of_index(after, self._matching, "o.order_id")
        return _places(await self._rows(rows.sql, rows.values | {"each": most}), self._in_index)

    def _page_of_hits(self, after: Place | None) -> str:
        return f"""(select count(*) from h) as seen, p.* from (select 1) one left join lateral (
                select * from h where {self._order.past(after).sql} order by {self._order.by} limit :most
            ) p on true"""

    async def _hits(
        self, statement: str, values: dict[str, Any], after: Place | None, most: int, most_found: int
    ) -> tuple[list[Place], bool]:
        further = self._order.past(after).values | {"most_hits": HITS + 1, "most": most}
        rows = await self._rows(statement, values | further)
        return _places(rows, self._order), rows[0].found <= most_found and rows[0].seen <= HITS

    async def _rows(self, statement: str, values: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        return (await self._connection.execute(sa.text(statement), values)).all()


def _places(rows: Sequence[sa.Row[Any]], order: _ByKey | _ByPaymentStatus) -> list[Place]:
    return [order.place(row) for row in rows if row.order_id is not None]
