"""Who gets a connection to the HTTP server: everyone, until all are open, or one address has its share of them. Probes
get one of those that are kept back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import cast

from aiohttp import web

from shared.shell.http.limits import SHARE, Budget, client_of

KEPT_BACK = 32
"""Connections for probes alone; one address has a quarter of them at most."""
REQUEST_SECONDS = 1.0
"""Seconds that a caller for whom there is no room has for its request."""
PROBE_SECONDS = 5.0
"""Seconds after which a connection that was kept back is closed, read or not."""
MOST = 8_192
"""Bytes of a probe's request."""
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
Serve = Callable[[], web.RequestHandler]
"""Makes the protocol of one connection."""


def address_of(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


class KeptBack(Budget):
    """The connections that are kept back for probes, and what answers these."""

    def __init__(self, paths: Collection[str], serve: Serve) -> None:
        super().__init__(KEPT_BACK, KEPT_BACK // SHARE)
        self.paths, self.serve = frozenset(paths), serve


class WithoutRoom(asyncio.Protocol):
    """A connection for which there is no room. Its first request is answered if it is a probe's, and refused otherwise.
    (An answer before it would be lost: what arrives on a closed connection resets it.)"""

    def __init__(self, kept_back: KeptBack) -> None:
        self._kept_back = kept_back
        self._head = b""
        self._probe: web.RequestHandler | None = None
        self._client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client = client_of(address_of(transport))
        self._end = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._probe is not None or self._transport.is_closing():
            return
        self._head += data
        line, complete, _ = self._head.partition(b"\r\n")
        if complete and not self._asks_for_probe(line):
            self._refuse()
        elif self._head.endswith(b"\r\n\r\n"):
            self._answer()
        elif len(self._head) > MOST:
            self._refuse()

    def _asks_for_probe(self, line: bytes) -> bool:
        method, _, rest = line.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        return method in (b"GET", b"HEAD") and path.decode("latin-1") in self._kept_back.paths

    def _answer(self) -> None:
        """One request, and no more is read."""
        if not self._kept_back.take(self._client):
            self._refuse()
            return
        self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(PROBE_SECONDS, self._transport.abort)
        self._probe = self._kept_back.serve()
        self._probe.connection_made(self._transport)
        self._probe.data_received(self._head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        self._probe.close()

    def _refuse(self) -> None:
        self._transport.write(FULL)
        self._transport.close()

    def pause_writing(self) -> None:
        if self._probe is not None:
            self._probe.pause_writing()

    def resume_writing(self) -> None:
        if self._probe is not None:
            self._probe.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        if self._probe is not None:
            self._kept_back.release(self._client)
            self._probe.connection_lost(exc)


class Arrival(asyncio.Protocol):
    """A connection that was just made: who calls decides what serves it."""

    def __init__(self, serve: Callable[[str], asyncio.Protocol]) -> None:
        """`serve` takes an address."""
        self._serve = serve

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._serve(address_of(transport))
        cast(asyncio.Transport, transport).set_protocol(protocol)
        protocol.connection_made(transport)
