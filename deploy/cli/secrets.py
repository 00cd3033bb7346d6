"""`orderbus secrets`: what deliveries need at other systems, by name. Values are never shown again."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import Problem, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret's name, as configurations of deliveries say it.")]
COLUMNS = ("name", "set at", "by")


@on_event_loop
async def put(store: Store, name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Set a secret; its value is read from standard input.

    On a terminal it is asked for, without showing it. Deliveries use the new value from now on.
    """
    value = typer.prompt("Value", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise UsageError("The value is empty. Write it to standard input: `printf %s … | orderbus secrets set …`.")
    async with api_client(data) as api:
        await known_store(api, store)
        await api.command("fulfillment", _path(store, name), {"value": value}, method="PUT")
    _said(as_json, store, name, f"{name} of {store} is set.")


@on_event_loop
async def remove(store: Store, name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Remove a secret. Deliveries that name it wait.

    They say so until it is set again.
    """
    async with api_client(data) as api:
        try:
            await api.command("fulfillment", _path(store, name), method="DELETE")
        except Problem as problem:
            if problem.status != 404:
                raise
            raise Failure(f"{store} has no secret {name}. See `orderbus secrets list {store}`.") from None
    _said(as_json, store, name, f"{name} of {store} is removed.")


@on_event_loop
async def listing(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """List a store's secrets by name, with who set them."""
    async with api_client(data) as api:
        found = await api.get("fulfillment", store_path(store, "secrets"))
    if as_json:
        console.show_json(found)
    elif found:
        rows = [(one["name"], console.day_and_clock(one["set_at"]), one["set_by"]) for one in found]
        console.show_table(COLUMNS, rows)
    else:
        console.say(f"{store} has no secrets.")


def _path(store: str, name: str) -> str:
    return store_path(store, "secrets", name)


def _said(as_json: bool, store: str, name: str, text: str) -> None:
    if as_json:
        console.show_json({"store": store, "name": name})
    else:
        console.say(text)
