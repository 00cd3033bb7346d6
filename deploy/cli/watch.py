"""`orderbus watch`: the status topic, live."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.cli import console
from deploy.cli.event_loop import on_event_loop, stop_event
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.client.storefront import Follower
from shared.contracts.checkout import STATUS


@on_event_loop
async def watch(
    from_beginning: Annotated[bool, typer.Option("--all", help="Start with the existing orders.")] = False,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=0, help="Exit after this many records; 0: never.")
    ] = 0,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Follow the status of all orders live.

    Reads the topic orders.status.v1; with --json, one line per record. Ctrl-C stops.
    """
    settings, seen = settings_of(data), 0
    stopping = stop_event()
    async with Follower(settings.kafka, [STATUS], from_beginning=from_beginning) as follower:
        console.say(f"Following {STATUS.name}; Ctrl-C stops.")
        async for batch in follower.batches(timeout=0.5):
            for record in batch:
                show_status(record.key, record.body, as_json=as_json)
                seen += 1
                if seen == count:
                    return
            if stopping.is_set():
                return


def show_status(key: str, body: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.show_json({"key": key, **body}, line=True)
        return
    amount = console.money(body.get("purchased"), body.get("currency", "EUR"))
    status = body.get("status_word") or body.get("status", "")
    columns = [console.clock(body.get("updated_at")), body.get("number", ""), status]
    more = console.details(body, "message", "pay_url")
    payment = body.get("payment_status", "")
    console.show(f"{columns[0]}  {columns[1]}  {columns[2]:<16}{payment:<20}{amount:>14}  {more}".rstrip())
