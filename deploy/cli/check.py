"""`orderbus check`: the invariants, against databases, topics and the provider's records."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from deploy.cli import console
from deploy.cli.place import settings_of

if TYPE_CHECKING:
    from deploy.check.run import Report
    from shared.settings import Settings

MOST = 20
"""Violations of one invariant that are printed; --json has them all."""


def check(data: console.Data = None, as_json: console.AsJson = False) -> None:
    """Check every invariant against databases, topics and the provider's records; exit code 1 where one fails."""

    async def work() -> None:
        report = await gathered(settings_of(data, of_workers=True))
        if as_json:
            console.show_json({"ok": report.ok, **asdict(report)})
        else:
            show_report(report)
        if not report.ok:
            raise typer.Exit(console.FAILED)

    console.run(work())


async def gathered(settings: Settings) -> Report:
    """Raises Failure when the evidence cannot be had."""
    from deploy.check.run import CheckFailed  # noqa: PLC0415
    from deploy.check.run import check as evidence  # noqa: PLC0415

    try:
        return await evidence(settings)
    except CheckFailed as trouble:
        raise console.Failure(f"The check cannot be made: {trouble}") from None


def show_report(report: Report) -> None:
    for name, violations in report.invariants.items():
        print(f"{'fails' if violations else 'holds':<7}{name}")
        for violation in violations[:MOST]:
            print(f"         {violation}")
        if len(violations) > MOST:
            print(f"         … and {len(violations) - MOST} more")
    for entry in report.listed:
        print(f"look at  {entry}")
    moving = f", {report.in_motion} keys in motion (checked in part)" if report.in_motion else ""
    print(f"{report.orders} orders{moving}: {'all invariants hold' if report.ok else 'NOT as it should be'}")
