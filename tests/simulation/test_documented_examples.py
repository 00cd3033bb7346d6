"""The examples of docs/simulation.md (add a fault, add an invariant), inserted where it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import orjson
import pytest

ROOT = Path(__file__).parents[2]
FIELD, CALL, STRIKE, INVARIANT = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/simulation.md").read_text(), re.DOTALL
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the code, to be changed."""
    for package in ("deploy", "services", "shared"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def put(file: Path, text: str, *, after: str) -> None:
    before = file.read_text()
    assert before.count(after) == 1, f"{after!r} is there {before.count(after)} times"
    file.write_text(before.replace(after, f"{after}\n{text}"))


def simulate(place: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "deploy.cli.main", "simulate", "--seeds", "1-3", "--orders", "6", "--json"]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    result: dict[str, object] = orjson.loads(ran.stdout)
    return result


def test_a_fault_of_ones_own(place: Path) -> None:
    profile, nemesis = place / "deploy/simulation/fault_profile.py", place / "deploy/simulation/nemesis.py"
    put(profile, indent(FIELD, " " * 4), after="    store_slow: float = 0.0")
    put(profile, "        connection_gone=0.01,", after='    "many": Level(')
    put(profile, indent(CALL, " " * 12), after="            level, drawn = self.level, draw()")
    put(nemesis, indent(STRIKE, " " * 4), after="        return self.rng.choice(there) if there else None\n")
    put(nemesis, "            (5, self.old_positions),", after="            (6, self.crash),")

    result = simulate(place)

    assert result["violations"] == []
    assert {"connection_gone", "old_positions"} <= set(result["faults_injected"])  # type: ignore[call-overload]


@pytest.mark.parametrize(("limit", "found"), [("9", False), ("0", True)])
def test_an_invariant_of_ones_own(place: Path, limit: str, found: bool) -> None:
    checks = place / "deploy/simulation/checks.py"
    put(checks, INVARIANT.replace("times > 9", f"times > {limit}"), after="# What only a simulation sees\n")
    put(checks, "    no_mail_twice,", after="CHECKS = (")

    violations = simulate(place)["violations"]

    assert {broken["rule"] for broken in violations} == ({"no_mail_twice"} if found else set())  # type: ignore[attr-defined]
