"""What commands print: sentences for people on standard error, tables, JSON alone on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.core.money import decimal_string


def say(text: str) -> None:
    """To a person, on standard error."""
    print(text, file=sys.stderr, flush=True)


def show_json(document: object, *, line: bool = False) -> None:
    """One JSON document, or with `line` one line of it."""
    options = orjson.OPT_NON_STR_KEYS | (0 if line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(document, default=str, option=options).decode() + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    table = Table(title=title or None, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in NUMERIC else "left"
        table.add_column(column, justify=justify, no_wrap=True, min_width=NARROWEST.get(column, 4))
    for row in rows:
        table.add_row(*(Text(str(cell), COLOURS.get(str(cell), "")) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def show_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of these fields; a long one is cut."""
    show_table(columns, [[str(row[column])[:LONGEST] for column in columns] for row in rows])


def show_fields(row: Mapping[str, Any]) -> None:
    """A line per field."""
    for name, value in row.items():
        print(f"{name:<10} {value}")


LONGEST = 120
NARROWEST = {"number": 14, "status": 15, "key": 36}
NUMERIC = {"total", "paid", "amount", "refunded", "attempts", "offset"}
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
    """A time stamp in this machine's time zone, to the millisecond."""
    if not moment:
        return ""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S.%f")[:-3]


def day_and_clock(moment: str | None) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def details(entry: Mapping[str, Any], *names: str) -> str:
    return " · ".join(str(entry[name]) for name in names if entry.get(name))
