"""`orderbus delivery downloads`: who downloaded what of an order."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import key_of
from deploy.cli.options import AsJson, Data, Number
from deploy.cli.target import api_client

COLUMNS = ("at", "item", "file", "address", "with")


@on_event_loop
async def downloads(number: Number, data: Data = None, as_json: AsJson = False) -> None:
    """List who downloaded what of an order, and when.

    The latest 200 of each item.
    """
    async with api_client(data) as api:
        key = await key_of(api, number)
        found = await api.get("fulfillment", f"/orders/{quote(key, safe='')}/downloads")
    if as_json:
        console.show_json(found)
    elif found:
        console.show_table(COLUMNS, map(_cells, found))
    else:
        console.say(f"Nothing of {number} was downloaded.")


def _cells(one: dict[str, Any]) -> list[object]:
    file = one["file"] or "what was bought"
    return [console.day_and_clock(one["at"]), one["item"], file, one["address"], one["agent"]]
