"""`orderbus parked`: messages that were set aside, in any service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.place import settings_of
from services.registry import SERVICES

if TYPE_CHECKING:
    from deploy.client.http import ApiClient

app = typer.Typer(no_args_is_help=True, help="Messages that were set aside, and what to do with them.")
Key = Annotated[str, typer.Argument(metavar="KEY", help="The parked key, mostly an order id.")]
Service = Annotated[str, typer.Option("--service", help="One service; all of them where missing.")]


@app.command("list")
def listing(service: Service = "", data: console.Data = None, as_json: console.AsJson = False) -> None:
    """All parked messages, with the reason."""

    async def work() -> None:
        async with _edges(data) as edges:
            rows = [
                {"service": name} | row
                for name in _services(service)
                for row in (await edges.get(name, "/parked"))["parked"]
            ]
        if as_json:
            console.show_json({"parked": rows})
            return
        columns = ("service", "key", "type", "topic", "offset", "reason", "error")
        cells = [[row[column] for column in columns[:-1]] + [str(row["error"])[:120]] for row in rows]
        if rows:
            console.show_table(columns, cells)
        else:
            console.say("Nothing is parked.")

    console.run(work())


@app.command()
def show(key: Key, service: Service = "", data: console.Data = None, as_json: console.AsJson = False) -> None:
    """One key's parked messages whole, with headers and body."""

    async def work() -> None:
        async with _edges(data) as edges:
            rows = [
                {"service": name} | row for name, rows in (await _parked(edges, service, key)).items() for row in rows
            ]
        if as_json:
            console.show_json({"parked": rows})
            return
        for row in rows:
            for name, value in row.items():
                print(f"{name:<10} {value}")
            print()

    console.run(work())


@app.command()
def retry(key: Key, service: Service = "", data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Handle a key's parked messages again, in their order."""
    console.run(_release(key, "retry", service, data, as_json))


@app.command()
def skip(key: Key, service: Service = "", data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Leave the first parked message of a key out and handle those behind it."""
    console.run(_release(key, "skip", service, data, as_json))


async def _release(key: str, verb: str, service: str, data: Path | None, as_json: bool) -> None:
    async with _edges(data) as edges:
        services = await _parked(edges, service, key)
        answers = {
            name: await edges.command(name, f"/parked/{quote(key, safe='')}/{verb}", identity=f"{verb} {key}")
            for name in services
        }
    if as_json:
        console.show_json({"key": key, "services": answers})
    for name, answer in answers.items():
        console.say(
            f"{name}: {answer['handled']} handled" + (f"; still parked: {answer['error']}" if answer["error"] else "")
        )
    if any(answer["error"] for answer in answers.values()):
        raise typer.Exit(console.FAILED)


async def _parked(edges: ApiClient, service: str, key: str) -> dict[str, list[dict[str, Any]]]:
    """The services in which the key is parked. Raises Failure when there is none."""
    found = {}
    for name in _services(service):
        answer = await edges.part(name, f"/parked/{quote(key, safe='')}")
        if answer:
            found[name] = answer["parked"]
    if not found:
        raise console.Failure(f"Nothing is parked under {key}; `orderbus parked list` shows what is.")
    return found


def _services(service: str) -> tuple[str, ...]:
    if service and service not in SERVICES:
        raise console.Failure(f"There is no service {service}; there are {', '.join(SERVICES)}.", console.WRONG)
    return (service,) if service else SERVICES


def _edges(data: Path | None) -> ApiClient:
    from deploy.client.http import ApiClient as Client  # noqa: PLC0415

    return Client.of(settings_of(data))
