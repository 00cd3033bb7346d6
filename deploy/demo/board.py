"""The live table of the demo: on a terminal redrawn in place, elsewhere a line every few seconds. Standard error."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.demo.play import Tally
from shared.contracts.values import OrderStatus

LINE_EVERY = 3.0


@contextlib.asynccontextmanager
async def shown(tally: Tally) -> AsyncIterator[None]:
    """Show the tally while the body runs, and once more at its end."""
    showing = asyncio.create_task(_redraw(tally) if sys.stderr.isatty() else _lines(tally))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _redraw(tally: Tally) -> None:
    with Live(board(tally), console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        while True:
            await asyncio.sleep(0.25)
            live.update(board(tally))


async def _lines(tally: Tally) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY)
        print(line(tally), file=sys.stderr, flush=True)


def figures(tally: Tally) -> dict[str, str]:
    return {
        "orders": f"{len(tally.lives)} of {tally.wanted}",
        "placed": str(tally.placed),
        "paid": str(tally.paid),
        "items delivered": str(tally.delivered),
        "ended": str(len(tally.ends)),
        "mails": str(tally.mails),
        "webhooks": str(tally.webhooks),
        "ended/s": f"{tally.rate_until_ended():.0f}",
        "p50 ms": str(tally.latency(0.5)),
        "p99 ms": str(tally.latency(0.99)),
    }


def line(tally: Tally) -> str:
    return f"{time.monotonic() - tally.began:5.1f} s  " + ", ".join(f"{k} {v}" for k, v in figures(tally).items())


def board(tally: Tally) -> RenderableType:
    head = Table(box=None, pad_edge=False, header_style="bold")
    values = figures(tally)
    for name in values:
        head.add_column(name, justify="right", min_width=6)
    head.add_row(*values.values())
    by_status = tally.by_status
    states = Table(box=None, pad_edge=False, show_header=False)
    states.add_column(min_width=16)
    states.add_column(justify="right", min_width=5)
    states.add_column()
    for status in (*OrderStatus, "unseen"):
        count = by_status.get(status, 0)
        if count:
            states.add_row(status, str(count), Text("█" * max(1, count * 50 // max(1, tally.wanted)), style="cyan"))
    elapsed = Text(f"orderbus demo, {time.monotonic() - tally.began:.0f} s", style="bold")
    return Group(elapsed, head, Text(""), states)
