"""`orderbus migrate`: the databases' schemas."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.options import Data
from deploy.cli.services import chosen
from deploy.cli.target import settings_of
from shared.settings import Settings
from shared.shell.event_loop import run
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres import migration
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.generation import NoTables
from shared.shell.postgres.refusals import DatabaseUnreachable, checked
from shared.shell.postgres.revision import OldSchema

PAUSE = 1.0


def migrate(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="Only this service. Default: all services.")] = "",
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="Only wait, for so long, until this has been done."),
    ] = 0.0,
    data: Data = None,
) -> None:
    """Upgrade the services' databases to the newest schema."""
    names = chosen(service)
    settings = settings_of(data, databases=names)
    if wait:
        for name in names:
            run(_migrated(name, settings, wait))
        return
    for name in names:
        try:
            migration.migrate(name, settings.service(name).database_url.get_secret_value())
        except DatabaseUnreachable as trouble:
            raise Failure(str(trouble)) from None
        except StoreUnavailable as trouble:
            raise Failure(f"The database of {name} cannot be reached: {trouble}") from None
    console.say(f"Migrated: {', '.join(names)}.")


async def _migrated(name: str, settings: Settings, seconds: float) -> None:
    """Returns when another process has migrated the database. Raises Failure."""
    url = settings.service(name).database_url.get_secret_value()
    engine = create_engine(url, f"{name} migrate --wait", 1)
    said = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await checked(name, url, engine)
                except (NoTables, OldSchema, StoreUnavailable) as trouble:
                    if str(trouble) != said:
                        said = str(trouble)
                        console.say(f"Waiting for the database of {name}: {said}")
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise Failure(f"The database of {name} is not migrated after {seconds:.0f} s. {said}") from None
    finally:
        await engine.dispose()
