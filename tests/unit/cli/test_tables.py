"""Tables on terminals of any width: nothing is cut, the least important columns are left out."""

from __future__ import annotations

import importlib
import io
import re
import sys

import pytest

from deploy.cli import console
from deploy.cli.console import LEAST_IMPORTANT, UNLIMITED, fitting, least_widths

ORDER = (
    "ORD-Q3NECM9FA1",
    "pending_payment",
    "failed",
    "unfulfilled",
    "1234.56 EUR",
    "Ada Lovelace",
    "1 × atlas",
    "now",
)
TABLES = {
    "orders": ("number", "status", "payment", "amount"),
    "lost": ("order", "what", "state", "why"),
    "parked": ("service", "key", "reason", "error"),
    "payments": ("order", "amount", "state", "why"),
    "undeliverable": ("id", "key", "error"),
    "game_servers": ("server", "name", "state", "what it said, or what to fix"),
    "attention": ("what", "subject", "command", "why"),
}
"""What a table must show on 80 columns, by the module that has it."""
LENGTHS = {
    **{
        "number": 14,
        "order": 14,
        "status": 15,
        "amount": 12,
        "state": 12,
        "key": 26,
        "why": 90,
        "error": 90,
        "reason": 9,
    },
    **{"command": 30, "what": 16, "subject": 14, "created": 19, "since": 19, "age": 4, "server": 10, "name": 16},
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, width: int | None, columns: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    out = Terminal() if width else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", str(width or 80))
    console.show_table(columns, rows)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_money_and_status_are_whole(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    columns = ("number", "status", "payment", "delivery", "amount", "customer", "items", "created")
    text = shown(monkeypatch, width, columns, ORDER)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for needed in ("ORD-Q3NECM9FA1", "pending_payment", "1234.56 EUR"):
        assert needed in text


def test_the_last_column_is_wrapped_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    why = "The provider answers 401 since 14:05. It does not accept the API key: set a new one."
    text = shown(monkeypatch, 60, ("order", "why"), ("ORD-1", why))
    assert "".join(text.split()).endswith("".join(why.split()))
    assert max(map(len, text.splitlines())) <= 60


def test_what_is_piped_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ("order", "offset", "why")
    text = shown(monkeypatch, None, columns, ("ORD-1", "17", "because " * 30))
    assert len(text.splitlines()) == 2
    assert "offset" in text
    assert len(text.splitlines()[1].rstrip()) < UNLIMITED


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown(monkeypatch, 40, ("order", "offset", "why"), ("O" * 20, "1" * 15, "w" * 60))
    assert "too narrow for offset" in capsys.readouterr().err


@pytest.mark.parametrize("module", TABLES)
def test_eighty_columns_show_the_essentials(module: str) -> None:
    columns: tuple[str, ...] = importlib.import_module(f"deploy.cli.{module}").COLUMNS
    widths = [max(len(column), LENGTHS.get(column, 10)) for column in columns]
    kept = [columns[index] for index in fitting(columns, least_widths(columns, widths), 80)]
    assert set(TABLES[module]) <= set(kept)


def test_columns_that_are_left_out_have_names_of_columns() -> None:
    assert len(set(LEAST_IMPORTANT)) == len(LEAST_IMPORTANT)
