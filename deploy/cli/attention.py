"""`orderbus attention`: what waits for staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data, Service
from deploy.cli.services import chosen, rows_of
from deploy.cli.target import api_client
from shared.shell.ports.attention import Attention

COLUMNS = ("service", "what", "subject", "count", "age", "command", "why")


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
