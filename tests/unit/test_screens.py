"""The screens in `docs/` are of today's commands and columns, and fit into 80 columns. Needs no run of the system."""

from __future__ import annotations

import re

from deploy.documents.screens import COLUMNS, PAGE, PROJECT, SCREENS, heading

TEXT = PAGE.read_text(encoding="utf-8")
SHOWN = re.findall(r"^## (orderbus [^\n]+)\n\n([^\n]*)\n\n```text\n(.*?)\n```$", TEXT, re.MULTILINE | re.DOTALL)
PAGES = ("order", "check", "doctor", "top")
"""Those without headings, and one whose headings can have several lines."""
AGAIN = "write them again: python -m deploy.documents.screens"


def test_they_are_of_each_command() -> None:
    assert [(name, what) for name, what, _ in SHOWN] == [
        (heading(command), what) for command, what in SCREENS.items()
    ], AGAIN


def test_they_fit_and_nothing_is_cut() -> None:
    """What is said on standard error is wrapped by the terminal."""
    lines = [line for _, _, text in SHOWN for line in text.splitlines()]
    shown = [line for line in lines if not line.startswith("This terminal is too narrow")]
    assert [line for line in shown if (len(line) > COLUMNS and len(line.split()) > 1) or "…" in line] == []


def test_their_columns_are_in_the_code() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "deploy/cli").rglob("*.py"))
    for name, _, text in SHOWN:
        if name.split()[1] not in PAGES and "  " in text.splitlines()[0]:
            columns = re.split(r"\s{2,}", text.splitlines()[0].strip())
            assert [each for each in columns if not re.search(rf"\b{each}\b", code)] == [], f"{name}: {AGAIN}"
