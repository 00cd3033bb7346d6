"""What PostgreSQL would refuse of a row, by its table's columns: the SQLSTATE, or an empty text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

_BOUNDS = ((sa.SmallInteger, 2**15), (sa.BigInteger, 2**63), (sa.Integer, 2**31))


def refusal(table: sa.Table, values: Mapping[str, Any]) -> str:
    for column in table.columns:
        problem = _of_column(column, values.get(column.name))
        if problem:
            return problem
    return ""


def _of_column(column: sa.Column[Any], value: Any) -> str:
    if value is None:
        return "" if column.nullable or column.server_default is not None else "23502"
    if isinstance(value, bytes):
        return "22P05" if rb"\u0000" in value else ""
    if isinstance(value, str):
        return "22021" if "\x00" in value else ""
    if isinstance(value, int) and not isinstance(value, bool):
        bound = next((bound for kind, bound in _BOUNDS if isinstance(column.type, kind)), None)
        return "22003" if bound is not None and not -bound <= value < bound else ""
    return ""
