"""The statements that write read models, made once for each table. See `read_models.py`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa

from shared.shell.ports.read_models import Counter, KeptTable, PartsTable, ShownTable
from shared.shell.postgres.row_statements import arrays, cast_back
from shared.shell.postgres.statements import Sql

POSITIONS = Sql("""
    select topic, partition, next_offset from read_positions
    where (topic, partition) in (select * from unnest(cast(:topics as text[]), cast(:partitions as int[])))
""")
_MOVES = "unnest(cast(:topics as text[]), cast(:partitions as int[]), cast(:froms as bigint[]), cast(:tos as bigint[]))"
MOVE = Sql(f"""
    update read_positions p set next_offset = u.until from {_MOVES} as u(topic, partition, since, until)
    where p.topic = u.topic and p.partition = u.partition and p.next_offset = u.since returning true
""")
BEGIN = Sql(f"""
    insert into read_positions (topic, partition, next_offset)
    select topic, partition, until from {_MOVES} as u(topic, partition, since, until) where since = 0
    on conflict do nothing returning true
""")
PARKED_KEYS = Sql("select distinct topic, key from parked where topic = any(cast(:topics as text[]))")
CATCH_UP = Sql("""
    delete from parked p using unnest(cast(:topics as text[]), cast(:keys as text[])) as u(topic, key)
    where p.key = any(cast(:keys as text[])) and p.topic = u.topic and p.key = u.key
""")
RELEASE = Sql("delete from parked where id = any(cast(:ids as bigint[]))")


@cache
def ensure_statement(shown: ShownTable) -> Sql:
    return Sql(
        f"insert into {shown.table.name} ({shown.key}) select k from unnest(cast(:keys as text[])) as u(k) order by k "
        "on conflict do nothing"
    )


@cache
def lock_statement(shown: ShownTable) -> Sql:
    """What is counted and added now, of rows that no other changes until the end of the transaction."""
    return Sql(
        f"select {shown.key} from {shown.table.name} where {shown.key} = any(cast(:keys as text[])) "
        f"order by {shown.key} for no key update"
    )


@cache
def show_statement(shown: ShownTable, names: tuple[str, ...], erased: bool) -> Sql:
    """Returns the keys of the rows that were replaced; of those that add to sums also whether they add something else
    than before, and what that was. In the order of keys, so that two workers seldom die of a deadlock."""
    table, key, counter = shown.table, shown.key, shown.counter
    listed = ", ".join(names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
    guard = "" if erased else f" where t.{shown.revision} < excluded.{shown.revision}"
    kept = _kept(shown)
    parts = [
        f"changed as (insert into {table.name} as t ({listed}) select {cast_back(table, names)} "
        f"from unnest({arrays(table, names)}) as u({listed}) order by {key} "
        f"on conflict ({key}) do update set {changes}{guard} "
        f"returning {', '.join(f't.{name}' for name in (key, shown.revision, *kept))})"
    ]
    if kept:
        before = f"select {key}, {', '.join(kept)} from {table.name} where {key} = any(cast(:{key} as text[]))"
        parts = [f"before as ({before})", *parts]
    if counter:
        parts.append(_counted(shown, counter))
    if not shown.adds:
        return Sql(f"with {', '.join(parts)} select {key} from changed")
    added = f"b.{shown.adds} is distinct from changed.{shown.adds}, cast(b.{shown.adds} as text)"
    return Sql(f"with {', '.join(parts)} select {key}, {added} from changed left join before b using ({key})")


def _kept(shown: ShownTable) -> Sequence[str]:
    """The columns of which must be known what they were: see `lock_statement`."""
    return (*(shown.counter.columns if shown.counter else ()), *((shown.adds,) if shown.adds else ()))


def _counts(counter: Counter, row: str = "") -> str:
    """A row that is blank, or that another kind of row made, is not counted."""
    return " and ".join(f"{row}{name} <> ''" for name in counter.columns)


def _counted(shown: ShownTable, counter: Counter) -> str:
    columns = ", ".join(counter.columns)
    gone = ", ".join(f"b.{name}" for name in counter.columns)
    return (
        f"counted as (insert into {counter.table.name} as c ({columns}, count) "
        f"select {columns}, sum(n) from ("
        f"select {columns}, 1 as n from changed where {_counts(counter)} "
        f"union all select {gone}, -1 from before b join changed using ({shown.key}) where {_counts(counter, 'b.')}) d "
        f"group by {columns} having sum(n) <> 0 order by {columns} "
        f"on conflict ({columns}) do update set count = c.count + excluded.count)"
    )


@cache
def drop_parts_statement(parts: PartsTable, key: str) -> Sql:
    """What belonged to these keys, and no longer does."""
    table, own = parts.table, primary_key(parts.table)
    return Sql(
        f"delete from {table.name} p where p.{key} = any(cast(:changed as text[])) and not exists ("
        f"select from unnest({arrays(table, own)}) as u({', '.join(own)}) "
        f"where {' and '.join(f'u.{name} = p.{name}' for name in own)})"
    )


@cache
def put_parts_statement(parts: PartsTable, names: tuple[str, ...]) -> Sql:
    table, own = parts.table, primary_key(parts.table)
    listed, others = ", ".join(names), [name for name in names if name not in own]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    as_before = (
        f"({', '.join(f'p.{name}' for name in others)}) is distinct from "
        f"({', '.join(f'excluded.{name}' for name in others)})"
    )
    action = f"update set {changes} where {as_before}" if others else "nothing"
    return Sql(
        f"insert into {table.name} as p ({listed}) select {cast_back(table, names)} "
        f"from unnest({arrays(table, names)}) as u({listed}) order by {', '.join(own)} "
        f"on conflict ({', '.join(own)}) do {action}"
    )


@cache
def keep_statement(kept: KeptTable, names: tuple[str, ...]) -> Sql:
    table, listed = kept.table, ", ".join(names)
    return Sql(
        f"insert into {table.name} ({listed}) select {cast_back(table, names)} "
        f"from unnest({arrays(table, names)}) as u({listed}) on conflict do nothing"
    )


def primary_key(table: sa.Table) -> Sequence[str]:
    return tuple(column.name for column in table.primary_key.columns)
