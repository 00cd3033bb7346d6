"""A newer build of orderbus: this tree, changed by `newer.patch` as a release would change it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from deploy.devstack.processes import PROJECT

PATCH = Path(__file__).with_name("newer.patch")
PACKAGES = ("deploy", "services", "shared")


def newer_build(folder: Path) -> Path:
    """Make it in a new folder. Raises AssertionError where the patch does not fit this tree any more."""
    folder.mkdir(parents=True)
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["git", "apply", "--whitespace=nowarn", str(PATCH)]
    applied = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert applied.returncode == 0, f"{PATCH.name} no longer applies, see its first lines:\n{applied.stderr}"
    changed = (folder / "services/fulfillment/gateways/wrapping.py").is_file()
    assert changed, f"git applied nothing of {PATCH.name}: is {folder} in a repository?"
    return folder
