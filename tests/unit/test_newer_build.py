"""The newer build that the fault tests run next to this one: its patch applies, and its services start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.newer import newer_build

STARTS = """
from services.declared import declared
from shared.core import codec
from shared.shell.service.registry import HandlerRegistry
for service in declared().values():
    HandlerRegistry(service)
    for table in service.storage.states:
        print(table.kind.__name__, codec.shape_of(table.kind))
"""


def shapes(project: Path) -> dict[str, str]:
    command = [sys.executable, "-c", STARTS]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return dict(line.split() for line in ran.stdout.splitlines())


def test_the_patch_of_the_newer_build_applies(tmp_path: Path) -> None:
    newer, here = shapes(newer_build(tmp_path / "newer")), shapes(Path(__file__).parents[2])

    assert {kind for kind in here if here[kind] != newer[kind]} == {"Order", "Payment", "Delivery"}
