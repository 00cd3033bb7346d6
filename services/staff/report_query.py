"""The sums by day that a report is made of, read from `day_sums`, and the zones in which their days are counted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.report import Period, SumRow, Table
from services.staff.storage import BY_MONTH
from shared.core.day_sums import of_month

ZONES = sa.text("""
    select s.store, coalesce(t.sums_zone, 'UTC'),
        cast(now() at time zone coalesce(t.sums_zone, 'UTC') as date) as today
    from unnest(cast(:stores as text[])) as s(store) left join stores t using (store) order by s.store
""")
SET_ZONES = sa.text("""
    select distinct coalesce(t.time_zone, 'UTC') from unnest(cast(:stores as text[])) as s(store)
    left join stores t using (store)
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


async def set_zones(connection: AsyncConnection, stores: Collection[str]) -> Collection[str]:
    """The zones of these stores, as they are set; UTC where none is."""
    return (await connection.execute(SET_ZONES, {"stores": sorted(stores)})).scalars().all()


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
    columns = table.columns
    label, sums = "day" if by_day else "value", ", ".join(f"sum({name})" for name in columns)
    of_currencies = " and s.currency = any(cast(:currencies as text[]))" if currencies else ""
    statement = f"""select r.before, s.{label}, s.currency, {sums}
        from unnest(cast(:befores as bool[]), cast(:abouts as text[]), cast(:firsts as date[]), cast(:lasts as date[]))
            as r(before, about, first, last)
        join day_sums s on s.store = any(cast(:stores as text[])) and s.about = r.about
            and s.day between r.first and r.last{of_currencies}
        group by 1, 2, 3"""
    ranges = [*_ranges(table, period, by_day=by_day, before=False)]
    ranges += _ranges(table, period.before(), by_day=by_day, before=True)
    values = {f"{name}s": [getattr(one, name) for one in ranges] for name in _Range._fields} | {"stores": list(stores)}
    values |= {"currencies": list(currencies)} if currencies else {}
    found = (await connection.execute(sa.text(statement), values)).all()
    return [SumRow(row[0], row[1], row[2], dict(zip(columns, map(int, row[3:]), strict=True))) for row in found]


class _Range(NamedTuple):
    before: bool
    about: str
    first: date
    last: date


def _ranges(table: Table, period: Period, *, by_day: bool, before: bool) -> Iterator[_Range]:
    """What is summed by month, too, is read by whole months where it can be."""
    months, days = (None, [period]) if by_day or table.about not in BY_MONTH else period.parts()
    if months:
        yield _Range(before, of_month(table.about), *months)
    for each in days:
        yield _Range(before, table.about, *each)


async def product_names(connection: AsyncConnection, stores: Sequence[str], skus: Sequence[str]) -> Mapping[str, str]:
    """As one of their orders has them."""
    rows = await connection.execute(NAMES, {"stores": list(stores), "values": list(skus)})
    return {sku: name for sku, name in rows if name}
