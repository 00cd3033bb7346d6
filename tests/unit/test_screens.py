"""The screens in `docs/` are of today's commands and columns, and fit into 80 columns. Needs no run of the system."""

from __future__ import annotations

import re

from deploy.documents.screens import COLUMNS, PAGE, PROJECT, SCREENS

TEXT = PAGE.read_text(encoding="utf-8")
SHOWN = re.findall(r"^## orderbus (\w+)\n\n([^\n]*)\n\n```text\n(.*?)\n```$", TEXT, re.MULTILINE | re.DOTALL)
OTHERS = ("order", "top")
"""A page whose lines the terminal wraps; and a table whose headings are shortened."""
AGAIN = "write them again: python -m deploy.documents.screens"


def test_they_are_of_each_command() -> None:
    assert [(name, what) for name, what, _ in SHOWN] == [(c.split()[0], what) for c, what in SCREENS.items()], AGAIN


def test_they_fit_and_nothing_is_cut() -> None:
    lines = [line for name, _, text in SHOWN if name not in OTHERS for line in text.splitlines()]
    tables = [line for line in lines if not line.startswith("This terminal is too narrow")]
    assert [line for line in tables if len(line) > COLUMNS or "…" in line] == []


def test_their_columns_are_in_the_code() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "deploy/cli").rglob("*.py"))
    for name, _, text in SHOWN:
        if name not in OTHERS:
            columns = re.split(r"\s{2,}", text.splitlines()[0].strip())
            assert [each for each in columns if not re.search(rf"\b{each}\b", code)] == [], f"{name}: {AGAIN}"
