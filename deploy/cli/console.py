"""What commands share: a sentence for every error, JSON alone on standard output, tables for people."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

FAILED, WRONG = 1, 2
"""Exit codes: it did not work out; it was asked wrongly or cannot begin."""

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder of the embedded stack.", envvar="ORDERBUS_DATA"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else.")]
Actor = Annotated[str, typer.Option("--actor", help="Who asks, for the order's timeline.")]


class Failure(Exception):
    """Ends a command with one clear sentence."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work on an event loop."""
    asyncio.run(work)


def guarded(program: Callable[[], None]) -> int:
    """Run the program and turn every expected error into a sentence and an exit code."""
    try:
        program()
    except Failure as failure:
        say(str(failure))
        return failure.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        text = expected(error)
        if text is None:
            raise
        say(text[0])
        return text[1]
    return 0


def expected(error: BaseException) -> tuple[str, int] | None:
    """Text and exit code of an error that a person can do something about. The kinds are looked up only if their
    modules are loaded: otherwise it cannot be one of them."""
    kinds = {
        "WrongSettings": ("shared.settings", WRONG),
        "StackError": ("deploy.devstack.errors", WRONG),
        "ClientError": ("deploy.client.http", FAILED),
        "KafkaUnreachable": ("deploy.client.storefront", FAILED),
    }
    for name, (module, code) in kinds.items():
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return str(error), code
    if isinstance(error, BaseExceptionGroup):
        return expected(error.exceptions[0])
    return None


def say(text: str) -> None:
    """To a person, on standard error."""
    print(text, file=sys.stderr, flush=True)


def show_json(document: object, *, line: bool = False) -> None:
    """One JSON document, or with `line` one line of it."""
    import orjson  # noqa: PLC0415

    options = orjson.OPT_NON_STR_KEYS | (0 if line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(document, default=str, option=options).decode() + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=title or None, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in NUMERIC else "left"
        table.add_column(column, justify=justify, no_wrap=True, min_width=NARROWEST.get(column, 4))
    for row in rows:
        table.add_row(*(Text(str(cell), COLOURS.get(str(cell), "")) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


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
    from shared.core.money import decimal_string  # noqa: PLC0415

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
