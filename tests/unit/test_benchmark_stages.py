"""The profile by stage knows the shell's files and functions by name: they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.stages import STAGES

SHELL = Path(__file__).parents[2] / "shared" / "shell"


@pytest.mark.parametrize(("file", "function"), STAGES)
def test_a_stage_is_a_function_of_the_shell(file: str, function: str) -> None:
    sources = [found.read_text() for found in SHELL.rglob(file)]
    assert sources, f"there is no {file}"
    assert function == "*" or any(re.search(rf"def {function}\(", source) for source in sources)
