"""An SMTP server that accepts every mail and keeps it, for the demo and for tests: `python -m deploy.sandboxes.smtp`.

An asyncio protocol written for this: aiosmtpd costs several coroutines a line, this one a function call. It speaks
what the mail gateway uses of RFC 5321: EHLO, MAIL, RCPT, DATA, RSET, NOOP, VRFY, QUIT; PIPELINING, 8BITMIME,
SMTPUTF8, SIZE.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from deploy.sandboxes.mailbox import Mailbox
from deploy.sandboxes.server import LOOPBACK, application, arguments_of, serve, token_of
from shared.shell.event_loop import run

LARGEST = 10_000_000
"""Bytes of one mail."""
LONGEST_LINE = 4096
END_OF_DATA = b"\r\n.\r\n"
ADDRESS = re.compile(rb"<([^>]*)>")


class SmtpSession(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, mailbox: Mailbox, sessions: set[SmtpSession]) -> None:
        self._mailbox = mailbox
        self._sessions = sessions
        self._buffer = bytearray()
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._in_data = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one only in behaviour
        self._sessions.add(self)
        self._reply("220 orderbus sink ESMTP")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sessions.discard(self)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._work()

    def _work(self) -> None:
        while not self._paused and not self._transport.is_closing():
            if not (self._take_mail() if self._in_data else self._take_line()):
                return

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > LONGEST_LINE:
                self._reply("500 5.5.2 Line too long")
                self._transport.close()
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        verb, _, rest = line.partition(b" ")
        answer = self._verbs.get(verb.upper())
        if answer:
            answer(self, rest)
        else:
            self._reply("500 5.5.1 Command not recognised")
        return True

    def _take_mail(self) -> bool:
        if self._buffer.startswith(b".\r\n"):  # a mail without a line
            end, skip = 0, 3
        else:
            end, skip = self._buffer.find(END_OF_DATA), len(END_OF_DATA)
        if end < 0:
            if len(self._buffer) > LARGEST:
                self._reply("552 5.3.4 Mail too large")
                self._transport.close()
            return False
        content = bytes(self._buffer[:end]) + b"\r\n"
        del self._buffer[: end + skip]
        self._in_data = False
        if content.startswith(b"."):
            content = content[1:]
        self._keep_or_refuse(content.replace(b"\r\n..", b"\r\n."))
        return True

    def _keep_or_refuse(self, content: bytes) -> None:
        fault = self._mailbox.faults.take()
        if fault is None:
            return self._keep(content)
        self._paused = True
        asyncio.get_running_loop().call_later(fault.delay, self._after_fault, fault.answer, content)
        return None

    def _after_fault(self, answer: int | None, content: bytes) -> None:
        self._paused = False
        if self._transport.is_closing():
            return
        if answer is None:
            self._keep(content)
        else:
            self._forget()
            self._reply(f"{answer} {answer // 100}.3.0 Refused, as the test asked for")
        self._work()

    def _keep(self, content: bytes) -> None:
        assert self._sender is not None
        try:
            mail_id = self._mailbox.keep(self._sender, self._recipients, content)
        except OSError as failure:
            self._reply(f"452 4.3.1 Cannot keep the mail: {failure.strerror}")
        else:
            self._reply(f"250 2.0.0 Kept as {mail_id}")
        self._forget()

    def _forget(self) -> None:
        self._sender, self._recipients = None, []

    def _reply(self, *lines: str) -> None:
        self._transport.write("".join(f"{line}\r\n" for line in lines).encode())

    def _ehlo(self, _: bytes) -> None:
        self._forget()
        self._reply("250-orderbus sink", f"250-SIZE {LARGEST}", "250-PIPELINING", "250-8BITMIME", "250 SMTPUTF8")

    def _helo(self, _: bytes) -> None:
        self._forget()
        self._reply("250 orderbus sink")

    def _mail(self, rest: bytes) -> None:
        address = ADDRESS.search(rest)
        if not rest.upper().startswith(b"FROM:") or not address:
            self._reply("501 5.5.4 Expected MAIL FROM:<address>")
        elif self._sender is not None:
            self._reply("503 5.5.1 One mail at a time")
        else:
            self._sender = address[1].decode("utf-8", "replace")
            self._reply("250 2.1.0 OK")

    def _rcpt(self, rest: bytes) -> None:
        address = ADDRESS.search(rest)
        if not rest.upper().startswith(b"TO:") or not address or not address[1]:
            self._reply("501 5.5.4 Expected RCPT TO:<address>")
        elif self._sender is None:
            self._reply("503 5.5.1 MAIL first")
        else:
            self._recipients.append(address[1].decode("utf-8", "replace"))
            self._reply("250 2.1.5 OK")

    def _data(self, _: bytes) -> None:
        if not self._recipients:
            self._reply("503 5.5.1 RCPT first")
        else:
            self._in_data = True
            self._reply("354 End with a dot on a line of its own")

    def _rset(self, _: bytes) -> None:
        self._forget()
        self._reply("250 2.0.0 OK")

    def _noop(self, _: bytes) -> None:
        self._reply("250 2.0.0 OK")

    def _vrfy(self, _: bytes) -> None:
        self._reply("252 2.0.0 Try and see")

    def _quit(self, _: bytes) -> None:
        self._reply("221 2.0.0 Bye")
        self._transport.close()

    _verbs: dict[bytes, Callable[[SmtpSession, bytes], None]] = {  # noqa: RUF012  (a constant)
        b"EHLO": _ehlo,
        b"HELO": _helo,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"QUIT": _quit,
    }


class SmtpSink:
    """The listening server."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._sessions: set[SmtpSession] = set()

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SmtpSession(self._mailbox, self._sessions), host, port)
        try:
            yield
        finally:
            server.close()
            for session in list(self._sessions):
                session.close()
            await server.wait_closed()


def main() -> None:
    parser = arguments_of(
        "deploy.sandboxes.smtp", "An SMTP server that keeps every mail, and an HTTP port on which to read them."
    )
    parser.add_argument("--smtp-port", type=int, default=2525, help="port for mail (default: %(default)s)")
    given = parser.parse_args()
    token, mailbox = token_of(parser), Mailbox(given.data)
    listening = SmtpSink(mailbox).listening(LOOPBACK, given.smtp_port)
    run(serve(application(token, [mailbox]), given.http_port, listening))


if __name__ == "__main__":
    main()
