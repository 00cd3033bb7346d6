"""`orderbus feed`: what the feed of a store's staff says, or a customer's."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.errors import UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data
from deploy.cli.outcome import Attempt
from deploy.cli.target import api_client
from services.notifications.live_feeds import UNREAD_MOST

COLUMNS = ("at", "order", "what", "text")
MOST = 200


@on_event_loop
async def feed(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    customer: Annotated[
        str,
        typer.Option("--customer", metavar="ID", help="The feed of this customer: an id, or a guest's email address."),
    ] = "",
    whole: Annotated[bool, typer.Option("--all", help="Also entries that were read.")] = False,
    archived: Annotated[bool, typer.Option("--archived", help="Entries that were archived instead.")] = False,
    read: Annotated[bool, typer.Option("--read", help="Mark the entries that are shown as read.")] = False,
    archive: Annotated[bool, typer.Option("--archive", help="Archive the entries that are shown.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show the feed of a store's staff, or a customer's.

    The unread entries, at most 200, newest first.
    """
    if archive and archived:
        raise UsageError("--archived shows entries that are archived already: leave --archive out.")
    path = f"/feeds/{quote(f'{store}~customer~{customer}' if customer else f'{store}~staff', safe='')}"
    again = f"orderbus feed {store}{f' --customer {customer}' if customer else ''}"
    async with api_client(data) as api:
        query = {"unread": int(not whole and not archived), "archived": int(archived), "limit": MOST}
        found = await api.get("notifications", path, **query)
        if not found["entries"]:
            await known_store(api, store)
        if as_json:
            console.show_json(found)
        else:
            _show(customer or f"the staff of {store}", found, unread=bool(query["unread"]))
        shown = [entry["id"] for entry in found["entries"]]
        for verb, done in (("read", "marked as read"), ("archive", "archived")):
            if shown and {"read": read, "archive": archive}[verb]:
                with Attempt(f"the entries were {done}", again).reported():
                    await api.command("notifications", f"{path}/{verb}", {"ids": shown})


def _show(whose: str, found: dict[str, Any], *, unread: bool) -> None:
    entries = found["entries"]
    if not entries:
        said = f"Everything in the feed of {whose} was read." if unread else f"The feed of {whose} has no such entries."
        console.say(said)
        return
    cells = ([console.day_and_clock(one["at"]), one["number"], one["title"], one["text"]] for one in entries)
    console.show_table(COLUMNS, cells)
    if not unread:
        if found["next"]:
            console.say("There are older entries, which are not shown here.")
    elif older := found["unread"] - len(entries):
        verb, least = "is" if older == 1 else "are", "At least " if found["unread"] >= UNREAD_MOST else ""
        rest = console.counted(older, "older entry", "older entries")
        console.say(f"{least}{rest} {verb} unread, too, and not shown here.")
