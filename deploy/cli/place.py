"""Which orderbus a command speaks to: the one that `ORDERBUS_*` settings name, or the embedded one that runs here.

`orderbus up` and `orderbus demo` write `environment.json` into their data folder while they run: the settings of their
services, for this user's eyes only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.cli.console import WRONG, Failure

if TYPE_CHECKING:
    from shared.settings import Settings

FILE = "environment.json"
OWN_SETTINGS = ("ORDERBUS_KAFKA__BOOTSTRAP_SERVERS", "ORDERBUS_CONFIG")
"""Whoever sets one of these means an orderbus of their own."""


@contextlib.contextmanager
def announced(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Let other commands find the stack that runs on this folder."""
    path = folder / FILE
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"process": os.getpid(), "environment": dict(environment)}, file, indent=2)
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def settings_of(data: Path | None, *, of_workers: bool = False) -> Settings:
    """Where the services are; `of_workers`: all that their workers need, secrets of outside systems among it. Raises
    Failure or WrongSettings when there is nothing to speak to."""
    from deploy.settings import load_all_settings, load_system_settings  # noqa: PLC0415

    os.environ.update(environment_of(data))
    return load_all_settings() if of_workers else load_system_settings()


def environment_of(data: Path | None) -> dict[str, str]:
    """The settings to add to this process's own: none where it has its own."""
    if data is None and any(os.environ.get(name) for name in OWN_SETTINGS):
        return {}
    return running(data or default_folder())


def running(folder: Path) -> dict[str, str]:
    path = folder.expanduser() / FILE
    try:
        found = json.loads(path.read_text())
        os.kill(found["process"], 0)
    except (OSError, ValueError, KeyError):
        raise Failure(
            f"No orderbus runs on {folder}: start it with `orderbus up"
            f"{'' if folder == default_folder() else f' --data {folder}'}`, name its folder with --data, or set "
            "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS and the other ORDERBUS_* settings of your own.",
            WRONG,
        ) from None
    environment: dict[str, str] = found["environment"]
    return environment


def default_folder() -> Path:
    from deploy.devstack.data_folder import default_folder as folder  # noqa: PLC0415

    return folder()
