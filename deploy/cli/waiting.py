"""`orderbus waiting`, `resume` and `resume-webhook`: external calls without an outcome, and what they wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import key_of, known_endpoint, known_store
from deploy.cli.options import AsJson, Data, IdempotencyKey, Service
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.services import chosen, known, read_all, rows_of
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, mapping, store_path

Key = Annotated[
    str, typer.Argument(metavar="[KEY]", help="An order's number or id. Default: the calls that have waited longest.")
]
Paused = Annotated[
    bool, typer.Option("--paused", help="List destinations that are paused, or that take calls and do not answer.")
]
Timers = Annotated[bool, typer.Option("--timers", help="List timers that are late: as a rule, of another version.")]
Destination = Annotated[
    str, typer.Argument(metavar="DESTINATION", help="Its name, as `orderbus waiting --paused` shows it.")
]
OPERATION_COLUMNS = ("service", "key", "kind", "destination", "since", "attempts", "next try", "why")
TIMER_COLUMNS = ("service", "key", "name", "type", "due")
DESTINATION_COLUMNS = ("service", "destination", "since", "next probe", "why")


@on_event_loop
async def waiting(
    key: Key = "",
    service: Service = "",
    paused: Paused = False,
    timers: Timers = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List external calls with no outcome yet, and why.

    Charges, emails, webhooks, deliveries: since when each has waited, why, and when it is tried next.
    """
    if paused and key:
        raise UsageError("Name an order, or list paused destinations with --paused; not both.")
    async with api_client(data) as api:
        if paused:
            await _list_destinations(api, service, as_json)
        elif timers:
            await _list_timers(api, service, as_json)
        else:
            await _list_operations(api, key, service, as_json)


@on_event_loop
async def resume(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service that calls it: payments, …")],
    destination: Destination,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Resume calls to a paused destination.

    Fix the cause first: `orderbus waiting --paused` shows it.
    """
    async with api_client(data) as api:
        with Attempt("calls are resumed", "orderbus waiting --paused").reported():
            answer = await api.command(known(service), f"/destinations/{quote(destination, safe='')}/resume")
    if as_json:
        console.show_json(answer)
    if not answer["resumed"]:
        raise Failure(f"{service} has no paused destination {destination}. `orderbus waiting --paused` lists all.")
    if not as_json:
        console.say(f"{service} calls {destination} again.")


@on_event_loop
async def resume_webhook(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id, we_…")],
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Resume deliveries to a paused webhook endpoint.

    Deliveries that were lost meanwhile are sent again by `orderbus replay`.
    """
    path = store_path(store, "webhooks", endpoint, "resume")
    look = f"orderbus lost {store} --webhooks --endpoint {endpoint}"
    attempt = Attempt("deliveries are resumed", look, new_key(idempotency_key))
    async with api_client(data) as api:
        await known_store(api, store)
        await known_endpoint(api, store, endpoint)
        with attempt.reported():
            answer = await api.command("notifications", path, identity=attempt.key)
    if as_json:
        console.show_json(answer)
    else:
        console.say(f"{store} sends webhooks to {endpoint} again.")


async def _list_operations(api: ApiClient, key: str, service: str, as_json: bool) -> None:
    found = await rows_of(api, chosen(service), "operations", key=key)
    if key and not found.rows and not found.unread and (order := await key_of(api, key)) != key:
        found = await rows_of(api, chosen(service), "operations", key=order)
    if key:
        found.more.clear()  # of one key all is listed
    rows = sorted(found.rows, key=lambda row: str(row["since"]))
    if as_json:
        console.show_json(replace(found, rows=rows).document("operations"))
    elif rows:
        console.show_table(OPERATION_COLUMNS, map(_cells, rows))
    elif not found.unread:
        console.say(f"No calls are waiting for {key}." if key else "No calls are waiting.")
    found.report_rest()


async def _list_timers(api: ApiClient, service: str, as_json: bool) -> None:
    found = await rows_of(api, chosen(service), "timers/late", "timers")
    if as_json:
        console.show_json(found.document("timers"))
    elif found.rows:
        console.show_rows(TIMER_COLUMNS, found.rows)
    elif not found.unread:
        console.say("No timers are late.")
    found.report_rest()


def _cells(row: dict[str, Any]) -> list[object]:
    if row["under_way"]:
        when = "in progress"
    elif row["paused"]:
        when = "when resumed"
    else:
        when = console.day_and_clock(row["next_try"])
    why = row["paused"] or row["error"] or ("outcome unknown" if row["in_doubt"] else "")
    start = [row["service"], row["key"], row["kind"], row["destination"], console.day_and_clock(row["since"])]
    return [*start, row["attempts"], when, why]


async def _list_destinations(api: ApiClient, service: str, as_json: bool) -> None:
    async def read(name: str) -> dict[str, Any]:
        return {"services": [mapping(await api.get(name, "/destinations"))]}

    found = await read_all(chosen(service), read, "services")
    if as_json:
        services = {row["service"]: {kind: row[kind] for kind in ("paused", "no_answer")} for row in found.rows}
        console.show_json({**found.document("services"), "services": services})
    elif cells := [*_paused(found.rows), *_silent(found.rows)]:
        console.show_table(DESTINATION_COLUMNS, cells)
    elif not found.unread:
        console.say("No destination is paused. Calls that wait, and why: orderbus waiting")
    found.report_rest()


def _paused(services: Sequence[dict[str, Any]]) -> Iterator[list[object]]:
    for service in services:
        for row in service["paused"]:
            since, probe = console.day_and_clock(row["since"]), console.day_and_clock(row["next_probe"])
            yield [service["service"], row["destination"], since, probe, row["reason"]]


def _silent(services: Sequence[dict[str, Any]]) -> Iterator[list[object]]:
    for service in services:
        for row in service["no_answer"]:
            probe = f"in {row['next_probe_seconds']:.0f} s"
            yield [service["service"], row["destination"], "", probe, "does not answer"]
