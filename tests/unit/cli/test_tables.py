"""Tables on terminals of any width: nothing is cut, the least important columns are left out."""

from __future__ import annotations

import ast
import importlib
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cli import console
from deploy.cli.console import LEAST_IMPORTANT, NUMERIC, WRAPPED
from tests.unit.cli.conftest import Terminal

FOLDER = Path(console.__file__).parent
CALLS = {"show_table": 0, "show_rows": 0, "show_page": 1}
"""What shows a table, and which of its arguments are the columns."""
WHY = "The provider answers 401 since 14:05. It does not accept the API key: set ORDERBUS_STRIPE__API_KEY."
AT = "2026-11-28 14:05:16"
CELLS = {
    **dict.fromkeys(("at", "since", "created", "opened", "lost at", "set at", "tested", "changed at", "due"), AT),
    **dict.fromkeys(("next", "next try", "next probe", "low since"), AT),
    **dict.fromkeys(("why", "why not", "error", "text", "reason", "result"), WHY),
    **dict.fromkeys(("before", "after", "value"), '["card", "bank_transfer", "invoice", "gift_card", "other_method"]'),
    **dict.fromkeys(("free", "reserved", "on hand", "low below"), "100000"),
    **dict.fromkeys(("attempt", "attempts", "tries", "count", "position"), "1000"),
    **dict.fromkeys(("number", "order"), "ORD-YUZ9IL61CN"),
    **dict.fromkeys(("name", "product", "shown as"), "Celestial navigation, the course with examination"),
    **dict.fromkeys(("store", "server", "connection"), "lighthouse-atelier"),
    **dict.fromkeys(("customer", "author", "by"), "Karen Jones-Featherstone"),
    **dict.fromkeys(("email", "sender"), "karen.jones.2-ecf346@customers.example"),
    **{"status": "pending_payment", "payment": "partially_refunded", "delivery": "partly_delivered"},
    **{"amount": "1234567.89 EUR", "items": "1 × navigation, 2 × compass, 1 × print", "country": "DE"},
    **{"service": "notifications", "what": "failed payment", "subject": "ORD-YUZ9IL61CN", "age": "12 min"},
    **{"command": "orderbus reopen ORD-YUZ9IL61CN --tries 1", "state": "unresolved", "units": "-100000"},
    **{"actor": "staff", "setting": "payment.methods_by_country", "carrier": "Deutsche Post", "of": "all stores"},
    **{"page": "https://www.dhl.de/en/privatkunden/pakete-empfangen/verfolgen.html?piececode={tracking}"},
    **{"endpoint": "we_f1ab241b581edc6d6d3f", "events": "order.created, order.updated, order.refunded"},
    **{"url": "https://hooks.lighthouse.example/orderbus/events", "bytes": "1048576", "role": "1187654321098765432"},
    **{"the bot can give it": "yes", "erased": "refused", "game": "minecraft"},
    **{"to": "karen.jones@customers.example", "key": "01a22040-dc40-7fc6-8207-23dc63ecf346", "kind": "SendWebhook"},
    **{"destination": "hooks.lighthouse.example", "id": "123456", "type": "checkout.payment_retried", "waiting": "12"},
    **{"topic": "storefront.checkouts.v1", "offset": "123456", "sku": "navigation", "story": "refunded_in_part"},
    **{"item": "12/2", "file": "atlas-second-edition.pdf", "address": "2001:db8:85a3:8d3:1319:8a2e:370:7348"},
    **{"with": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
    **{"stores": "lighthouse, lighthouse-fair, lighthouse-games", "card number": "4008260000003178"},
    **{"payment_method": "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"},
    **{"what happens": "asks for 3-D Secure, then is declined: insufficient_funds"},
    **{"prices": "19.00 EUR, 21.00 USD, 3000 JPY", "currencies": "EUR,USD,JPY"},
}
"""Of each column something as long as it gets."""
OTHERWISE = {
    **{"lost": {"state": "exhausted", "what": "order.refunded"}, "products": {"state": "not sold"}},
    **{"parked": {"reason": "unreadable"}, "stock": {"why": "reserved"}},
}
"""Where a column of that name has other things."""
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if "COLUMNS" in path.read_text(encoding="utf-8"))
TABLES = {
    f"{module}.{name}": columns
    for module in MODULES
    if module not in ("console", "top")
    for name, columns in vars(importlib.import_module(f"deploy.cli.{module}")).items()
    if name.endswith("COLUMNS")
}
ESSENTIAL = frozenset(
    {"number", "order", "status", "payment", "amount", "state", "why", "reason", "error", "what", "command", "subject"}
) | {"key", "sku", "product", "prices", "units", "text", "setting", "before", "after", "url", "endpoint", "server"}
"""What a narrow terminal shows, too: which one it is, money, status and reason."""


def shown(
    monkeypatch: pytest.MonkeyPatch, width: int | None, columns: tuple[str, ...], *rows: tuple[str, ...]
) -> list[str]:
    out = Terminal() if width else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", str(width or 80))
    console.show_table(columns, rows)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()


