"""The statements that load, save and append the rows of a service's own tables, made once for each table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.shell.postgres.statements import Sql

_SHELL_COLUMNS = ("key", "version", "sequence", "data", "shape", "changed_at")


@cache
def own_columns(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.name not in _SHELL_COLUMNS)


@cache
def load_statement(table: sa.Table, lock: bool) -> Sql:
    """In key order, so that two workers that want the same rows wait for each other instead of dying of a deadlock."""
    return Sql(
        "select key, version, sequence, case when (key, version) not in "
        "(select * from unnest(cast(:known as text[]), cast(:versions as bigint[]))) then cast(data as text) end, "
        "shape "
        f"from {table.name} where key = any(cast(:keys as text[])) order by key {'for no key update' if lock else ''}"
    )


@cache
def search_statement(text: str) -> Sql:
    return Sql(text)


@cache
def save_statement(table: sa.Table) -> Sql:
    names = (*_SHELL_COLUMNS, *own_columns(table))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != "key")
    return Sql(
        f"insert into {table.name} as stored ({', '.join(names)}) select {cast_back(table, names)} "
        f"from unnest({arrays(table, names)}) as u({', '.join(names)}) "
        f"on conflict (key) do update set {changes} where stored.version = excluded.version - 1 "
        "returning true as result"
    )


@cache
def append_statement(table: sa.Table, names: tuple[str, ...]) -> Sql:
    return Sql(
        f"insert into {table.name} ({', '.join(names)}) select {cast_back(table, names)} "
        f"from unnest({arrays(table, names)}) as u({', '.join(names)})"
    )


def arrays(table: sa.Table, names: Sequence[str]) -> str:
    return ", ".join(f"cast(:{name} as {_wire_type(table.columns[name])}[])" for name in names)


def cast_back(table: sa.Table, names: Sequence[str]) -> str:
    return ", ".join(
        f"cast({name} as {_sql_type(table.columns[name])})" if _is_text_on_wire(table.columns[name]) else name
        for name in names
    )


def _is_text_on_wire(column: sa.Column[Any]) -> bool:
    """Arrays of arrays and of jsonb travel as text: `unnest` would flatten the one, the driver encode the other."""
    return isinstance(column.type, postgresql.JSONB | sa.JSON | sa.ARRAY | postgresql.ARRAY)


def _wire_type(column: sa.Column[Any]) -> str:
    return "text" if _is_text_on_wire(column) else _sql_type(column)


def _sql_type(column: sa.Column[Any]) -> str:
    return str(column.type.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


@cache
def text_columns(table: sa.Table) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if _is_text_on_wire(column))
