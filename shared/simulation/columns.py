"""What PostgreSQL would refuse of a row, by its table's columns: the SQLSTATE, or an empty text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

_BOUNDS = ((sa.SmallInteger, 2**15), (sa.BigInteger, 2**63), (sa.Integer, 2**31))


def refusal(table: sa.Table, values: Mapping[str, Any]) -> str:
    for name, optional, bound in _columns(table):
        value = values.get(name)
        if value is None:
            if not optional:
                return "23502"
        elif problem := _of_value(value, bound):
            return problem
    return ""


@cache
def _columns(table: sa.Table) -> tuple[tuple[str, bool, int], ...]:
    """Name, whether it may be null, and the bound of whole numbers (0 where it holds something else)."""
    return tuple(
        (
            column.name,
            bool(column.nullable) or column.server_default is not None,
            next((bound for kind, bound in _BOUNDS if isinstance(column.type, kind)), 0),
        )
        for column in table.columns
    )


def _of_value(value: Any, bound: int) -> str:
    match value:
        case bytes():
            return "22P05" if rb"\u0000" in value else ""
        case str():
            return "22021" if "\x00" in value else ""
        case int() if bound and not -bound <= value < bound:
            return "22003"
    return ""
