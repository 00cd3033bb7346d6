"""`orderbus check`: the invariants, against databases, topics and the provider's records."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.check import run as evidence
from deploy.check.remedies import REMEDIES, by_order
from deploy.cli import console
from deploy.cli.attention import show_attention
from deploy.cli.errors import Failure, UsageError
from deploy.cli.event_loop import on_event_loop
from deploy.cli.lost import moment
from deploy.cli.options import AsJson, Data
from deploy.cli.target import check_settings_of
from deploy.client.local_stack import default_folder
from services.registry import SERVICES
from shared.errors import ReportedError
from shared.postgres_url import PostgresUrl
from shared.settings import Settings

WAITS = 2
"""The exit code when something waits for staff."""
MOST = 20
"""Violations of one invariant that are printed; --json has them all."""


@on_event_loop
async def check(
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Only what changed since: 2026-03-03, 2026-03-03T14:05Z, or 24h or 3d ago.",
        ),
    ] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Everything, not only what changed since the last check that found all well.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Where checks keep what they have read. Default: a file in ~/.local/share/orderbus/checks.",
        ),
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Check every invariant against databases and topics.

    The payment provider's records are checked, too. The first check reads everything, later ones what changed since the
    last one that found no violation. Exit code 1 if an invariant is violated; 2 if all hold, but
    something waits for staff (it is listed, with the command to use); 3 if the check cannot be made; 64 if the options
    are wrong.
    """
    if since and full:
        raise UsageError("Choose --since or --full: --full checks everything.")
    if since and checkpoint:
        raise UsageError("Choose --since or --checkpoint: --since reads no file, and keeps none.")
    start = moment(since) if since else None
    if start and start > datetime.now(UTC):
        raise UsageError(f"{since} has yet to come: nothing has changed since then.")
    try:
        settings = check_settings_of(data)
    except ReportedError as wrong:
        raise Failure(str(wrong), evidence.CheckFailed.exit_code) from None
    book = None if start else checkpoint or checkpoint_of(settings)
    report = await evidence.check(settings, evidence.Window(book, full, start))
    if as_json:
        console.show_json({"ok": report.ok, **document(report)})
    else:
        show_report(report)
    if code := exit_code(report):
        raise typer.Exit(code)


def checkpoint_of(settings: Settings) -> Path | None:
    """The file of this system's checks, by what it consists of; None where it cannot be written."""
    urls = [settings.service(name).database_url.get_secret_value() for name in SERVICES]
    places = [settings.kafka.bootstrap_servers, *(PostgresUrl.parse(url).place() for url in urls)]
    name = hashlib.sha256("\n".join(places).encode()).hexdigest()[:16]
    folder = default_folder().with_name("checks")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as trouble:
        console.say(f"Everything is checked: {folder} cannot be written ({trouble.strerror}). Name a --checkpoint.")
        return None
    return folder / f"{name}.db"


def exit_code(report: evidence.Report) -> int:
    if not report.ok:
        return Failure.exit_code
    return WAITS if report.attention else 0


def document(report: evidence.Report) -> dict[str, Any]:
    entries = [{"service": service, **asdict(entry)} for service, entry in report.attention]
    return {**asdict(report), "attention": entries}


def show_report(report: evidence.Report) -> None:
    for name, violations in report.invariants.items():
        console.show(f"{'fails' if violations else 'holds':<7}{name}")
        for violation in violations[:MOST]:
            console.show(f"         {violation}")
        if len(violations) > MOST:
            console.show(f"         … and {len(violations) - MOST} more")
        if violations:
            console.show(f"         To do: {REMEDIES[name]}")
    for order, names in list(by_order(report.invariants).items())[:MOST]:
        console.show(f"{order}: {', '.join(names)}")
    for entry in report.unreadable[:MOST]:
        console.show(f"no message: {entry}")
    if len(report.unreadable) > MOST:
        console.show(f"… and {len(report.unreadable) - MOST} more that are no messages")
    for entry in report.monitor[:MOST]:
        console.show(f"monitor: {entry}")
    for entry in report.notes:
        console.show(entry)
    show_attention(report.attention)
    if report.unasked:
        rows = console.counted(report.unasked, "row")
        console.show(f"not checked: whether the last event of {rows} before that is on its topic (--full checks it)")
    window = f" changed since {report.since:%Y-%m-%d %H:%M} UTC (--full checks all)" if report.since else ""
    moving = f", {report.in_motion} still changing (checked in part)" if report.in_motion else ""
    result = "all invariants hold" if report.ok else "invariants are violated"
    waits = f"; {console.counted(len(report.attention), 'thing')} to attend to" if report.attention else ""
    console.show(f"{console.counted(report.orders, 'order')}{window}{moving}: {result}{waits}")
