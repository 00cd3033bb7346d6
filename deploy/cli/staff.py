"""`orderbus staff`: its read models, compared with what the other services tell; its first user; its audit log."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import sqlalchemy as sa
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.check.read_models import run as read_models
from deploy.check.read_models.run import Report
from deploy.cli import console
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import settings_of
from deploy.client.http import api_url
from deploy.settings import database_of
from services.staff.domain.roles import EVERY_STORE
from services.staff.people.command_line import invite_by_command, verify_audit
from shared.settings import Settings
from shared.shell.http.problems import ProblemResponse
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.engine import CONNECTION_SETTINGS, new_engine

MOST = 20
"""Lines that are printed; --json has them all."""
EVERY = 100_000
"""Records after which progress is told."""


@on_event_loop
async def compare(data: Data = None, as_json: AsJson = False) -> None:
    """Compare staff's tables with the status topics.

    Each row must be what the latest record of its order shows. Nothing is changed, and nothing has to be stopped. Exit
    code 1 when something differs: `orderbus staff rebuild` fixes it.
    """
    _show(await _compared(data, fix=False), as_json)


@on_event_loop
async def rebuild(data: Data = None, as_json: AsJson = False) -> None:
    """Make staff's tables again from the status topics.

    They may be in use. Each row is made again from the latest record of its order, and written where it differs;
    counters are counted again. The archive of events is left as it is: topics of events have only the last days.
    """
    _show(await _compared(data, fix=True), as_json)


Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The address of the user.")]
Role = Annotated[str, typer.Option("--role", metavar="ROLE", help="What they may do: viewer, agent, manager, admin.")]
Stores = Annotated[
    list[str] | None, typer.Option("--store", metavar="STORE", help="In this store only. Default: in all of them.")
]
Kept = Annotated[
    str, typer.Option("--kept", metavar="NUMBER:HASH", help="An entry that was noted earlier: it must be the same.")
]


@on_event_loop
async def invite(
    email: Email, role: Role = "admin", store: Stores = None, data: Data = None, as_json: AsJson = False
) -> None:
    """Print a one-time link by which a user joins.

    It needs staff's database: it is how the first user comes in. A user who is known gets the role, too, and chooses
    a new password by it.
    """
    settings = settings_of(data, databases=("staff",))
    async with _database(settings) as engine:
        stores = store or [EVERY_STORE]
        link = await invite_by_command(engine, email, role, stores, public_url=api_url(settings, "staff"))
    if as_json:
        console.show_json({"id": link.id, "link": link.link, "expires": link.expires.isoformat()})
    else:
        console.show(link.link)
        console.say(f"It can be used once, until {link.expires:%Y-%m-%d %H:%M} UTC.")


@on_event_loop
async def verify_audit_log(kept: Kept = "", data: Data = None, as_json: AsJson = False) -> None:
    """Check that staff's audit log is whole.

    Each entry has the hash of the one before. Exit code 1 when an entry was changed, removed or added by hand.
    """
    async with _database(settings_of(data, databases=("staff",))) as engine:
        problems = await verify_audit(engine, kept)
    if as_json:
        console.show_json({"problems": problems})
    else:
        for line in problems or ["The audit log is whole."]:
            console.show(line)
    if problems:
        raise typer.Exit(Failure.exit_code)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = new_engine(database_of(settings, "staff"), CONNECTION_SETTINGS)
    try:
        yield engine
    except ProblemResponse as refused:
        raise UsageError(refused.title) from None
    except (StoreUnavailable, OSError, asyncpg.InterfaceError, sa.exc.SQLAlchemyError) as trouble:
        raise Failure(f"The database cannot be used: {type(trouble).__name__}. Run the command again.") from None
    finally:
        await engine.dispose()


async def _compared(data: Any, *, fix: bool) -> Report:
    try:
        return await read_models.compare(settings_of(data, databases=("staff",)), "staff", fix=fix, progress=_tell)
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
        console.show_json({"rows": report.rows, "unreadable": report.unreadable, "fixed": report.fixed, "wrong": lines})
    else:
        fixed = f", {console.counted(report.fixed, 'row')} written again" if report.fixed else ""
        console.show(f"{console.counted(report.rows, 'record')} compared{fixed}.")
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
