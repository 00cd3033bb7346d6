"""One connection to the HTTP server. It ends when its caller does not read what it is sent, or sends much beyond the
request that is being handled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import structlog
from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from shared.shell.http.problems import bad_request

log = structlog.get_logger(__name__)

SLOWEST = 8_192
"""Bytes of what waits to be sent that a caller must take within the time that is given: fewer are nothing."""
OF_A_FILE = 20
"""How many times as long a caller may take nothing of a file. A system asks for more in steps of a fraction of its
buffer: a reader at 10 kB/s, or a proxy that reads for one, may take nothing for minutes."""
UNSENT = 65_536
"""Bytes that the system keeps for a caller who takes nothing (Linux, macOS). More would hide whether they read."""

BEYOND = 65_536
"""Bytes that a caller may send beyond a request and its body: further requests, trailers."""
FRAMED = 8
"""Bytes in which one byte of a body may be sent: in the smallest of chunks."""
WAITING_REQUESTS = 1
"""Requests that may wait for the one that is being handled; then no more is read."""


class Connection(web.RequestHandler):
    __slots__ = ("_beyond", "_body", "_line", "_lost", "_since", "_taken", "_waiting", "unread_factor")

    def __init__(self, server: web.Server, lost: Callable[[Connection], None], **options: Any) -> None:
        """`lost` is called when the connection has ended."""
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._lost = lost
        self._max_msg_queue_size, self._msg_queue_resume_size = WAITING_REQUESTS, 0
        self._body: StreamReader = EMPTY_PAYLOAD
        self._beyond = 0
        self._line: asyncio.Transport | None = None
        self._waiting = self._taken = 0
        self._since = 0.0
        self.unread_factor = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = cast(asyncio.Transport, transport)
        self._since = self._loop.time()
        _keep_little(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._line = None
        super().connection_lost(exc)
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        requests, known, idle = len(self._messages), self._body.total_bytes, self._waiter is not None
        if not (requests or data):  # those that waited are taken up: reading goes on
            self._beyond = 0
        super().data_received(data)
        if len(self._messages) > requests:
            self._body, known = self._messages[-1][1], 0
            if idle:
                self._beyond = 0
        if not self._reading_paused:  # what is not parsed then is the body's
            self._beyond += max(0, len(data) - FRAMED * (self._body.total_bytes - known))
        if self._beyond > BEYOND and self._line is not None:
            self._line.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What came is no request. Neither the answer nor the log has any of it: it may be a token."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        log.info("what came is no HTTP request", peer=request.remote, kind=type(exc).__name__)
        too_long = isinstance(exc, LineTooLong)
        text = "The request's first line or a header is too long." if too_long else "This is no valid HTTP request."
        response = bad_request(text).response()
        response.force_close()
        return response

    def resume_writing(self) -> None:
        self._taken = SLOWEST
        super().resume_writing()

    def end_unread(self, now: float, timeout: float) -> None:
        """Abort if something waits to be sent, and the caller has taken none of it for so many seconds (of a file,
        OF_A_FILE times as many). To be called again and again; also after the response was written, and while the
        connection is being closed: both wait until everything is sent."""
        if self._line is None:
            return
        waiting = self._line.get_write_buffer_size()
        self._taken += max(0, self._waiting - waiting)
        self._waiting = waiting
        if not waiting or self._taken >= SLOWEST:
            self._since, self._taken = now, 0
        elif now - self._since >= timeout * self.unread_factor:
            self._line.abort()


def may_be_read_slowly(request: web.Request) -> None:
    """The response to this request is a file. Connections are few enough, and links to files signed."""
    if isinstance(request.protocol, Connection):
        request.protocol.unread_factor = OF_A_FILE


def _keep_little(transport: asyncio.BaseTransport) -> None:
    option: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    line = transport.get_extra_info("socket")
    if option is not None and line is not None:
        with suppress(OSError):
            line.setsockopt(socket.IPPROTO_TCP, option, UNSENT)
