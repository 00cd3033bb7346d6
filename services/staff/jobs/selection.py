"""The orders of a job: all that match a filter, or those that are named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.jobs.requests import JobRequest
from services.staff.order_conditions import Condition, Search, of_filter, of_stores
from services.staff.order_list import query_within
from services.staff.order_query import OrderQuery, known_stores

EVERY = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Selection:
    query: OrderQuery
    orders: Sequence[str] = ()
    """These alone, by id. Empty: all that match."""

    def condition(self) -> Condition:
        """About a row `o`."""
        query = self.query
        found = of_stores(query.stores, all_of_them=query.all_of_them) & of_filter(query.wanted)
        if self.orders:
            found &= Condition("o.order_id = any(cast(:orders as text[]))", {"orders": list(self.orders)})
        return found & _searched(query.search) if query.search else found


async def selection_of(connection: AsyncConnection, stores: Collection[str], request: JobRequest) -> Selection:
    """`stores`: no others."""
    others = set(await known_stores(connection)) - set(stores)
    query = await query_within(connection, sorted(stores), request.filter, all_of_them=not others)
    return Selection(query, request.orders)


def _searched(search: Search) -> Condition:
    """All that a search finds, however many they are."""
    sql = f"o.order_id in (select f.order_id from ({search.source}) f)"
    return Condition(sql, {**search.values, "most_found": EVERY})
