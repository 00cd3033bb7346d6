"""Which orderbus a command works on: the one in the `ORDERBUS_*` settings, or the embedded stack that runs here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.cli.errors import UsageError
from deploy.client.http import ApiClient
from deploy.client.local_stack import combined, default_folder, running
from deploy.settings import load_all_settings, load_check_settings, load_system_settings
from shared.settings import Settings

OWN_SETTINGS = ("ORDERBUS_KAFKA__BOOTSTRAP_SERVERS", "ORDERBUS_CONFIG")
"""If one of these is set, the settings are used, not the embedded stack."""


def api_client(data: Path | None) -> ApiClient:
    """A client of the services. Raises UsageError or WrongSettings."""
    return ApiClient.of(settings_of(data))


def settings_of(data: Path | None, databases: Sequence[str] = ()) -> Settings:
    """Where the services are, and the databases of some. Raises UsageError when nothing is set and no stack runs,
    WrongSettings when a setting is missing or invalid."""
    use(environment_of(data))
    return load_system_settings(databases)


def check_settings_of(data: Path | None) -> Settings:
    """Where the services and their databases are, and the payment providers. Raises like `settings_of`."""
    use(environment_of(data))
    return load_check_settings()


def all_settings_of(data: Path | None) -> Settings:
    """Everything that the workers need, the secrets of outside systems included. Raises like `settings_of`."""
    use(environment_of(data))
    return load_all_settings()


def use(environment: Mapping[str, str]) -> None:
    """Set these variables for this process."""
    now = combined(os.environ, environment)
    for name in os.environ.keys() - now.keys():
        del os.environ[name]
    os.environ.update(now)


def environment_of(data: Path | None) -> dict[str, str]:
    """The settings to add to this process's own: none where it has its own."""
    if data is None and any(os.environ.get(name) for name in OWN_SETTINGS):
        return {}
    folder = data or default_folder()
    environment = running(folder)
    if environment is None:
        option = "" if folder == default_folder() else f" --data {folder}"
        raise UsageError(
            f"No orderbus is running on {folder}. Start it with `orderbus up{option}`, name another folder with "
            "--data, or set ORDERBUS_KAFKA__BOOTSTRAP_SERVERS and your other ORDERBUS_* settings."
        )
    return environment
