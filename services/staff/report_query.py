"""The sums by day that a report is made of, read from `day_sums`, and the zones in which their days are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.report import Period, SumRow, Table

ZONES = sa.text("""
    select s.store, coalesce(t.sums_zone, 'UTC'),
        cast(now() at time zone coalesce(t.sums_zone, 'UTC') as date) as today
    from unnest(cast(:stores as text[])) as s(store) left join stores t using (store) order by s.store
""")
NAMES = sa.text("""
    select v.sku, (
        select i.product from order_items i where i.store = any(cast(:stores as text[])) and i.sku = v.sku limit 1
    ) from unnest(cast(:values as text[])) as v(sku)
""")


async def zones_of(connection: AsyncConnection, stores: Sequence[str]) -> tuple[Mapping[str, str], date]:
    """The zone of each store, and the latest day that has begun in one of them."""
    rows = (await connection.execute(ZONES, {"stores": list(stores) or [""]})).all()
    return {store: zone for store, zone, _ in rows if store}, max(today for *_, today in rows)


async def sums_of(
    connection: AsyncConnection,
    stores: Sequence[str],
    table: Table,
    period: Period,
    currencies: Sequence[str],
    *,
    by_day: bool,
) -> list[SumRow]:
    """Of a period and the one before, by day or by value. Sums of several days may exceed what a bigint holds."""
    before, columns = period.before(), table.columns
    label, sums = "day" if by_day else "value", ", ".join(f"sum({name})" for name in columns)
    of_currencies = " and currency = any(cast(:currencies as text[]))" if currencies else ""
    statement = f"""select day < :first, {label}, currency, {sums} from day_sums
        where store = any(cast(:stores as text[])) and about = :about and day between :first_before and :last
        {of_currencies} group by 1, 2, 3"""
    values = {
        "stores": list(stores),
        "about": table.about,
        "first": period.first,
        "first_before": before.first,
        "last": period.last,
    }
    values |= {"currencies": list(currencies)} if currencies else {}
    found = (await connection.execute(sa.text(statement), values)).all()
    return [SumRow(row[0], row[1], row[2], dict(zip(columns, map(int, row[3:]), strict=True))) for row in found]


async def product_names(connection: AsyncConnection, stores: Sequence[str], skus: Sequence[str]) -> Mapping[str, str]:
    """As one of their orders has them."""
    rows = await connection.execute(NAMES, {"stores": list(stores), "values": list(skus)})
    return {sku: name for sku, name in rows if name}
