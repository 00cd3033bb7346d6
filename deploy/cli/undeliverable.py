"""`orderbus undeliverable`: records that Kafka refuses, in any service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.outcome import Attempt
from deploy.cli.services import chosen, known, rows_of
from deploy.cli.target import api_client

OfService = Annotated[str, typer.Argument(metavar="SERVICE", help="The service that made the record.")]
Id = Annotated[
    int, typer.Argument(metavar="ID", help="The record's number, as `orderbus undeliverable list` shows it.")
]
COLUMNS = ("service", "id", "topic", "key", "type", "bytes", "waiting", "error")


@on_event_loop
async def listing(data: Data = None, as_json: AsJson = False) -> None:
    """List all undeliverable records, with Kafka's error.

    `waiting` counts the records of the same topic and key that are held back behind it.
    """
    async with api_client(data) as api:
        found = await rows_of(api, chosen(""), "undeliverable")
    if as_json:
        console.show_json(found.document("undeliverable"))
    elif found.rows:
        console.show_rows(COLUMNS, found.rows)
    elif not found.unread:
        console.say("No records are undeliverable.")
    found.report_rest()


@on_event_loop
async def show(service: OfService, id: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Show one record, with headers and body."""
    async with api_client(data) as api:
        row = await api.part(known(service), f"/undeliverable/{id}")
    if row is None:
        raise _missing(service, id)
    if as_json:
        console.show_json(row)
    else:
        console.show_fields(row)


@on_event_loop
async def retry(service: OfService, id: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Send a record again, then those waiting behind it."""
    await _send_again(service, id, "retry", data, as_json)


@on_event_loop
async def drop(service: OfService, id: Id, data: Data = None, as_json: AsJson = False) -> None:
    """Delete a record, then send those waiting behind it.

    Its readers never see the event. Run `orderbus check` afterwards.
    """
    await _send_again(service, id, "drop", data, as_json)


async def _send_again(service: str, id: int, verb: str, data: Path | None, as_json: bool) -> None:
    async with api_client(data) as api:
        if await api.part(known(service), f"/undeliverable/{id}") is None:
            raise _missing(service, id)
        done = f"record {id} was {'dropped' if verb == 'drop' else 'queued again'}"
        with Attempt(done, "orderbus undeliverable list").reported():
            answer = await api.command(service, f"/undeliverable/{id}/{verb}", identity=f"{verb} {id}")
    if as_json:
        console.show_json({"service": service, "id": id, **answer})
    else:
        dropped = f"record {id} dropped, " if verb == "drop" else ""
        console.say(f"{service}: {dropped}{console.counted(answer['sent_again'], 'record')} queued for Kafka again.")


def _missing(service: str, id: int) -> Failure:
    return Failure(
        f"{service} has no undeliverable record {id}. `orderbus undeliverable list` shows what Kafka refuses."
    )
