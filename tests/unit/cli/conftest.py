from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from deploy.cli import main as command_line
from deploy.client import http
from shared.settings import PREFIX
from tests.unit.cli.services import FakeServices, Reply


@dataclass(frozen=True)
class Said:
    code: object
    out: str
    err: str


Orderbus = Callable[..., Said]


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServices]:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setattr(http, "PAUSE", 0.01)
    with FakeServices() as services:
        for name, value in services.environment.items():
            monkeypatch.setenv(name, value)
        yield services


@pytest.fixture
def orderbus(services: FakeServices, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Orderbus:
    """The command line, with these arguments, against the services."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["orderbus", *arguments])
        with pytest.raises(SystemExit) as exit:
            command_line.main()
        shown = capsys.readouterr()
        return Said(exit.value.code, shown.out, shown.err)

    return run


@pytest.fixture
def order(services: FakeServices) -> str:
    """The number of an order that checkout knows."""
    found = {"key": "o-1", "number": "ORD-1", "currency": "EUR", "store": "northwind"}
    for name in ("o-1", "ORD-1"):
        services.reply("checkout", f"GET /orders/{name}", Reply(found))
    return "ORD-1"


@pytest.fixture
def store(services: FakeServices) -> str:
    """The id of a store that checkout knows, with one webhook endpoint and one pool that a product uses."""
    services.reply("checkout", "GET /stores/maple", Reply({"name": "Maple"}))
    services.reply("notifications", "GET /stores/maple/webhooks", Reply({"webhooks": [{"endpoint": "we_1"}]}))
    services.reply("fulfillment", "GET /stores/maple/pools/games", Reply({"free": 2, "products": 1}))
    return "maple"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], io.StringIO]:
    """Standard output is a terminal so many columns wide, from now on."""

    def of(width: int) -> io.StringIO:
        out = Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setenv("COLUMNS", str(width))
        return out

    return of
