"""`orderbus attention` and `orderbus feed`: what waits for staff, and what the staff feed of a store says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.options import AsJson, Data, Service
from deploy.cli.outcome import Attempt
from deploy.cli.services import chosen, rows_of
from deploy.cli.target import api_client
from services.notifications.live_feeds import UNREAD_MOST
from shared.shell.ports.attention import Attention

COLUMNS = ("service", "what", "subject", "count", "age", "command", "why")
FEED_COLUMNS = ("at", "order", "what", "text")


@on_event_loop
async def attention(service: Service = "", data: Data = None, as_json: AsJson = False) -> None:
    """List all that waits for staff, with the command to use.

    Parked and undeliverable messages, paused destinations, unknown outcomes, failed deliveries, lost emails and webhook
    deliveries, empty code pools, parcels to be sent, unread staff feeds. The oldest comes first. If a service or one
    of its lists cannot be read, the others are shown, and the exit code is 3.
    """
    async with api_client(data) as api:
        found = await rows_of(api, chosen(service), "attention")
    rows = sorted(found.rows, key=lambda row: str(row["since"]))
    if as_json:
        console.show_json(replace(found, rows=rows).document("attention"))
    elif rows:
        console.show_table(COLUMNS, map(_of_row, rows))
    elif not found.incomplete:
        console.say("Nothing waits for staff.")
    found.report_rest()


@on_event_loop
async def feed(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    read: Annotated[bool, typer.Option("--read", help="Mark the entries that are shown as read.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what a store's staff feed says, the unread entries.

    At most 200 entries, newest first.
    """
    path = f"/feeds/{quote(f'{store}~staff', safe='')}"
    async with api_client(data) as api:
        found = await api.get("notifications", path, unread=1, limit=200)
        if not found["entries"]:
            await known_store(api, store)
        if as_json:
            console.show_json(found)
        else:
            _show_feed(store, found)
        if read and found["entries"]:
            shown = [entry["id"] for entry in found["entries"]]
            with Attempt("the entries were marked as read", f"orderbus feed {store}").reported():
                await api.command("notifications", f"{path}/read", {"ids": shown})


def _show_feed(store: str, found: dict[str, Any]) -> None:
    entries = found["entries"]
    if not entries:
        console.say(f"The staff of {store} have read everything.")
        return
    cells = ([console.day_and_clock(one["at"]), one["number"], one["title"], one["text"]] for one in entries)
    console.show_table(FEED_COLUMNS, cells)
    if older := found["unread"] - len(entries):
        verb, least = "is" if older == 1 else "are", "At least " if found["unread"] >= UNREAD_MOST else ""
        rest = console.counted(older, "older entry", "older entries")
        console.say(f"{least}{rest} {verb} unread, too, and not shown here.")


def show_attention(entries: Sequence[tuple[str, Attention]]) -> None:
    """A table of what `orderbus check` found."""
    if entries:
        print()
        console.show_table(
            COLUMNS,
            ([service, e.what, e.subject, e.count, age(e.since), e.command, e.reason] for service, e in entries),
        )
        print()


def _of_row(row: dict[str, Any]) -> list[object]:
    since = datetime.fromisoformat(row["since"])
    return [row["service"], row["what"], row["subject"], row["count"], age(since), row["command"], row["reason"]]


def age(since: datetime, now: datetime | None = None) -> str:
    """`3 d`, `5 h`, `12 min`, `8 s`."""
    passed = (now or datetime.now(UTC)) - since
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min")):
        if passed >= unit:
            return f"{passed // unit} {name}"
    return f"{max(0, passed // timedelta(seconds=1))} s"
