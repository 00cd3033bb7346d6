"""`orderbus undeliverable`: records that Kafka refuses, in any service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.place import settings_of
from services.registry import SERVICES

if TYPE_CHECKING:
    from deploy.client.http import ApiClient

app = typer.Typer(no_args_is_help=True, help="Records that Kafka refuses, and what to do with them.")
Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service whose record it is.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="The record's number, as `list` shows it.")]


@app.command("list")
def listing(data: console.Data = None, as_json: console.AsJson = False) -> None:
    """All of them, with Kafka's error and how many records wait behind each."""

    async def work() -> None:
        async with _edges(data) as edges:
            rows: list[dict[str, Any]] = [
                {"service": name} | row
                for name in SERVICES
                for row in (await edges.get(name, "/undeliverable"))["undeliverable"]
            ]
        if as_json:
            console.show_json({"undeliverable": rows})
        elif rows:
            columns = ("service", "id", "topic", "key", "type", "bytes", "waiting", "error")
            console.show_table(columns, [[row[column] for column in columns] for row in rows])
        else:
            console.say("Kafka took everything.")

    console.run(work())


@app.command()
def show(service: Service, id: Id, data: console.Data = None, as_json: console.AsJson = False) -> None:
    """One record whole, with headers and body."""

    async def work() -> None:
        async with _edges(data) as edges:
            row = await edges.part(_known(service), f"/undeliverable/{id}")
        if row is None:
            raise console.Failure(_missing(service, id))
        if as_json:
            console.show_json(row)
            return
        for name, value in row.items():
            print(f"{name:<8} {value}")

    console.run(work())


@app.command()
def retry(service: Service, id: Id, data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Send a record again, and then what waits behind it."""
    console.run(_again(service, id, "retry", data, as_json))


@app.command()
def drop(service: Service, id: Id, data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Lose a record for good, and send what waits behind it."""
    console.run(_again(service, id, "drop", data, as_json))


async def _again(service: str, id: int, verb: str, data: Path | None, as_json: bool) -> None:
    async with _edges(data) as edges:
        if await edges.part(_known(service), f"/undeliverable/{id}") is None:
            raise console.Failure(_missing(service, id))
        answer = await edges.command(service, f"/undeliverable/{id}/{verb}", identity=f"{verb} {id}")
    if as_json:
        console.show_json({"service": service, "id": id, **answer})
        return
    console.say(f"{service}: {answer['sent_again']} records go to Kafka again")


def _known(service: str) -> str:
    if service not in SERVICES:
        raise console.Failure(f"There is no service {service}; there are {', '.join(SERVICES)}.", console.WRONG)
    return service


def _missing(service: str, id: int) -> str:
    return f"{service} has no undeliverable record {id}; `orderbus undeliverable list` shows what there is."


def _edges(data: Path | None) -> ApiClient:
    from deploy.client.http import ApiClient as Client  # noqa: PLC0415

    return Client.of(settings_of(data))
