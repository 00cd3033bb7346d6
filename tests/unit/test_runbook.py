"""Procedures are read from documents, and run as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runbook import CommandFailed, NoProcedure, follow, procedure

TEXT = """# Operations
## Restore
Words.
```sh
# First of all.
echo one \\
  "$NAME"   # and why
false
```
Then:
```sh
echo two
```
### Below
```sh
echo three
```
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.md"
    path.write_text(TEXT)
    return path


def test_a_procedure_is_the_block_below_its_heading(document: Path) -> None:
    assert procedure("Restore", document=document) == ['echo one    "$NAME"', "false"]
    assert procedure("Restore", number=2, document=document) == ["echo two"]
    assert procedure("Below", document=document) == ["echo three"]


def test_a_procedure_that_is_gone_is_named(document: Path) -> None:
    with pytest.raises(NoProcedure, match="no block 3 of `sh` under “Restore”"):
        procedure("Restore", number=3, document=document)
    with pytest.raises(NoProcedure, match="“Repair”"):
        procedure("Repair", document=document)


async def test_lines_run_with_the_settings_of_the_installation(document: Path) -> None:
    works, fails = procedure("Restore", document=document)
    assert await follow(works, {"NAME": "a shop"}) == "one a shop\n"
    with pytest.raises(CommandFailed, match="ended with 1"):
        await follow(fails, {})
