"""`orderbus parked`: messages that could not be handled, in any service."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, Service
from deploy.cli.outcome import Attempt
from deploy.cli.services import chosen, rows_of
from deploy.cli.target import api_client
from deploy.client.http import ApiClient

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of the parked messages, usually an order id.")]
COLUMNS = ("service", "key", "type", "topic", "offset", "reason", "error")


@on_event_loop
async def listing(service: Service = "", data: Data = None, as_json: AsJson = False) -> None:
    """List all parked messages, with the reason."""
    async with api_client(data) as api:
        found = await rows_of(api, chosen(service), "parked")
    if as_json:
        console.show_json(found.document("parked"))
    elif found.rows:
        console.show_rows(COLUMNS, found.rows)
    elif not found.unread:
        console.say("No messages are parked.")
    found.report_rest()


@on_event_loop
async def show(key: Key, service: Service = "", data: Data = None, as_json: AsJson = False) -> None:
    """Show a key's parked messages, with headers and body."""
    async with api_client(data) as api:
        rows = [{"service": name} | row for name, rows in (await _parked(api, service, key)).items() for row in rows]
    if as_json:
        console.show_json({"parked": rows})
        return
    for row in rows:
        console.show_fields(row)
        print()


@on_event_loop
async def retry(key: Key, service: Service = "", data: Data = None, as_json: AsJson = False) -> None:
    """Handle a key's parked messages again, in order."""
    path = f"/parked/{quote(key, safe='')}/retry"
    answers: dict[str, dict[str, Any]] = {}
    async with api_client(data) as api:
        for name in await _parked(api, service, key):
            with Attempt("they were handled", f"orderbus parked show {key}").reported():
                answers[name] = await api.command(name, path)
    _report(key, answers, as_json)


@on_event_loop
async def skip(
    key: Key,
    service: Service = "",
    id: Annotated[
        int | None,
        typer.Option("--id", metavar="ID", min=1, help="Skip this message only, if it is the first. Needs --service."),
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Drop a key's first parked message, handle the rest."""
    if id is not None and not service:
        raise UsageError("--id needs --service: each service numbers its messages itself.")
    path = f"/parked/{quote(key, safe='')}/skip"
    answers: dict[str, dict[str, Any]] = {}
    async with api_client(data) as api:
        for name, rows in (await _parked(api, service, key)).items():
            first = id or rows[0]["id"]
            again = {"--service": name, "--id": first}
            with Attempt("the message was skipped", f"orderbus parked show {key}", options=again).reported():
                answers[name] = await api.command(name, path, {"id": first})
    _report(key, answers, as_json, skipping=True)


def _report(key: str, answers: dict[str, dict[str, Any]], as_json: bool, *, skipping: bool = False) -> None:
    if as_json:
        console.show_json({"key": key, "services": answers})
    for name, answer in answers.items():
        still = f"; still parked: {answer['error']}" if answer["error"] else ""
        skipped = f"{int(answer.get('skipped', True))} skipped, " if skipping else ""
        console.say(f"{name}: {skipped}{answer['handled']} handled{still}")
    if any(answer["error"] for answer in answers.values()):
        raise typer.Exit(Failure.exit_code)


async def _parked(api: ApiClient, service: str, key: str) -> dict[str, list[dict[str, Any]]]:
    """A key's parked messages by service. Raises Failure when there are none."""
    answers = {name: await api.part(name, f"/parked/{quote(key, safe='')}") for name in chosen(service)}
    found = {name: answer["parked"] for name, answer in answers.items() if answer}
    if not found:
        raise Failure(f"No messages are parked under {key}. `orderbus parked list` shows all that are.")
    return found
