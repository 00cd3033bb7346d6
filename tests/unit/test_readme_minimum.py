"""The README's minimum of settings is enough: every process starts with it, and commands find each of them."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from deploy.cli.errors import UsageError
from deploy.cli.top import Workers
from deploy.client.http import no_address
from deploy.settings import load_process_settings, load_system_settings
from services.registry import PROCESSES, SERVICES

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
URL = "postgresql://user:password@db/orders"


def minimum() -> dict[str, str]:
    """The variables of its block, with a value in place of each that is left open."""
    block = re.search(r"What to set .*?:\n\n```sh\n(.*?)```", README, re.DOTALL)
    assert block
    found: dict[str, str] = {}
    for line in block[1].splitlines():
        if line.startswith("export "):
            found |= dict(word.split("=", 1) for word in shlex.split(line, comments=True)[1:])
    return {name: filled(name, value) for name, value in found.items()}


def filled(name: str, value: str) -> str:
    return URL if value == "…" and name.endswith("DATABASE_URL") else value.replace("…", "a1" * 32)


@pytest.fixture(autouse=True)
def as_in_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ORDERBUS_"):
            monkeypatch.delenv(name)
    for name, value in minimum().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_has_its_settings_and_can_be_found(process: str) -> None:
    assert load_process_settings(process).edge(process).http_port
    assert no_address(load_system_settings(), process) == ""


def test_top_knows_where_each_service_is() -> None:
    assert Workers.of(load_system_settings()).known == {
        name: f"http://127.0.0.1:{8101 + n}" for n, name in enumerate(SERVICES)
    }


def test_top_names_the_settings_by_which_it_would_find_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERBUS_PAYMENTS__HTTP_PORT")
    with pytest.raises(UsageError) as wrong:
        Workers.of(load_system_settings())
    assert str(wrong.value) == (
        "unknown address: set ORDERBUS_PAYMENTS__HTTP_PORT, or ORDERBUS_PAYMENTS__INTERNAL_URL if it runs on another "
        "machine"
    )
