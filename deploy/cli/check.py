"""`orderbus check`: the invariants, against databases, topics and the provider's records."""

from __future__ import annotations

from dataclasses import asdict

import typer

from deploy.check import run as evidence
from deploy.cli import console
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.options import AsJson, Data
from deploy.cli.target import all_settings_of

MOST = 20
"""Violations of one invariant that are printed; --json has them all."""


@on_event_loop
async def check(data: Data = None, as_json: AsJson = False) -> None:
    """Check every invariant against databases and topics.

    The payment provider's records are checked, too. Exit code 1 if an invariant is violated.
    """
    report = await evidence.check(all_settings_of(data))
    if as_json:
        console.show_json({"ok": report.ok, **asdict(report)})
    else:
        show_report(report)
    if not report.ok:
        raise typer.Exit(Failure.exit_code)


def show_report(report: evidence.Report) -> None:
    for name, violations in report.invariants.items():
        print(f"{'fails' if violations else 'holds':<7}{name}")
        for violation in violations[:MOST]:
            print(f"         {violation}")
        if len(violations) > MOST:
            print(f"         … and {len(violations) - MOST} more")
    for entry in report.listed:
        print(f"needs attention: {entry}")
    moving = f", {report.in_motion} still changing (checked in part)" if report.in_motion else ""
    result = "all invariants hold" if report.ok else "invariants are violated"
    print(f"{console.counted(report.orders, 'order')}{moving}: {result}")
