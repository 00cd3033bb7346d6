"""The table of exit codes in docs/attention.md has every code that a command can end with, and no other."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from deploy.cli.services import INCOMPLETE
from shared.errors import ReportedError

PROJECT = Path(__file__).resolve().parents[2]
DONE, INTERRUPTED = 0, 130


def documented() -> list[int]:
    text = (PROJECT / "docs/attention.md").read_text().split("## Exit codes")[1]
    return [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]


def below(error: type[ReportedError]) -> Iterator[type[ReportedError]]:
    yield error
    for more in error.__subclasses__():
        yield from below(more)


def errors() -> Iterator[type[ReportedError]]:
    """Of all modules that set a code."""
    for folder in ("deploy", "services", "shared"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            if re.search(r"^    exit_code\b", file.read_text(), re.MULTILINE):
                importlib.import_module(".".join(file.relative_to(PROJECT).with_suffix("").parts))
    yield from below(ReportedError)


def test_the_table_has_every_code_and_no_other() -> None:
    used = {error.exit_code for error in errors() if error.__module__.startswith(("deploy", "services", "shared"))}
    assert documented() == sorted(used | {DONE, INCOMPLETE, INTERRUPTED})


def test_codes_that_are_written_as_numbers_are_in_the_table() -> None:
    numbers = {
        int(code)
        for file in (PROJECT / "deploy/cli").glob("*.py")
        for groups in re.findall(r"(?:typer\.Exit|sys\.exit)\((\d+)\)|Failure\(.*, (\d+)\)", file.read_text())
        for code in groups
        if code
    }
    assert numbers <= set(documented())
