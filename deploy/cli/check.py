"""`orderbus check`: the invariants, against databases, topics and the provider's records."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from deploy.check import run as evidence
from deploy.cli import console
from deploy.cli.attention import show_attention
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import all_settings_of
from shared.errors import ReportedError

WAITS = 2
"""The exit code when something waits for staff."""
MOST = 20
"""Violations of one invariant that are printed; --json has them all."""


@on_event_loop
async def check(data: Data = None, as_json: AsJson = False) -> None:
    """Check every invariant against databases and topics.

    The payment provider's records are checked, too. Exit code 1 if an invariant is violated; 2 if all hold, but
    something waits for staff (it is listed, with the command to use); 3 if the check cannot be made.
    """
    try:
        settings = all_settings_of(data)
    except ReportedError as wrong:
        raise Failure(str(wrong), evidence.CheckFailed.exit_code) from None
    report = await evidence.check(settings)
    if as_json:
        console.show_json({"ok": report.ok, **document(report)})
    else:
        show_report(report)
    if code := exit_code(report):
        raise typer.Exit(code)


def exit_code(report: evidence.Report) -> int:
    if not report.ok:
        return Failure.exit_code
    return WAITS if report.attention else 0


def document(report: evidence.Report) -> dict[str, Any]:
    entries = [{"service": service, **asdict(entry)} for service, entry in report.attention]
    return {**asdict(report), "attention": entries}


def show_report(report: evidence.Report) -> None:
    for name, violations in report.invariants.items():
        print(f"{'fails' if violations else 'holds':<7}{name}")
        for violation in violations[:MOST]:
            print(f"         {violation}")
        if len(violations) > MOST:
            print(f"         … and {len(violations) - MOST} more")
    for entry in report.unreadable[:MOST]:
        print(f"no message: {entry}")
    if len(report.unreadable) > MOST:
        print(f"… and {len(report.unreadable) - MOST} more that are no messages")
    show_attention(report.attention)
    moving = f", {report.in_motion} still changing (checked in part)" if report.in_motion else ""
    result = "all invariants hold" if report.ok else "invariants are violated"
    waits = f"; {console.counted(len(report.attention), 'thing')} to attend to" if report.attention else ""
    print(f"{console.counted(report.orders, 'order')}{moving}: {result}{waits}")
