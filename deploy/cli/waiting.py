"""`orderbus waiting` and `orderbus resume`: calls to the outside that have no outcome yet, and what they wait for."""

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

Key = Annotated[str, typer.Argument(metavar="[KEY]", help="An order's id; what has waited longest where missing.")]
Service = Annotated[str, typer.Option("--service", help="One service; all of them where missing.")]
Paused = Annotated[bool, typer.Option("--paused", help="The destinations that are paused, or do not answer.")]


def waiting(
    key: Key = "",
    service: Service = "",
    paused: Paused = False,
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """What waits at the outside: charges, mails, webhooks, deliveries. Since when, why, and when it is tried next."""
    console.run(_destinations(service, data, as_json) if paused else _operations(key, service, data, as_json))


def resume(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="payments, notifications, …")],
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="As `orderbus waiting --paused` names it.")],
    data: console.Data = None,
    as_json: console.AsJson = False,
) -> None:
    """Call a paused destination again, once what was wrong is mended."""

    async def work() -> None:
        (name,) = _services(service)
        async with _edges(data) as edges:
            answer = await edges.command(name, f"/destinations/{quote(destination, safe='')}/resume")
        if as_json:
            console.show_json(answer)
        elif answer["resumed"]:
            console.say(f"{destination} is called again by {name}.")
        else:
            console.say(f"{destination} was not paused at {name}; `orderbus waiting --paused` shows what is.")

    console.run(work())


async def _operations(key: str, service: str, data: Path | None, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    async with _edges(data) as edges:
        for name in _services(service):
            query = {"key": key} if key else {}
            answer = await edges.get(name, "/operations", **query)
            rows += [{"service": name} | row for row in answer["operations"]]
    rows.sort(key=lambda row: str(row["since"]))
    if as_json:
        console.show_json({"operations": rows})
    elif rows:
        columns = ("service", "key", "kind", "destination", "since", "attempts", "next try", "why")
        console.show_table(columns, [_cells(row) for row in rows])
    else:
        console.say(f"Nothing waits for {key}." if key else "Nothing waits.")


def _cells(row: dict[str, Any]) -> list[object]:
    if row["under_way"]:
        when = "under way"
    elif row["paused"]:
        when = "when resumed"
    else:
        when = str(row["next_try"])[:19]
    why = row["paused"] or row["error"] or ("outcome unknown" if row["in_doubt"] else "")
    start = [row["service"], row["key"], row["kind"], row["destination"], str(row["since"])[:19]]
    return [*start, row["attempts"], when, str(why)[:120]]


async def _destinations(service: str, data: Path | None, as_json: bool) -> None:
    found: dict[str, dict[str, Any]] = {}
    async with _edges(data) as edges:
        for name in _services(service):
            found[name] = await edges.get(name, "/destinations")
    if as_json:
        console.show_json({"services": found})
        return
    cells = [
        [name, row["destination"], str(row["since"])[:19], str(row["next_probe"])[:19], row["reason"][:160]]
        for name, answer in found.items()
        for row in answer["paused"]
    ]
    cells += [
        [name, row["destination"], "", f"in {row['next_probe_seconds']:.0f} s", "does not answer"]
        for name, answer in found.items()
        for row in answer["no_answer"]
    ]
    if cells:
        console.show_table(("service", "destination", "since", "next probe", "why"), cells)
    else:
        console.say("No destination is paused.")


def _services(service: str) -> tuple[str, ...]:
    if service and service not in SERVICES:
        raise console.Failure(f"There is no service {service}; there are {', '.join(SERVICES)}.", console.WRONG)
    return (service,) if service else SERVICES


def _edges(data: Path | None) -> ApiClient:
    from deploy.client.http import ApiClient as Client  # noqa: PLC0415

    return Client.of(settings_of(data))
