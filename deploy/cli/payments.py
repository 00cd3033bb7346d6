"""`orderbus payments`: payments that go on after the order has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.attention import age
from deploy.cli.event_loop import on_event_loop
from deploy.cli.names import known_store
from deploy.cli.obligations import what_next
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client

COLUMNS = ("order", "attempt", "amount", "state", "age", "tries", "next", "why")


@on_event_loop
async def owed(
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="Only payments of this store.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List what is owed to customers, and what it waits for.

    What waits for staff can be refunded again, or recorded, by `orderbus refund ORDER --attempt N`; an unknown outcome
    is for `orderbus settle refund`. So is what staff make by hand, once it is made.
    """
    found: list[dict[str, Any]] = []
    async with api_client(data) as api:
        after: str | None = ""
        while after is not None:
            page = await api.get("payments", "/owed", store=store, after=after, limit=500)
            found += page["owed"]
            after = page["next"]
        if store and not found:
            await known_store(api, store)
    if as_json:
        console.show_json({"owed": found})
    elif found:
        console.show_table(COLUMNS, (cells for row in found for cells in _cells(row)))
    else:
        console.say("Nothing is owed.")


def _cells(row: dict[str, Any]) -> Iterator[list[object]]:
    currency = row["currency"]
    if row.get("newer"):
        since = age(datetime.fromisoformat(row["changed_at"]))
        yield [row["number"], "", console.money(row["owed"], currency), "", since, "", "", console.NEWER]
    for part in row["obligations"]:
        since = age(datetime.fromisoformat(part["since"]))
        why = console.details(part, "reference", "code", "text")
        amount = console.money(part["amount"], currency)
        yield [
            row["number"],
            part["attempt"],
            amount,
            part["state"],
            since,
            part["tries"],
            what_next(part, row["number"]),
            why,
        ]
