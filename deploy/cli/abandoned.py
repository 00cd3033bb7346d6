"""`orderbus abandoned`: checkouts that were opened and not submitted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client

COLUMNS = ("number", "store", "status", "email", "country", "items", "opened")


@on_event_loop
async def abandoned(
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="Only those of this store.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=200, help="List at most this many checkouts.")
    ] = 30,
    after: Annotated[str, typer.Option("--after", metavar="NEXT", help="Continue after a page: its `next`.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List checkouts that were opened and not submitted.

    Newest first, with what was in them.
    """
    query = {"limit": limit} | ({"store": store} if store else {}) | ({"after": after} if after else {})
    async with api_client(data) as api:
        found = await api.get("checkout", "/abandoned", **query)
    if as_json:
        console.show_json(found)
        return
    console.show_page("abandoned checkouts", COLUMNS, found["checkouts"], _cells, found["next"])


def _cells(checkout: dict[str, Any]) -> list[object]:
    if checkout.get("newer"):
        opened = console.day_and_clock(checkout["created_at"])
        return [checkout["number"], checkout["store"], checkout["status"], console.NEWER, "", "", opened]
    return [
        checkout["number"],
        checkout["store"],
        checkout["status"],
        checkout["email"] or "",
        checkout["country"] or "",
        console.items_in_words(checkout["items"]),
        console.day_and_clock(checkout["opened_at"]),
    ]
