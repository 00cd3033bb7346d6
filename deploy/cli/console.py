"""What commands print: messages on standard error; tables and JSON on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared import plurals
from shared.core.money import decimal_string

NEWER = "(changed by a newer version)"
"""In place of what only a newer build can read."""


def say(text: str) -> None:
    """A message, on standard error."""
    print(text, file=sys.stderr, flush=True)


def show_json(document: object, *, line: bool = False) -> None:
    """A JSON document, indented, or on one `line`."""
    options = orjson.OPT_NON_STR_KEYS | (0 if line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(document, default=str, option=options).decode() + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """On a terminal that is too narrow, the least important columns are left out, and the last one is wrapped. Nothing
    is ever cut, and what goes into a file or a pipe is whole."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max([len(column), *(len(row[index]) for row in cells)]) for index, column in enumerate(columns)]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNLIMITED)
    least = least_widths(columns, widths)
    kept = fitting(columns, least, console.width)
    table = Table(title=title or None, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for index in kept:
        column = columns[index]
        justify: Literal["left", "right"] = "right" if column in NUMERIC else "left"
        wraps = index == len(columns) - 1 or column in WRAPPED
        table.add_column(column, justify=justify, no_wrap=not wraps, overflow="fold", min_width=least[index])
    for row in cells:
        table.add_row(*(Text(row[index], COLOURS.get(row[index], "")) for index in kept))
    console.print(table)
    if left_out := [column for index, column in enumerate(columns) if index not in kept]:
        say(f"This terminal is too narrow for {', '.join(left_out)}: --json has everything.")


def least_widths(columns: Sequence[str], widths: Sequence[int]) -> list[int]:
    """How narrow each column may become: the last one and those that are WRAPPED less than their longest cell."""
    last = len(columns) - 1
    return [
        min(width, SHORTEST) if index == last or columns[index] in WRAPPED else width
        for index, width in enumerate(widths)
    ]


def fitting(columns: Sequence[str], least: Sequence[int], width: int) -> list[int]:
    """Which columns are shown, by index."""
    kept = [*range(len(columns))]
    for column in LEAST_IMPORTANT:
        if sum(least[index] + GAP for index in kept) - GAP <= width:
            break
        kept = [index for index in kept if columns[index] != column or index == len(columns) - 1]
    return kept


def show_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of these fields; a long one is cut."""
    show_table(columns, [[str(row[column])[:LONGEST] for column in columns] for row in rows])


def show_page(
    what: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    cells: Callable[[Any], Sequence[object]],
    more: str,
) -> None:
    """A page of a list, and how to get the next one. `what`: of what, in the plural; `more`: the page's `next`."""
    if not rows:
        say(f"No {what} were found.")
        return
    show_table(columns, map(cells, rows))
    if more:
        say(f"There are more {what}: add --after {more}")


def items_in_words(items: Iterable[Mapping[str, Any]]) -> str:
    """`1 × atlas, 2 × mug`."""
    return ", ".join(f"{item['quantity']} × {item['sku']}" for item in items)


def show_fields(row: Mapping[str, Any]) -> None:
    """A line per field. Control characters are shown, not sent to the terminal."""
    for name, value in row.items():
        text = str(value)
        print(f"{name:<10} {text if text.isprintable() else repr(text)}")


counted = plurals.counted
LONGEST = 120
UNLIMITED = 2000
GAP = 2
"""Blanks between two columns."""
SHORTEST = 20
"""How narrow a column that is wrapped may become."""
WRAPPED = frozenset({"command", "subject", "events"})
"""Columns that are wrapped, as the last one of each table is."""
LEAST_IMPORTANT = (
    *("offset", "topic", "bytes", "tested", "address", "position", "items", "version", "next probe", "next try"),
    *("next", "tries", "attempts", "attempt", "type", "low since", "reserved", "delivery", "customer", "sender"),
    *("actor", "game", "kind", "age", "since", "lost at", "service", "to", "created"),
)
"""Columns that a narrow terminal leaves out, the first ones first."""
NUMERIC = {"age", "amount", "attempts", "bytes", "count", "offset", "waiting"}
COLOURS = {
    "completed": "green",
    "processing": "cyan",
    "pending_payment": "yellow",
    "created": "dim",
    "failed": "red bold",
    "cancelled": "red",
    "expired": "red",
    "refunded": "magenta",
    "delivered": "green",
    "ok": "green",
    "missing": "red",
}


def money(amount: int | None, currency: str) -> str:
    return f"{decimal_string(amount or 0, currency)} {currency}"


def clock(moment: str | None) -> str:
    """A timestamp in this machine's time zone, to the millisecond."""
    if not moment:
        return ""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S.%f")[:-3]


def day_and_clock(moment: str | None) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def details(entry: Mapping[str, Any], *names: str) -> str:
    return " · ".join(str(entry[name]) for name in names if entry.get(name))
