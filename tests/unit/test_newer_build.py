"""The newer build that the fault tests run next to this one: its patch applies, and its services start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from services.registry import SERVICES
from tests.faults.newer import newer_build
from tests.unit.test_migrations import assert_one_chain

STARTS = """
import dataclasses
from services.declared import declared
from shared.core import codec
from shared.shell.service.registry import HandlerRegistry
for service in declared().values():
    HandlerRegistry(service)
    for table in service.storage.states:
        fields = ",".join(field.name for field in dataclasses.fields(table.kind))
        print(table.kind.__name__, codec.shape_of(table.kind), fields)
"""


def states(project: Path) -> dict[str, tuple[str, str]]:
    """The shape of each, and the names of its fields."""
    command = [sys.executable, "-c", STARTS]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {kind: (shape, fields) for kind, shape, fields in map(str.split, ran.stdout.splitlines())}


def test_the_patch_of_the_newer_build_applies(tmp_path: Path) -> None:
    build = newer_build(tmp_path / "newer")
    for service in SERVICES:
        assert_one_chain(build, service)
    newer, here = states(build), states(Path(__file__).parents[2])

    assert {kind for kind in here if here[kind][0] != newer[kind][0]} == {"Order", "Payment", "Delivery"}
    nested = {kind for kind in here if here[kind][0] != newer[kind][0] and here[kind][1] == newer[kind][1]}
    assert not nested, f"what the patch adds to {nested} landed in a part of it: correct the patch's place"
    moved = {kind for kind in here if not newer[kind][1].startswith(here[kind][1])}
    assert not moved, f"new fields of {moved} are not the last: what the services pass by position lands in them"