def example(table: str) -> tuple[str, ...]:
    cells = CELLS | OTHERWISE.get(table.partition(".")[0], {})
    return tuple(cells[column] for column in TABLES[table])


def left_out(capsys: pytest.CaptureFixture[str]) -> set[str]:
    said = re.search(r"too narrow for (.*): --json", capsys.readouterr().err)
    return set(said[1].split(", ")) if said else set()


def characters(*texts: str) -> Counter[str]:
    return Counter("".join("".join(texts).split()))


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("table", TABLES)
def test_no_table_cuts_what_it_shows_and_its_essentials_stay(
    table: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, row = TABLES[table], example(table)
    lines = shown(monkeypatch, width, columns, row)
    out = left_out(capsys)
    assert [line for line in lines if len(line) > width and len(line.split()) > 1] == []
    kept = [index for index, column in enumerate(columns) if column not in out]
    assert characters(*lines) == characters(*(columns[index] + row[index] for index in kept))
    assert not out & ESSENTIAL


@pytest.mark.parametrize("table", TABLES)
def test_eighty_columns_are_enough_for_a_table(
    table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In narrower terminals, and with cells that are longer still, a row is a line for each cell."""
    heading = shown(monkeypatch, 80, TABLES[table], example(table))[0]
    out = left_out(capsys)
    assert heading.split() == " ".join(column for column in TABLES[table] if column not in out).split()


@pytest.mark.parametrize("table", TABLES)
def test_what_is_piped_is_whole(
    table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = TABLES[table]
    row = tuple(cell * 20 for cell in example(table))
    lines = shown(monkeypatch, None, columns, row)
    assert [line.split() for line in lines] == [" ".join(columns).split(), " ".join(row).split()]
    assert not left_out(capsys)


def test_no_line_ends_with_blanks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (("o-1", "late", "x"), ("o-22", "", ""), ("o-3", "y" * 30, ""))
    for width in (None, 40, 80):
        lines = shown(monkeypatch, width, ("order", "state", "why"), *rows)
        assert [line for line in lines if line != line.rstrip()] == []


def test_a_title_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "60")
    title = "The shop is set up. What can be bought, and in which of its stores:"
    console.show_table(("sku", "why"), [("atlas", "one")], title=title)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert lines[:2] == ["The shop is set up. What can be bought, and in which of its", "stores:"]
    assert lines[2].split() == ["sku", "why"]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_what_is_given_to_the_next_command_is_never_torn(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    order = "01a22040-dc40-7fc6-8207-23dc63ecf346"
    columns = TABLES["attention.COLUMNS"]
    cells = dict(zip(columns, example("attention.COLUMNS"), strict=True))
    cells |= {"subject": order, "command": f"orderbus delivery mark-delivered {order} --reason TEXT"}
    lines = shown(monkeypatch, width, columns, tuple(cells[column] for column in columns))
    assert sum(line.count(order) for line in lines) == 2


def test_every_table_is_one_of_them() -> None:
    """Its columns have a name that ends with `COLUMNS`, by which the tests above find them."""
    others = [
        f"{path.name}:{call.lineno}"
        for path in FOLDER.glob("*.py")
        for call, columns in _tables_of(path)
        if path != Path(console.__file__) and not (isinstance(columns, ast.Name) and columns.id.endswith("COLUMNS"))
    ]
    assert others == []


def _tables_of(path: Path) -> Iterator[tuple[ast.Call, ast.expr]]:
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in CALLS:
                yield call, call.args[CALLS[name]]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_money_and_status_are_in_one_piece(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = shown(monkeypatch, width, TABLES["orders.COLUMNS"], example("orders.COLUMNS"))
    for needed in ("ORD-YUZ9IL61CN", "pending_payment", "1234567.89 EUR"):
        assert any(needed in line for line in lines)


def test_what_does_not_fit_in_a_line_gets_several(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(
        monkeypatch, 40, ("amount", "state", "why"), ("1" * 15, "s" * 15, "one two three four five six seven")
    ) == [
        "amount  111111111111111",
        "state   sssssssssssssss",
        "why     one two three four five six",
        "        seven",
    ]


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown(monkeypatch, 40, ("order", "offset", "why"), ("O" * 20, "1" * 15, "w" * 60))
    assert "too narrow for offset" in capsys.readouterr().err


def test_wide_characters_count_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 60, ("number", "customer", "why"), ("ORD-1", "山" * 40, "w" * 20))
    assert characters(*lines)["山"] == 40


def test_what_a_cell_holds_does_not_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, None, ("name",), ("one\ntwo\x1b[31m",))[1] == "one two\\x1b[31m"


def test_columns_that_are_treated_otherwise_are_columns() -> None:
    assert len(set(LEAST_IMPORTANT)) == len(LEAST_IMPORTANT)
    named = {column for columns in TABLES.values() for column in columns}
    assert {*LEAST_IMPORTANT, *WRAPPED, *NUMERIC} - named == {"version"} - named
