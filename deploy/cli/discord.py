"""`orderbus discord`: a store's connection to a Discord server."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import Problem, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
Connection = Annotated[str, typer.Argument(metavar="CONNECTION", help="A name, which products say.")]
COLUMNS = ("role", "name", "position", "the bot can give it")


@on_event_loop
async def configure(
    store: Store,
    connection: Connection,
    guild: Annotated[str, typer.Option(metavar="ID", help="The server's id.")],
    token: Annotated[str, typer.Option(metavar="SECRET", help="The name of the secret with the bot's token.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Connect a store to a Discord server.

    The bot's token is a secret of the store: `orderbus secrets set STORE SECRET`. Then see `orderbus discord test`.
    """
    body = {"guild": guild, "token": token}
    async with api_client(data) as api:
        await known_store(api, store)
        await api.command("fulfillment", _path(store, connection), body, method="PUT")
    if as_json:
        console.show_json({"store": store, "connection": connection, **body})
    else:
        console.say(f"{connection} of {store} is configured. Test it: orderbus discord test {store} {connection}")


@on_event_loop
async def test(store: Store, connection: Connection, data: Data = None, as_json: AsJson = False) -> None:
    """Test a connection: the token, the server, its roles."""
    async with api_client(data) as api:
        try:
            found = await api.command("fulfillment", f"{_path(store, connection)}/test")
        except Problem as problem:
            if problem.status != 404:
                raise
            raise Failure(f"{store} has no connection {connection}. See `orderbus discord configure`.") from None
    if as_json:
        console.show_json(found)
    else:
        if found.get("guild"):
            console.say(f"{found['bot']} is on {found['guild']}.")
        if found.get("roles"):
            rows = [
                (role["id"], role["name"], str(role["position"]), "yes" if role["can_be_given"] else "no")
                for role in found["roles"]
            ]
            console.show_table(COLUMNS, rows)
    if found["problems"]:
        raise Failure(" ".join(found["problems"]))


def _path(store: str, connection: str) -> str:
    return store_path(store, "discord", connection)
