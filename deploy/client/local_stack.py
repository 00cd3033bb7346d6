"""How other processes find the embedded stack that runs here.

`orderbus up` and `orderbus demo` write `environment.json` into their data folder while they run: the settings of their
services, readable by this user only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE = "environment.json"
WORKERS = "ORDERBUS_DEMO__WORKERS"
"""In that environment, where each worker is: `checkout-0=http://…,checkout-1=http://…`."""


def default_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "orderbus" / "stack"


@contextlib.contextmanager
def announced(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Let other processes find the stack that runs on this folder."""
    path = folder / FILE
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"process": os.getpid(), "environment": dict(environment)}, file, indent=2)
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def combined(own: Mapping[str, str], stack: Mapping[str, str]) -> dict[str, str]:
    """A user's environment, with a stack's settings instead of the same ones of their own, also where those are given
    by a file (`…_FILE`)."""
    files = {f"{name}_FILE" for name in stack}
    return {name: value for name, value in own.items() if name not in files} | dict(stack)


def running(folder: Path) -> dict[str, str] | None:
    """The settings of the stack that runs on this folder; None when none does."""
    try:
        found = json.loads((folder.expanduser() / FILE).read_text())
        os.kill(found["process"], 0)
    except (OSError, ValueError, KeyError):
        return None
    environment: dict[str, str] = found["environment"]
    return environment
