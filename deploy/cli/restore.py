"""`orderbus restore`: after one service's database was restored to an earlier point."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.check import run as evidence
from deploy.cli import console
from deploy.cli.check import document, show_report
from deploy.cli.errors import Failure
from deploy.cli.event_loop import on_event_loop
from deploy.cli.lost import moment
from deploy.cli.options import AsJson, Data
from deploy.cli.services import known
from deploy.cli.target import all_settings_of
from deploy.restore.run import Outcome
from deploy.restore.run import restore as caught_up
from shared.shell.observability.telemetry import configure_logging
from shared.shell.ports.bus import BusUnavailable
from shared.shell.ports.store import StoreUnavailable


@on_event_loop
async def restore(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Whose database was restored.")],
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="TIME", help="The restored point. Default: the last change that is in the database."
        ),
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Bring a restored database up to date with the topics.

    Run it after you restored one service's database by your own means, while all workers of that service are stopped.
    It handles again what came after the restored point, tells no customer anything twice, and checks the result. It can
    be repeated.
    Exit code 1 if it cannot be done yet. What the check finds may be on its way, such as a provider's callback that no
    worker has taken: repeat the check when all workers run, and go by its exit code.
    """
    known(service)
    point = moment(to) if to else None
    settings = all_settings_of(data)
    configure_logging(settings.telemetry.model_copy(update={"log_level": "warning"}), service, f"{service}-restore")
    try:
        outcome = await caught_up(settings, service, point, console.say)
    except BusUnavailable as trouble:
        said = str(trouble).rstrip(".")
        raise Failure(f"{said}. Repeat the command; it goes on where it was.") from None
    except StoreUnavailable as trouble:
        raise Failure(f"The database of {service}: {trouble}. Repeat the command; it goes on where it was.") from None
    report = await evidence.check(settings, evidence.Window(since=outcome.restored.read_from))
    if as_json:
        console.show_json({"ok": report.ok, "restore": asdict(outcome), **document(report)})
    else:
        show_outcome(service, outcome)
        show_report(report)


def show_outcome(service: str, outcome: Outcome) -> None:
    console.show(f"{service} is caught up (restore {outcome.restored.epoch}). Start all its workers.")
    console.show(f"{console.counted(outcome.withheld, 'fact')} that the topics have already were not published again.")
    if outcome.different:
        console.show(f"Decided otherwise than the first time: {console.counted(len(outcome.different), 'order')}.")
        for key, kinds in list(outcome.different.items())[:MOST]:
            console.show(f"{key}: {', '.join(kinds)}")
    if outcome.parked:
        console.show(f"Parked: {console.counted(len(outcome.parked), 'key')}; `orderbus parked` lists them.")
        for key, error in list(outcome.parked.items())[:MOST]:
            console.show(f"{key}: {error}")
    if outcome.reclaimed:
        console.show(f"{console.counted(outcome.reclaimed.reclaimed, 'code')} that customers have are taken again.")
        for order, item in outcome.reclaimed.nowhere:
            console.show(f"The code of order {order}, item {item} is in no pool. An import leaves it out.")
    for topic in outcome.group.cut:
        console.show(
            f"{topic} no longer has all records since the restored point. What it has lost is not handled again."
        )
    if outcome.unfinished:
        console.show(
            f"Not finished yet: {outcome.unfinished}. The workers go on with that; `orderbus waiting` lists calls."
        )


MOST = 20
"""Keys that are printed; --json has them all."""
