"""Serves a service's HTTP API alone, and prints its port.

python -m tests.integration.edge_server SERVICE DATABASE_URL
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import structlog

from shared.settings import HttpSettings
from shared.shell.event_loop import run
from shared.shell.http.limits import Limits
from shared.shell.http.server import serve
from tests.http_edges import NOWHERE, exchange, request_of, service_edge

ONE_ADDRESS = Limits(HttpSettings(address_share=1))


async def main(service: str, database: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    runner = await serve(service_edge(service, database).application, "127.0.0.1", 0, ONE_ADDRESS)
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(service: str, database: str = NOWHERE) -> AsyncIterator[tuple[psutil.Process, int]]:
    """A process of its own, and its port."""
    command = (sys.executable, "-m", "tests.integration.edge_server", service, database)
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout
        port = int(await child.stdout.readline())
        assert await exchange(port, request_of("GET", "/health")) == 200
        yield psutil.Process(child.pid), port
    finally:
        child.kill()
        await child.wait()


if __name__ == "__main__":
    run(main(sys.argv[1], sys.argv[2]))
