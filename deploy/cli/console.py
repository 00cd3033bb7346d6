"""What commands print: messages on standard error; tables and JSON on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
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
    """On a narrow terminal the last column is cut first; elsewhere nothing is."""
    cells = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title or None, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in NUMERIC else "left"
        longest = max((len(row[index]) for row in cells), default=0)
        needed = max(len(column), longest if index < len(columns) - 1 else 0)
        table.add_column(column, justify=justify, no_wrap=True, min_width=needed)
    for row in cells:
        table.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else UNLIMITED).print(table)


def show_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of these fields; a long one is cut."""
    show_table(columns, [[str(row[column])[:LONGEST] for column in columns] for row in rows])


def show_fields(row: Mapping[str, Any]) -> None:
    """A line per field. Control characters are shown, not sent to the terminal."""
    for name, value in row.items():
        text = str(value)
        print(f"{name:<10} {text if text.isprintable() else repr(text)}")


counted = plurals.counted
LONGEST = 120
UNLIMITED = 2000
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
