"""What commands print: messages on standard error; tables and JSON on standard output."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from rich.cells import cell_len
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
    """On a terminal that is too narrow, the least important columns are left out, and the last one is wrapped; where
    that is not enough, each row becomes lines of its own. Nothing is ever cut, and what goes into a file or a pipe is
    whole."""
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, (column, *(row[index] for row in cells)))) for index, column in enumerate(columns)]
    width = terminal_width()
    least = least_widths(columns, widths, cells) if width else widths
    kept = fitting(columns, least, width or wide(least))
    shown, rows_of_kept = [columns[index] for index in kept], [[row[index] for index in kept] for row in cells]
    if width and wide([least[index] for index in kept]) > width:
        _show_records(shown, rows_of_kept, title)
    else:
        room = shared_out([least[index] for index in kept], [widths[index] for index in kept], width or 0)
        _show_columns(shown, rows_of_kept, room, title)
    if left_out := [column for index, column in enumerate(columns) if index not in kept]:
        say(too_narrow(left_out))


def too_narrow(left_out: Iterable[str]) -> str:
    """Which columns a terminal does not show."""
    return f"This terminal is too narrow for {', '.join(left_out)}: --json has everything."


def _show_columns(columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], title: str) -> None:
    if title:
        show(title, 0)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column in NUMERIC else "left"
        table.add_column(column, justify=justify, width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, COLOURS.get(cell, "")) for cell in row))
    show_without_padding(table, max(wide(widths), 1))


def show_without_padding(table: Table, width: int) -> None:
    """A table without blanks at the ends of its lines."""
    target = Console(highlight=False, width=width)
    with target.capture() as captured:
        target.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _show_records(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """A line for each cell."""
    margin = max(map(len, columns), default=0) + GAP
    if title:
        show(title)
    for index, row in enumerate(rows):
        if index:
            print()
        for column, cell in zip(columns, row, strict=True):
            show(f"{column:<{margin}}{cell}".rstrip(), margin)


def terminal_width() -> int | None:
    """None where what is printed goes into a file or a pipe."""
    return Console().width if sys.stdout.isatty() else None


def wide(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)


def _wraps(columns: Sequence[str], index: int) -> bool:
    return index == len(columns) - 1 or columns[index] in WRAPPED


def least_widths(columns: Sequence[str], widths: Sequence[int], cells: Sequence[Sequence[str]] = ()) -> list[int]:
    """How narrow each column may become: the last one and those that are WRAPPED less than their longest cell; those
    that are PASTED no narrower than their longest word."""
    return [
        min(width, max(SHORTEST, _longest_word(cells, index) if column in PASTED else 0))
        if _wraps(columns, index)
        else width
        for index, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]


def _longest_word(cells: Sequence[Sequence[str]], index: int) -> int:
    return max((cell_len(word) for row in cells for word in row[index].split()), default=0)


def shared_out(least: Sequence[int], widths: Sequence[int], width: int) -> list[int]:
    """How wide columns are that need at least and at most so much: what is left of `width` goes to those that need the
    least of it first."""
    given, left = [*least], width - wide(least)
    hungry = sorted((index for index in range(len(least))), key=lambda index: widths[index] - least[index])
    for place, index in enumerate(hungry):
        more = min(widths[index] - least[index], max(0, left) // (len(hungry) - place))
        given[index] += more
        left -= more
    return given


def fitting(
    columns: Sequence[str], least: Sequence[int], width: int, leaves_out: Sequence[str] | None = None
) -> list[int]:
    """Which columns are shown, by index."""
    kept = [*range(len(columns))]
    for column in LEAST_IMPORTANT if leaves_out is None else leaves_out:
        if wide([least[index] for index in kept]) <= width:
            break
        kept = [index for index in kept if columns[index] != column]
    return kept


def show_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of these fields."""
    show_table(columns, [[row[column] for column in columns] for row in rows])


def show(line: str, margin: int | None = None) -> None:
    """A line of a page. A terminal that is too narrow for it gets it in several, between words, those after the first
    with this margin; 4 more than its own by default. A word that is longer is left whole."""
    width = terminal_width()
    if width is None or cell_len(line) <= width:
        print(line)
        return
    own = len(line) - len(line.lstrip())
    margin = min(own + 4 if margin is None else margin, width // 2)
    shown, *rest = re.findall(r"\s*\S+", line)
    for part in rest:
        word = part.lstrip()
        if cell_len(shown) + cell_len(part) <= width:
            shown += part
        else:
            print(shown)
            shown = " " * margin + word
    print(shown)


def visible(text: str) -> str:
    """On one line, and without what would control the terminal."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else repr(c)[1:-1] for c in text)


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
        show(f"{name:<10} {text if text.isprintable() else repr(text)}", 11)


counted = plurals.counted
GAP = 2
"""Blanks between two columns."""
SHORTEST = 16
"""How narrow a column that is wrapped may become."""
WRAPPED = frozenset(
    {"command", "subject", "events", "name", "product", "customer", "setting", "before", "after", "destination"}
    | {"page", "file", "stores", "state"}
)
"""Columns that are wrapped, as the last one of each table is."""
PASTED = frozenset({"command", "subject", "order", "key"})
"""Columns of what is given to the next command: their words are never torn."""
LEAST_IMPORTANT = (
    *(
        "card number",
        "offset",
        "topic",
        "bytes",
        "tested",
        "address",
        "position",
        "items",
        "version",
        "next probe",
        "next try",
    ),
    *("next", "tries", "attempts", "attempt", "type", "low since", "reserved", "delivery", "country", "customer"),
    *("currencies", "free", "on hand", "story", "actor", "by", "game", "kind", "age", "since", "lost at", "to"),
    *("created", "service", "store", "set at", "low below", "email", "events", "at"),
)
"""Columns that a narrow terminal leaves out, the first ones first."""
NUMERIC = {"age", "amount", "attempts", "bytes", "count", "offset", "waiting", "units", "free", "reserved", "on hand"}
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
