"""`orderbus run`: one worker."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy import worker as program
from deploy.cli.options import Data
from deploy.cli.services import known_process
from deploy.cli.target import environment_of, use
from services.registry import PROCESSES


def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help=f"One of {', '.join(PROCESSES)}.")],
    worker: Annotated[
        int, typer.Option("--worker", metavar="N", min=0, help="Number of this worker, from 0, unique in its service.")
    ] = 0,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65535, help="HTTP port. Default: the configured one; 0: any free one."
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Run one worker of one service.

    It connects to Kafka and PostgreSQL as the ORDERBUS_* settings say, or with --data to those of the embedded stack.
    """
    known_process(service)
    if data is not None:
        use(environment_of(data))
    arguments = [service, "--worker", str(worker)] + ([] if port is None else ["--port", str(port)])
    raise typer.Exit(program.main(arguments))
