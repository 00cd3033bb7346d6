"""`orderbus webhooks`: the endpoints to which a store's events are sent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_endpoint, known_store
from deploy.cli.options import AsJson, Data, IdempotencyKey
from deploy.cli.outcome import Attempt, new_key
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, ClientError, mapping, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id, we_…")]
COLUMNS = ("endpoint", "state", "events", "url")


@on_event_loop
async def listing(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """List a store's webhook endpoints, and why one is paused.

    Of one that does not accept deliveries, which are tried again: since when, what it answers, and how many.
    """
    async with api_client(data) as api:
        await known_store(api, store)
        found = mapping(await api.get("notifications", _path(store)))["webhooks"]
    if as_json:
        console.show_json({"webhooks": found})
    elif found:
        console.show_table(COLUMNS, map(_cells, found))
    else:
        console.say(f"{store} has no webhook endpoints.")


@on_event_loop
async def add(
    store: Store,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the events are posted.")],
    events: Annotated[
        list[str], typer.Option("--event", metavar="EVENT", help="An event, such as order.updated. Repeatable.")
    ],
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Register a webhook endpoint, and show its secret once."""
    attempt = Attempt("the endpoint was registered", f"orderbus webhooks list {store}", new_key(idempotency_key))
    async with api_client(data) as api:
        await known_store(api, store)
        with attempt.reported():
            body = {"url": url, "events": events}
            answer = mapping(await api.command("notifications", _path(store), body, identity=attempt.key))
        twins = await _with_url(api, store, answer)
    if as_json:
        console.show_json(answer)
        return
    console.say(f"{store} sends {', '.join(events)} to {answer['endpoint']}. What verifies them, shown only here:")
    for twin in twins:
        console.say(f"{twin} has the same URL: each event comes twice. orderbus webhooks remove {store} {twin}")
    print(answer["secret"] or "(it was shown when the endpoint was registered)")


async def _with_url(api: ApiClient, store: str, made: Mapping[str, Any]) -> list[str]:
    """Other endpoints of the URL; none where they cannot be read."""
    with suppress(ClientError):
        found = mapping(await api.get("notifications", _path(store)))["webhooks"]
        return [it["endpoint"] for it in found if it["url"] == made["url"] and it["endpoint"] != made["endpoint"]]
    return []


@on_event_loop
async def remove(
    store: Store, endpoint: EndpointId, idempotency_key: IdempotencyKey = "", data: Data = None, as_json: AsJson = False
) -> None:
    """Remove a webhook endpoint. What waits for it is not sent."""
    said = f"{store} sends nothing to {endpoint} any more."
    await _change(store, endpoint, "", {}, said, idempotency_key, data, as_json)


@on_event_loop
async def pause(
    store: Store,
    endpoint: EndpointId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the list of endpoints.")] = "",
    idempotency_key: IdempotencyKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Pause a webhook endpoint. Deliveries meanwhile are kept.

    `orderbus resume-webhook` resumes it, and `orderbus replay` sends what it missed.
    """
    said = f"{store} sends nothing to {endpoint} until it is resumed: orderbus resume-webhook {store} {endpoint}"
    await _change(store, endpoint, "/pause", {"reason": reason}, said, idempotency_key, data, as_json)


async def _change(
    store: str, endpoint: str, action: str, body: dict[str, Any], said: str, key: str, data: Data, as_json: bool
) -> None:
    """`action`: the end of the path; empty removes the endpoint."""
    attempt = Attempt("the endpoint was changed", f"orderbus webhooks list {store}", new_key(key))
    async with api_client(data) as api:
        await known_store(api, store)
        await known_endpoint(api, store, endpoint)
        with attempt.reported():
            path, method = f"{store_path(store, 'webhooks', endpoint)}{action}", "POST" if action else "DELETE"
            answer = await api.command("notifications", path, body, identity=attempt.key, method=method)
    if as_json:
        console.show_json(answer)
    else:
        console.say(said)


def _path(store: str) -> str:
    return store_path(store, "webhooks")


def _cells(one: dict[str, Any]) -> list[object]:
    return [one["endpoint"], _state(one), ", ".join(one["events"]), one["url"]]


def _state(one: dict[str, Any]) -> str:
    if one["paused"]:
        return f"paused: {one['reason']}" if one["reason"] else "paused"
    if waiting := one.get("waiting"):
        since, deliveries = (
            console.day_and_clock(one["waiting_since"]),
            console.counted(waiting, "delivery", "deliveries"),
        )
        return f"late since {since}: {one['error']} ({deliveries})"
    return "active"
