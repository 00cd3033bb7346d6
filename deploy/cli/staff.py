"""`orderbus staff`: staff's read models, compared with what the other services tell."""

from __future__ import annotations

import sys
from typing import Any

import asyncpg
import sqlalchemy as sa
import typer

from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.read_models import run as read_models
from deploy.read_models.run import Report
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable

MOST = 20
"""Lines that are printed; --json has them all."""
EVERY = 100_000
"""Records after which progress is told."""


@on_event_loop
async def compare(data: Data = None, as_json: AsJson = False) -> None:
    """Compare staff's tables with the status topics.

    Each row must be what the latest record of its order shows. Nothing is changed, and nothing has to be stopped. Exit
    code 1 when something differs: `orderbus staff rebuild` mends it.
    """
    _show(await _compared(data, mend=False), as_json)


@on_event_loop
async def rebuild(data: Data = None, as_json: AsJson = False) -> None:
    """Make staff's tables again from the status topics, while they are in use.

    Each row is made again from the latest record of its order, and written where it differs; counters are counted
    again. The archive of events is left as it is: topics of events have only the last days.
    """
    _show(await _compared(data, mend=True), as_json)


async def _compared(data: Any, *, mend: bool) -> Report:
    try:
        return await read_models.compare(settings_of(data, databases=("staff",)), "staff", mend=mend, progress=_tell)
    except BusUnavailable as trouble:
        raise Failure(str(trouble)) from None
    except (
        StoreUnavailable,
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        sa.exc.SQLAlchemyError,
    ) as trouble:
        raise Failure(f"The database cannot be used: {type(trouble).__name__}. Run the command again.") from None


def _tell(what: str, done: int, whole: int) -> None:
    if what == "read" and sys.stderr.isatty() and done // EVERY != max(0, done - 500) // EVERY:
        console.say(f"{done:,} of {whole:,} records read")


def _show(report: Report, as_json: bool) -> None:
    lines = report.lines()
    if as_json:
        console.show_json(
            {"rows": report.rows, "unreadable": report.unreadable, "mended": report.mended, "wrong": lines}
        )
    else:
        mended = f", {console.counted(report.mended, 'row')} written again" if report.mended else ""
        console.show(f"{console.counted(report.rows, 'record')} compared{mended}.")
        if report.unreadable:
            console.show(f"{console.counted(report.unreadable, 'record')} cannot be shown: see `orderbus parked list`.")
        for line in lines[:MOST]:
            console.show(line)
        if len(lines) > MOST:
            console.show(f"… and {len(lines) - MOST} more: see --json.")
        if not lines:
            console.show("Staff's tables are what the topics say.")
    if lines:
        raise typer.Exit(Failure.exit_code)
