"""One connection to the HTTP server, which ends when its caller does not read what it is sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from aiohttp import web

SLOWEST = 8_192
"""Bytes of what waits to be sent that a caller must take within the time that is given: fewer are nothing."""
UNSENT = 65_536
"""Bytes that the system keeps for a caller who takes nothing (Linux, macOS). More would hide whether they read."""


class Connection(web.RequestHandler):
    __slots__ = ("_line", "_lost", "_since", "_taken", "_waiting")

    def __init__(self, server: web.Server, lost: Callable[[Connection], None], **options: Any) -> None:
        """`lost` is called when the connection has ended."""
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._lost = lost
        self._line: asyncio.Transport | None = None
        self._waiting = self._taken = 0
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = cast(asyncio.Transport, transport)
        self._since = self._loop.time()
        _keep_little(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._line = None
        super().connection_lost(exc)
        self._lost(self)

    def resume_writing(self) -> None:
        self._taken = SLOWEST
        super().resume_writing()

    def end_unread(self, now: float, timeout: float) -> None:
        """Abort if something waits to be sent, and the caller has taken none of it for so many seconds. To be called
        again and again; also after the response was written, and while the connection is being closed: both wait until
        everything is sent."""
        if self._line is None:
            return
        waiting = self._line.get_write_buffer_size()
        self._taken += max(0, self._waiting - waiting)
        self._waiting = waiting
        if not waiting or self._taken >= SLOWEST:
            self._since, self._taken = now, 0
        elif now - self._since >= timeout:
            self._line.abort()


def _keep_little(transport: asyncio.BaseTransport) -> None:
    option: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    line = transport.get_extra_info("socket")
    if option is not None and line is not None:
        with suppress(OSError):
            line.setsockopt(socket.IPPROTO_TCP, option, UNSENT)
