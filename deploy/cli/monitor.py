"""`orderbus monitor`: what orders and payments come to, minute by minute."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.cli import console
from deploy.cli.attention import age
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import api_client
from deploy.client.http import ApiClient

MONITOR = "monitor"
UNLIMITED = 10_000
FIGURES = ("orders", "paid", "failed", "attempts", "declined", "refunds")
MINUTES = ("minute", "store", *FIGURES, "revenue", "refunded")
STORES = ("store", "orders", "conversion", "declines", "failures", "revenue", "refunded")
ALERTS = ("store", "what", "by", "count", "since", "latest orders")
SAMPLE = 3
"""Orders that a table names of an alert."""
Store = Annotated[str, typer.Option("--store", metavar="STORE", help="Only this store. Default: all stores.")]
Minutes = Annotated[int, typer.Option("--minutes", metavar="N", min=1, max=10_080, help="So many minutes.")]
Cells = Sequence[Sequence[object]]


@on_event_loop
async def monitor(
    store: Store = "",
    minutes: Minutes = 15,
    data: Data = None,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=1, help="Seconds between refreshes.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print the tables once and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch orders, revenue and declines of the last minutes.

    Ctrl-C stops. Without a terminal it prints the tables once and exits.

    \b
    orders      placed in the minute
    paid        of these orders, those that are paid by now
    failed      of these orders, those that are in the status failed
    attempts    attempts to charge that were requested in the minute
    declined    of these attempts, those that were declined
    refunds     refunds that were requested in the minute and are done
    revenue     what was paid in the minute; refunds are not taken off
    refunded    the sum of these refunds
    conversion  paid of orders
    declines    declined of attempts
    failures    failed of orders

    Below: what is unusual, with the latest orders that belong to it.
    """
    async with api_client(data) as api:
        if as_json or once or not sys.stdout.isatty():
            await _once(api, store, minutes, as_json=as_json)
        else:
            await _live(api, store, minutes, every)


async def _asked(api: ApiClient, store: str, minutes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    figures = await api.get(MONITOR, "/monitor/live", store=store, minutes=minutes)
    return figures, await api.get(MONITOR, "/monitor/alerts", store=store)


async def _once(api: ApiClient, store: str, minutes: int, *, as_json: bool) -> None:
    figures, alerts = await _asked(api, store, minutes)
    if as_json:
        console.show_json(figures | alerts)
        return
    if not figures["minutes"]:
        console.say("Nothing happened in these minutes.")
    width = console.terminal_width()
    for columns, cells in tables(figures, alerts):
        if cells:
            shown, left_out = _table(columns, cells, width or UNLIMITED)
            console.show_without_padding(shown, width or UNLIMITED)
            print()
            if left_out:
                console.say(console.too_narrow(left_out))
    for line in remarks(figures, alerts):
        console.say(line)


async def _live(api: ApiClient, store: str, minutes: int, every: float) -> None:
    with Live(refresh_per_second=4, screen=True) as live:
        while True:
            figures, alerts = await _asked(api, store, minutes)
            parts: list[Table | Text] = []
            for columns, cells in tables(figures, alerts):
                if cells:
                    parts += [_table(columns, cells, live.console.width)[0], Text("")]
            parts += [Text(line, "yellow") for line in remarks(figures, alerts)]
            live.update(Group(*(parts or [Text("Nothing happened in these minutes.")])), refresh=True)
            await asyncio.sleep(every)


def tables(figures: Mapping[str, Any], alerts: Mapping[str, Any]) -> list[tuple[Sequence[str], Cells]]:
    """Those of stores, of what is unusual, and of minutes, the last one first."""
    minutes = [
        [datetime.fromisoformat(row["minute"]).astimezone().strftime("%H:%M"), *_figures(row)]
        for row in reversed(figures["minutes"])
    ]
    stores = [
        [
            *(row["store"], row["orders"]),
            *(_percent(row[rate]) for rate in ("conversion", "decline_rate", "failure_rate")),
            *(_money(row["revenue"]), _money(row["refunded"])),
        ]
        for row in figures["stores"]
    ]
    unusual = [
        [
            *(row["store"], row["what"], row["by"], row["count"], age(datetime.fromisoformat(row["raised"]))),
            " ".join(row["orders"][:SAMPLE]),
        ]
        for row in alerts["alerts"]
    ]
    return [(STORES, stores), (ALERTS, unusual), (MINUTES, minutes)]


def remarks(figures: Mapping[str, Any], alerts: Mapping[str, Any]) -> list[str]:
    found = []
    if not figures["complete"]:
        found.append("The monitor is still reading what was there when it started: there will be more.")
    if alerts["more"]:
        found.append(f"There are {alerts['more']} more alerts: name a store.")
    return found


def _figures(row: Mapping[str, Any]) -> list[object]:
    return [row["store"], *(row[name] for name in FIGURES), _money(row["revenue"]), _money(row["refunded"])]


def _money(amounts: Mapping[str, int]) -> str:
    return ", ".join(console.money(amount, currency) for currency, amount in amounts.items())


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _table(columns: Sequence[str], cells: Cells, width: int) -> tuple[Table, list[str]]:
    """For a terminal of this width; and the columns for which there is no room."""
    texts = [[console.visible(str(cell)) for cell in row] for row in cells]
    widths = [max(map(cell_len, (name, *(row[index] for row in texts)))) for index, name in enumerate(columns)]
    kept = console.fitting(columns, widths, width, LEAST_IMPORTANT)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index in kept:
        table.add_column(columns[index], justify="left" if columns[index] in LEFT else "right", no_wrap=True)
    for row in texts:
        table.add_row(*(Text(row[index]) for index in kept))
    return table, [name for index, name in enumerate(columns) if index not in kept]


LEFT = ("minute", "store", "what", "by", "latest orders")
LEAST_IMPORTANT = ("latest orders", "refunds", "attempts", "failed", "refunded", "declined", "failures")
"""What a narrow terminal leaves out, the first ones first."""
