"""The HTTP server of one worker: connections are limited, and none is kept open by a caller that sends or reads
nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.web_runner import BaseSite

from shared.errors import ReportedError
from shared.shell.http.connection import Connection

log = structlog.get_logger(__name__)

KEEP_ALIVE = 30.0
"""Seconds that a connection is kept for the (next) request's headers."""
UNREAD = 30.0
"""Seconds after which a connection ends whose caller takes nothing of what is to be sent."""
LINGER = 1.0
"""Seconds that the rest of a body is read and dropped after its request was answered, so that the answer arrives."""
READ_BUFFER = 16_384
"""Bytes of a body that wait in memory until it is read."""
_SAID = b'{"type":"urn:orderbus:problem:busy","title":"Too many connections are open.","status":503,"code":"busy"}'
FULL = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        b"Retry-After: 5",
        b"Connection: close",
        b"Content-Type: application/problem+json",
        f"Content-Length: {len(_SAID)}".encode(),
        b"",
        _SAID,
    )
)


class CannotListen(ReportedError):
    exit_code = 4

    def __init__(self, host: str, port: int, trouble: OSError) -> None:
        super().__init__(
            f"{host}:{port} cannot be listened on ({trouble.strerror}). Correct HTTP_HOST and HTTP_PORT (or --port), "
            "or end the program that listens there."
        )


class Refusing(asyncio.Protocol):
    """Answers the first request on a connection for which there is no room. (An answer before it would be lost: what
    arrives on a closed connection resets it.)"""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._silent = asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(FULL)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._silent.cancel()


class LimitedSite(BaseSite):
    """Listens on one address, with a number of open connections at most."""

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        connections: int,
        options: Mapping[str, Any],
        unread: float,
    ) -> None:
        super().__init__(runner)
        self._address = (host, port)
        self._most = connections
        self._options = options
        self._unread = unread
        self._open: set[Connection] = set()
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        assert server is not None

        def protocol() -> asyncio.Protocol:
            if len(server.connections) >= self._most:
                return Refusing()
            connection = Connection(server, self._open.discard, **self._options)
            self._open.add(connection)
            return connection

        host, port = self._address
        self._watch = asyncio.create_task(self._end_unread(), name="unread connections")
        self._server = await asyncio.get_running_loop().create_server(protocol, host, port, backlog=self._backlog)

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


async def serve(
    app: web.Application, host: str, port: int, connections: int = 4000, *, unread: float = UNREAD
) -> web.AppRunner:
    """Listen; `cleanup()` what is returned. Port 0 picks a free one, which the log names. Raises CannotListen."""
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=5)
    await runner.setup()
    options: dict[str, Any] = {
        "access_log": None,
        "keepalive_timeout": KEEP_ALIVE,
        "lingering_time": LINGER,
        "read_bufsize": READ_BUFFER,
        "auto_decompress": False,
    }
    try:
        await LimitedSite(runner, host, port, connections, options, unread).start()
    except OSError as trouble:
        await runner.cleanup()
        raise CannotListen(host, port, trouble) from None
    for address in runner.addresses:
        log.info("listening", host=address[0], port=address[1])
    return runner
