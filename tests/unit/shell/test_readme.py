"""The shell's README leads to what it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.test_architecture import ROOT, sources

SHELL = ROOT / "shared/shell"
TEXT = (SHELL / "README.md").read_text(encoding="utf-8")
FILE = re.compile(r"`([\w/]+\.py)`(?:: `(\w+)`)?")


@pytest.mark.parametrize(("file", "name"), sorted(set(FILE.findall(TEXT))))
def test_every_file_is_there_and_holds_what_is_said_of_it(file: str, name: str) -> None:
    found = [path for path in (ROOT / file, *SHELL.rglob(Path(file).name)) if path.is_file() and path.match(f"*{file}")]
    assert found, f"there is no {file}"
    if name:
        assert any(re.search(rf"\b(def|class) {name}\b", path.read_text(encoding="utf-8")) for path in found)


def test_every_statement_and_function_that_it_names_exists() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in sources("shared"))
    names = {name for name in re.findall(r"`(_?\w+)`", TEXT) if not name.endswith("_")}
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} == set()
