"""The HTTP server of one worker: connections are limited, and none is kept open by a caller that sends or reads
nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_runner import BaseSite

from shared.errors import ReportedError
from shared.shell.http.access import PROBE, access_of
from shared.shell.http.arrivals import Arrival, KeptBack, WithoutRoom
from shared.shell.http.connection import Connection
from shared.shell.http.limits import Limits, client_of

log = structlog.get_logger(__name__)

KEEP_ALIVE = 30.0
"""Seconds that a connection is kept for the (next) request's headers."""
UNREAD = 30.0
"""Seconds after which a connection ends whose caller takes nothing of what is to be sent."""
LINGER = 1.0
"""Seconds that the rest of a body is read and dropped after its request was answered, so that the answer arrives."""
LINE = 32_768
"""Bytes of a request's first line, and of a header: a text of 2,000 characters in a query is up to 24,000."""
READ_BUFFER = 16_384
"""Bytes of a body that wait in memory until it is read."""


class CannotListen(ReportedError):
    exit_code = 4

    def __init__(self, host: str, port: int, trouble: OSError) -> None:
        super().__init__(
            f"{host}:{port} cannot be listened on ({trouble.strerror}). Correct HTTP_HOST and HTTP_PORT (or --port), "
            "or end the program that listens there."
        )


class LimitedSite(BaseSite):
    """Listens on one address, with a number of open connections at most."""

    def __init__(
        self, runner: web.AppRunner, place: tuple[str, int], limits: Limits, options: Mapping[str, Any], unread: float
    ) -> None:
        super().__init__(runner)
        self._address = place
        self._limits = limits
        self._of_address = max(1, int(limits.settings.connections * limits.settings.address_share))
        self._options = options
        self._unread = unread
        self._open: dict[Connection, str] = {}
        self._by_client: Counter[str] = Counter()
        self._kept_back = KeptBack(_probes(runner.app), lambda: self._connection(""))
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        await super().start()
        host, port = self._address
        self._watch = asyncio.create_task(self._end_unread(), name="unread connections")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Arrival(self._serve), host, port, backlog=self._backlog)

    def _serve(self, address: str) -> asyncio.Protocol:
        server, client = self._runner.server, client_of(address)
        assert server is not None
        if self._limits.is_proxy(address):
            client = ""
        full = len(server.connections) - self._kept_back.used >= self._limits.settings.connections
        if full or (client and self._by_client[client] >= self._of_address):
            return WithoutRoom(self._kept_back)
        return self._connection(client)

    def _connection(self, client: str) -> Connection:
        """`client`: whose connections it counts with; empty: with no one's."""
        assert self._runner.server is not None
        connection = Connection(self._runner.server, self._closed, **self._options)
        self._open[connection] = client
        self._by_client[client] += 1
        return connection

    def _closed(self, connection: Connection) -> None:
        client = self._open.pop(connection)
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]

    async def stop(self) -> None:
        await super().stop()
        if self._watch is not None:
            self._watch.cancel()

    async def _end_unread(self) -> None:
        while True:
            await asyncio.sleep(self._unread / 10)
            now = asyncio.get_running_loop().time()
            for connection in tuple(self._open):
                connection.end_unread(now, self._unread)


def _probes(app: web.Application) -> set[str]:
    return {
        route.resource.canonical
        for route in app.router.routes()
        if route.resource is not None and access_of(route.handler) is PROBE
    }


async def serve(
    app: web.Application, host: str, port: int, limits: Limits | None = None, *, unread: float = UNREAD
) -> web.AppRunner:
    """Listen; `cleanup()` what is returned. Port 0 picks a free one, which the log names. Raises CannotListen."""
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=5)
    await runner.setup()
    options: dict[str, Any] = {
        "access_log": None,
        "keepalive_timeout": KEEP_ALIVE,
        "lingering_time": LINGER,
        "max_line_size": LINE,
        "max_field_size": LINE,
        "read_bufsize": READ_BUFFER,
        "auto_decompress": False,
    }
    try:
        await LimitedSite(runner, (host, port), limits or Limits(), options, unread).start()
    except OSError as trouble:
        await runner.cleanup()
        raise CannotListen(host, port, trouble) from None
    for address in runner.addresses:
        log.info("listening", host=address[0], port=address[1])
    return runner
