"""Serves payments' HTTP API without a database: `python -m tests.integration.half_sent_server`. Prints its port."""

from __future__ import annotations

import asyncio
import sys

import structlog

from shared.shell.event_loop import run
from shared.shell.http.server import serve
from tests.http_edges import service_edge


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    runner = await serve(service_edge("payments").application, "127.0.0.1", 0)
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main())
