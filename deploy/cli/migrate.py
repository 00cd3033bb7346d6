"""`orderbus migrate`: the databases' schemas."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.options import Data
from deploy.cli.services import chosen
from deploy.cli.target import settings_of
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres import migration


def migrate(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="Only this service. Default: all services.")] = "",
    data: Data = None,
) -> None:
    """Upgrade the services' databases to the newest schema."""
    names = chosen(service)
    settings = settings_of(data, databases=names)
    for name in names:
        try:
            migration.migrate(name, settings.service(name).database_url.get_secret_value())
        except StoreUnavailable as trouble:
            raise Failure(f"The database of {name} cannot be reached: {trouble}") from None
    console.say(f"Migrated: {', '.join(names)}.")
