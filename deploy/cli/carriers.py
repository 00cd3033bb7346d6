"""`orderbus carriers`: the pages on which a store's customers follow parcels."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import mapping, store_path

Store = Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")]
Carrier = Annotated[str, typer.Argument(metavar="CARRIER", help="Its name, as staff write it when they send parcels.")]
COLUMNS = ("carrier", "page", "of")


@on_event_loop
async def put(
    store: Store,
    carrier: Carrier,
    page: Annotated[str, typer.Argument(metavar="URL", help="With {tracking} where the tracking number is.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set the page where customers follow a carrier's parcels.

    It counts for parcels that are sent from then on.
    """
    await _configure(store, carrier, page, f"Parcels of {carrier} are followed on {page}.", data, as_json)


@on_event_loop
async def remove(store: Store, carrier: Carrier, data: Data = None, as_json: AsJson = False) -> None:
    """Remove the store's page of a carrier.

    For a well-known carrier its usual page counts again.
    """
    await _configure(store, carrier, None, f"{store} has no page of its own for {carrier}.", data, as_json)


@on_event_loop
async def listing(store: Store, data: Data = None, as_json: AsJson = False) -> None:
    """List the pages of carriers: a store's and well-known ones."""
    async with api_client(data) as api:
        found = mapping(await api.get("fulfillment", _path(store)))
    if as_json:
        console.show_json(found)
        return
    own = {" ".join(one["carrier"].casefold().split()) for one in found["carriers"]}
    rows = [(one["carrier"], one["page"], store) for one in found["carriers"]]
    rows += [(one["carrier"], one["page"], "all stores") for one in found["known"] if one["carrier"] not in own]
    console.show_table(COLUMNS, rows)


async def _configure(store: str, carrier: str, page: str | None, said: str, data: Data, as_json: bool) -> None:
    body = {"carrier": carrier, "page": page}
    async with api_client(data) as api:
        await known_store(api, store)
        await api.command("fulfillment", _path(store), body, method="PUT")
    if as_json:
        console.show_json({"store": store, **body})
    else:
        console.say(said)


def _path(store: str) -> str:
    return store_path(store, "carriers")
