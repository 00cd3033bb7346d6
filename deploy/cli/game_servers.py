"""`orderbus servers`: a store's game servers, how they are reached, and whether they are."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import ApiClient, Problem, mapping, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
Server = Annotated[str, typer.Argument(metavar="SERVER", help="The server's id within the store.")]
COLUMNS = ("server", "name", "game", "address", "state", "tested", "result")
WAIT = 60.0
"""Seconds for the result of a test."""


@on_event_loop
async def put(
    store: Store,
    server: Server,
    host: Annotated[str, typer.Option(help="Host name or address.")],
    port: Annotated[int, typer.Option(help="Port of RCON, not of the game.")],
    password: Annotated[str, typer.Option(help="The NAME of the secret that is its RCON password.")],
    game: Annotated[str, typer.Option(help="minecraft, source or rust.")] = "minecraft",
    name: Annotated[str, typer.Option(help="As staff call it; its id otherwise.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set how a game server is reached; it is tested at once.

    Set its password first: `orderbus secrets set STORE NAME`.
    """
    body = {"name": name or server, "game": game, "host": host, "port": port, "password": password}
    async with api_client(data) as api:
        await known_store(api, store)
        before = await _known(api, store, server)
        await api.command("fulfillment", _path(store, server), body, method="PUT")
        _show(await _tested(api, store, server, before), as_json)


@on_event_loop
async def test(store: Store, server: Server, data: Data = None, as_json: AsJson = False) -> None:
    """Connect to a game server and ask who is online."""
    async with api_client(data) as api:
        before = await _known(api, store, server)
        if before is None:
            raise Failure(f"{store} has no game server {server}. See `orderbus servers list {store}`.")
        await api.command("fulfillment", f"{_path(store, server)}/test", {})
        _show(await _tested(api, store, server, before), as_json)


@on_event_loop
async def listing(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """List a store's game servers, and how they are."""
    async with api_client(data) as api:
        found = mapping(await api.get("fulfillment", store_path(store, "servers")))
    if as_json:
        console.show_json(found)
    elif found["servers"]:
        console.show_table(COLUMNS, [_row(one) for one in found["servers"]])
    else:
        console.say(f"{store} has no game servers.")


async def _known(api: ApiClient, store: str, server: str) -> dict[str, Any] | None:
    try:
        return mapping(await api.get("fulfillment", _path(store, server)))
    except Problem as problem:
        if problem.status != 404:
            raise
        return None


async def _tested(api: ApiClient, store: str, server: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """As it is once the test that was begun has ended."""
    former = before and before.get("health")
    for _ in range(int(WAIT / 0.5)):
        found = await _known(api, store, server)
        if found and found.get("health") and found["health"] != former:
            return found
        await asyncio.sleep(0.5)
    raise Failure(f"The test has no result yet. See `orderbus servers list {store}` later.")


def _show(server: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.show_json(server)
    else:
        console.show_table(COLUMNS, [_row(server)])


def _row(server: dict[str, Any]) -> tuple[str, ...]:
    health = server.get("health") or {}
    state = ("works" if health["ok"] else health["code"]) if health else "being tested"
    tested = console.day_and_clock(health["at"]) if health else ""
    address = f"{server['host']}:{server['port']}"
    return (server["server"], server["name"], server["game"], address, state, tested, health.get("text", ""))


def _path(store: str, server: str) -> str:
    return store_path(store, "servers", server)
