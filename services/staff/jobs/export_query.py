"""The orders of an export as SQL: a row for each, in the order of the stores and of the orders' dates, whose cells
PostgreSQL writes itself. A worker that formed a million rows would hold up what else it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from services.staff.domain.export import COLUMNS, FORMULA, NEUTRAL, CellKind
from services.staff.jobs.selection import Selection
from services.staff.jobs.xlsx import Mark
from services.staff.order_conditions import DATE, Condition
from shared.core.money import CURRENCIES, exponent

_DIALECT: Dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
_EXPRESSIONS: Mapping[str, str] = {
    "order": "o.order_id",
    "date": DATE,
    "products": """(select string_agg(case when i.quantity = 1 then '' else i.quantity || ' × ' end || i.product, ', '
        order by i.item) from order_items i where i.order_id = o.order_id and i.kind <> 'delivery')""",
    "tags": """(select string_agg(substr(f, 5), ', ') from unnest(o.order_facets) f where f like 'tag:%')""",
    "transaction": """(select x.reference from transactions x where x.order_id = o.order_id and x.kind = 'charge'
        and x.reference is not null order by x.at desc limit 1)""",
}
"""Of columns that are no column of `orders`."""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "E'" + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + "'"


_FORMULA = _quoted(f"^[{FORMULA.replace('-', '')}-]")
_DECIMALS = {
    count: ", ".join(f"'{code}'" for code in sorted(CURRENCIES) if exponent(code) == count) for count in (0, 3)
}

LONGEST_CELL = 16_383
"""Characters of XLSX: a cell has at most 32,767 units of UTF-16, of which a character is one or two."""


def _money(expression: str) -> str:
    """Decimals of the order's currency, exactly: a quotient has at least as many decimals as its divisor."""
    return f"""case when o.currency in ({_DECIMALS[0]}) then {expression}::text
        when o.currency in ({_DECIMALS[3]}) then ({expression} / 1000.000)::numeric(30, 3)::text
        else ({expression} / 100.00)::numeric(30, 2)::text end"""


_AMOUNT_MARK = f"""case when o.currency in ({_DECIMALS[0]}) then '{Mark.AMOUNT_0}'
    when o.currency in ({_DECIMALS[3]}) then '{Mark.AMOUNT_3}' else '{Mark.AMOUNT_2}' end"""


def _csv_cell(name: str) -> str:
    expression = _EXPRESSIONS.get(name, f"o.{name}")
    match COLUMNS[name].kind:
        case CellKind.TEXT:
            return f"regexp_replace({expression}, {_FORMULA}, {_quoted(NEUTRAL)} || '\\&')"
        case CellKind.MONEY:
            return _money(expression)
        case CellKind.TIME:
            return f"to_char({expression} at time zone cast(:zone as text), 'YYYY-MM-DD HH24:MI:SS')"
        case CellKind.FLAG:
            return f"case when {expression} then 'yes' else 'no' end"
        case CellKind.NUMBER | CellKind.WORD:
            return expression


def _xlsx_cell(name: str) -> str:
    """Between two marks. What is missing is a cell without a value."""
    expression = _EXPRESSIONS.get(name, f"o.{name}")
    begin, end = f"'{Mark.VALUE}'", Mark.END_VALUE
    match COLUMNS[name].kind:
        case CellKind.TEXT:
            begin, end = f"'{Mark.TEXT}'", Mark.END_TEXT
            expression = f"translate(left({expression}, {LONGEST_CELL}), '{''.join(Mark)}', '')"
        case CellKind.WORD:
            begin, end = f"'{Mark.TEXT}'", Mark.END_TEXT
        case CellKind.MONEY:
            begin, expression = _AMOUNT_MARK, _money(expression)
        case CellKind.TIME:
            begin = f"'{Mark.TIME}'"
            expression = f"date_part('epoch', {expression} at time zone cast(:zone as text)) / 86400 + 25569"
        case CellKind.FLAG:
            begin, expression = f"'{Mark.FLAG}'", f"{expression}::int"
        case CellKind.NUMBER:
            pass
    return f"coalesce({begin} || ({expression}) || '{end}', '{Mark.MISSING}')"


@dataclass(frozen=True, slots=True)
class DriverStatement:
    """As the driver takes it."""

    sql: str
    values: Sequence[Any]

    @classmethod
    def of(cls, condition: Condition) -> Self:
        compiled = sa.text(condition.sql).compile(dialect=_DIALECT)
        return cls(str(compiled), [condition.values[name] for name in compiled.positiontup or ()])


@dataclass(frozen=True, slots=True)
class ExportedOrders:
    selection: Selection

    def count(self) -> DriverStatement:
        found = self.selection.condition()
        return DriverStatement.of(Condition(f"select count(*) from orders o where {found.sql}", found.values))

    def csv(self, columns: Sequence[str], zone: str) -> DriverStatement:
        """With the titles as names."""
        cells = ", ".join(f'{_csv_cell(name)} as "{COLUMNS[name].title}"' for name in columns)
        return self._rows(cells, zone)

    def xlsx(self, columns: Sequence[str], zone: str) -> DriverStatement:
        """One text for each row, in which marks stand for XML."""
        return self._rows(" || ".join(map(_xlsx_cell, columns)), zone)

    def _rows(self, cells: str, zone: str) -> DriverStatement:
        found = self.selection.condition()
        sql = f"select {cells} from orders o where {found.sql} order by o.store, {DATE}, o.order_id"
        return DriverStatement.of(Condition(sql, {**found.values, "zone": zone}))
