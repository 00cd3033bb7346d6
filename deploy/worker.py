"""Runs one worker of one service: `python -m deploy.worker checkout --worker 0 --port 8081`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Coroutine
from typing import Any

from deploy.settings import load_process_settings, not_read
from services.registry import PROCESSES, READERS, factory_of, reader_of
from shared.errors import ReportedError
from shared.settings import WrongSettings
from shared.shell.event_loop import run
from shared.shell.observability.telemetry import configure_logging
from shared.shell.worker import run_worker


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="orderbus run", description="Run one worker of one service.")
    parser.add_argument("service", choices=PROCESSES)
    parser.add_argument("--worker", type=int, default=0, help="index of this worker: its name in the consumer group")
    parser.add_argument("--port", type=int, default=None, help="HTTP port, instead of the configured one (0: any free)")
    given = parser.parse_args(arguments)
    try:
        settings = load_process_settings(given.service)
    except WrongSettings as wrong:
        print(wrong, file=sys.stderr)
        return 2
    if given.port is not None:
        settings.edge(given.service).http_port = given.port
    if problem := settings.problem():
        print(problem, file=sys.stderr)
        return WrongSettings.exit_code
    log = configure_logging(settings.telemetry, given.service, f"{given.service}-{given.worker}")
    if names := not_read():
        log.warning("these variables are no settings of this build", names=names)
    work: Coroutine[Any, Any, object]
    if given.service in READERS:
        work = reader_of(given.service)(settings, given.worker, given.port)
    else:
        factory = factory_of(given.service)
        work = run_worker(given.service, factory, settings, given.worker, given.port)
    try:
        run(work)
    except ReportedError as wrong:
        print(f"{given.service}: {wrong}", file=sys.stderr)
        return wrong.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
