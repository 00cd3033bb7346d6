"""Sums by day on PostgreSQL: changed along with rows, made again from all of them, and compared with them.

Who changes sums or makes them again has locked their table before its statement begins to look: what another one has
changed of rows is then either all counted, or not at all and waits to be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.core.day_sums import QUARTER_SECONDS, of_month
from shared.shell.ports.read_models import DaySums, ReadModelTables
from shared.shell.postgres.statements import Sql

Change = tuple[str, int]
"""What a row adds, as JSON, and whether it does so from now on (1) or no longer (-1)."""


@cache
def lock_statement(sums: DaySums) -> Sql:
    """They are going to be changed: not while they are made again."""
    return Sql(f"lock table {sums.table.name} in row exclusive mode")


@cache
def change_statement(sums: DaySums) -> Sql:
    """In the order of keys, so that two workers wait for each other, and do not die of a deadlock."""
    given = (
        "select cast(d as jsonb) as data, s as sign from unnest(cast(:adds as text[]), cast(:signs as int[])) u(d, s)"
    )
    key, figures = _key(sums), sums.figures
    changes = ", ".join(f"{name} = s.{name} + excluded.{name}" for name in figures)
    some = " or ".join(f"sum(sign * {name}) <> 0" for name in figures)
    return Sql(
        f"insert into {sums.table.name} as s ({', '.join((*key, *figures))}) {_summed(sums, given)} "
        f"having {some} order by {', '.join(key)} on conflict ({', '.join(key)}) do update set {changes}"
    )


async def sum_again(connection: AsyncConnection, tables: ReadModelTables, store: str = "") -> None:
    """Of a store, or of all: within the connection's transaction. Workers that change them meanwhile wait."""
    for statement in again_statements(tables, of_store=bool(store)):
        await connection.execute(sa.text(statement), {"store": store} if ":store" in statement else {})


def again_statements(tables: ReadModelTables, *, of_store: bool = False) -> list[str]:
    """In one transaction. Some have `:store`, if it is of one."""
    sums = tables.sums
    assert sums is not None
    name, columns = sums.table.name, ", ".join((*_key(sums), *sums.figures))
    source = _all_rows(tables, " and {}->>'store' = :store" if of_store else "")
    return [
        "set local statement_timeout = 0",
        f"lock table {name} in exclusive mode",
        f"delete from {name}{' where store = :store' if of_store else ''}",
        f"insert into {name} ({columns}) {_summed(sums, source)}",
    ]


async def wrong_sums(connection: AsyncConnection, tables: ReadModelTables) -> list[str]:
    """Those that are not what the rows of one moment add up to, in words."""
    sums = tables.sums
    assert sums is not None
    key, table = _key(sums), sums.table.name
    differs = " or ".join(f"coalesce(kept.{name}, 0) <> coalesce(summed.{name}, 0)" for name in sums.figures)
    kept, summed = (", ".join(f"coalesce({side}.{name}, 0)" for name in sums.figures) for side in ("kept", "summed"))
    query = f"""
        select {", ".join(key)}, array[{kept}], array[{summed}]
        from ({_summed(sums, _all_rows(tables))}) summed full join {table} kept using ({", ".join(key)})
        where {differs} order by {", ".join(key)}
    """
    return [
        f"{table}: {_named(key, values)}: says {_differing(sums, told, there)}"
        for *values, told, there in await connection.execute(sa.text(query))
    ]


def _named(key: Sequence[str], values: Sequence[object]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(key, values, strict=True))


def _differing(sums: DaySums, told: Sequence[int], there: Sequence[int]) -> str:
    figures = zip(sums.figures, told, there, strict=True)
    return ", ".join(f"{name} {one}, the rows add up to {other}" for name, one, other in figures if one != other)


def _key(sums: DaySums) -> Sequence[str]:
    return tuple(column.name for column in sums.table.primary_key.columns)


def _all_rows(tables: ReadModelTables, condition: str = "") -> str:
    """`condition`: with `{}` for the column."""
    return " union all ".join(
        f"select {shown.adds} as data, 1 as sign from {shown.table.name} "
        f"where {shown.adds} is not null{condition.format(shown.adds)}"
        for shown in tables.shown
        if shown.adds
    )


def _summed(sums: DaySums, source: str) -> str:
    """`source`: selects `data` and `sign`."""
    kinds = ", ".join(f"{name} numeric" for name in sums.figures)
    found = ", ".join(f"coalesce(f.{name}, 0) as {name}" for name in sums.figures)
    totals = ", ".join(f"sum(sign * {name}) as {name}" for name in sums.figures)
    months = " or ".join(f"a.key = '{about}'" for about in sums.by_month) or "false"
    return (
        f"select {', '.join(_key(sums))}, {totals} from ("
        "select g.data->>'store' as store, p.about, p.day, a.value, g.data->>'currency' as currency, g.sign, "
        f"{found} from ({source}) g left join {sums.zones.name} z on z.store = g.data->>'store' "
        "cross join lateral jsonb_array_elements(g.data->'adds') as e(entry) "
        f"cross join lateral (select cast(to_timestamp(cast(e.entry->>0 as bigint) * {QUARTER_SECONDS}) "
        "at time zone coalesce(z.sums_zone, 'UTC') as date) as day) d "
        "cross join lateral jsonb_each_text(e.entry->1) as a(key, value) "
        "cross join lateral (select a.key as about, d.day union all "
        f"select a.key || '{of_month('')}', cast(date_trunc('month', d.day) as date) where {months}) p "
        f"cross join lateral jsonb_to_record(e.entry->2) as f({kinds})"
        f") each group by {', '.join(_key(sums))}"
    )
