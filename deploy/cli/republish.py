"""`orderbus republish`: Kafka is lost, and another cluster takes its place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import asyncpg
import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.republish import Republished
from deploy.republish import republish as put_back
from services.registry import SERVICES
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable


@on_event_loop
async def republish(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a new Kafka cluster after the old was lost.

    Run it while all workers are stopped. Each database takes the new cluster for its own. Facts that other services
    have not handled are sent again, and so is the status of every order, as soon as the workers start. Repeat it if it
    was interrupted: what is done is not done again.
    """
    try:
        done = await put_back(settings_of(data, databases=SERVICES), dry_run=dry_run)
    except BusUnavailable as trouble:
        raise Failure(str(trouble)) from None
    except (StoreUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
        raise Failure(f"A database cannot be used: {type(trouble).__name__}. Run the command again.") from None
    if as_json:
        console.show_json({"dry_run": dry_run, "services": [asdict(one) for one in done]})
    else:
        for one in done:
            console.show(sentence(one, dry_run=dry_run))
    if any(one.unreadable for one in done):
        raise typer.Exit(Failure.exit_code)


def sentence(one: Republished, *, dry_run: bool) -> str:
    if one.belongs and not one.facts:
        return f"{one.service}: belongs to this cluster already."
    will = "would be sent again" if dry_run else "will be sent again when its workers start"
    facts, records = console.counted(one.facts, "fact"), console.counted(one.records, "status record")
    return "\n".join([f"{one.service}: {facts} and {records} {will}.", *(f"  {text}" for text in one.unreadable)])
