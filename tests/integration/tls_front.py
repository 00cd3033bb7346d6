"""TLS in front of a PostgreSQL server that was built without it: clients see a server with TLS (PostgreSQL, "SSL
Session Encryption")."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


class TlsFront:
    """`sessions`: of each, its application_name and whether it came by TLS."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.sessions: list[tuple[str, bool]] = []
        self._port, self._context = port, context

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            first, tls = await reader.readexactly(8), False
            if first == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(self._context)
                first, tls = await reader.readexactly(8), True
            startup = first + await reader.readexactly(int.from_bytes(first[:4]) - 8)
            fields = startup[8:].split(b"\0")
            name = fields[fields.index(b"application_name") + 1] if b"application_name" in fields else b""
            self.sessions.append((name.decode(), tls))
            behind, ahead = await asyncio.open_connection("127.0.0.1", self._port)
            ahead.write(startup)
            try:
                await asyncio.gather(_copy(reader, ahead), _copy(behind, writer))
            finally:
                ahead.close()
        writer.close()


class RefusingFront:
    """Takes part in handshakes and, like PostgreSQL, reads no further where the client's certificate is not one of its
    authorities': TLS 1.3 lets the client send before it knows."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._listening = socket.create_server(("127.0.0.1", port))
        self._context = context

    def serve(self) -> None:
        """Until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                with client:
                    client.recv(8)
                    client.sendall(b"S")
                    with suppress(ssl.SSLError), self._context.wrap_socket(client, server_side=True):
                        pass

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_front(server: int, port: int, context: ssl.SSLContext) -> AsyncIterator[TlsFront]:
    """On `port`, in front of the server on port `server`."""
    front = TlsFront(server, context)
    listening = await asyncio.start_server(front.serve, "127.0.0.1", port)
    try:
        yield front
    finally:
        listening.close()
