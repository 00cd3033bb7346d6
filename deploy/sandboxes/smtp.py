"""An SMTP server that accepts every mail and keeps it, for the demo and for tests.

An asyncio protocol of our own: aiosmtpd costs several coroutines a line, this one a function call. It speaks what a
client of ours uses of RFC 5321: EHLO, MAIL, RCPT, DATA, RSET, NOOP, VRFY, QUIT; PIPELINING, 8BITMIME, SMTPUTF8, SIZE.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import MIMEPart
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, cast

from deploy.sandboxes.faults import Faults
from deploy.sandboxes.journal import Journal

LARGEST = 10_000_000
"""Bytes of one mail."""
LONGEST_LINE = 4096
END_OF_DATA = b"\r\n.\r\n"
ADDRESS = re.compile(rb"<([^>]*)>")
HEADERS = BytesHeaderParser(policy=policy.compat32)


class Mailbox:
    """The mails that arrived: each a file `mails/000/000001.eml`, with a line in `mails.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = Faults()
        self._journal = Journal(folder / "mails.jsonl")
        self._places: list[int] = []
        self._to: dict[str, list[int]] = defaultdict(list)
        for place, entry in self._journal.replay():
            self._remember(place, entry)

    def _remember(self, place: int, entry: dict[str, Any]) -> None:
        number = len(self._places)
        self._places.append(place)
        for address in entry["to"]:
            self._to[address.lower()].append(number)

    def keep(self, sender: str, recipients: list[str], content: bytes) -> str:
        """Returns the mail's id."""
        mail_id = f"{len(self._places) + 1:06d}"
        headers = HEADERS.parsebytes(content[: content.find(b"\r\n\r\n") + 2] if b"\r\n\r\n" in content else content)
        entry = {
            "id": mail_id,
            "received": datetime.now(UTC).isoformat(),
            "from": sender,
            "to": recipients,
            "subject": readable(headers.get("Subject", "")),
            "message_id": str(headers.get("Message-ID", "")).strip(),
            "size": len(content),
        }
        try:
            self.path(mail_id).write_bytes(content)
        except FileNotFoundError:  # the first of a thousand
            self.path(mail_id).parent.mkdir(parents=True)
            self.path(mail_id).write_bytes(content)
        self._remember(self._journal.append(entry), entry)
        return mail_id

    def path(self, mail_id: str) -> Path:
        return self.folder / "mails" / mail_id[:-3] / f"{mail_id}.eml"

    def __len__(self) -> int:
        return len(self._places)

    def list(self, to: str | None = None, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Oldest first, those with an id above `after`."""
        numbers = self._to.get(to.lower(), []) if to else range(after, len(self._places))
        wanted = [number for number in numbers if number >= after][:limit]
        return [self._journal.read(self._places[number]) for number in wanted]

    def read(self, mail_id: str) -> dict[str, Any] | None:
        """The entry, with all headers and both bodies decoded."""
        if not mail_id.isdigit() or not 1 <= int(mail_id) <= len(self._places):
            return None
        entry = self._journal.read(self._places[int(mail_id) - 1])
        mail = message_from_bytes(self.path(entry["id"]).read_bytes(), policy=policy.default)
        return entry | {
            "headers": [[name, str(value)] for name, value in mail.items()],
            "text": body_text(mail.get_body(("plain",))),
            "html": body_text(mail.get_body(("html",))),
        }


def body_text(part: MIMEPart | None) -> str | None:
    return part.get_content().replace("\r\n", "\n") if part else None


def readable(header: Any) -> str:
    """A header decoded from RFC 2047, or as it came where that fails."""
    try:
        return str(make_header(decode_header(str(header))))
    except (UnicodeError, LookupError, ValueError):
        return str(header)


class SmtpSession(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, mailbox: Mailbox, sessions: "set[SmtpSession]") -> None:
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

    _verbs: dict[bytes, "Callable[[SmtpSession, bytes], None]"] = {  # noqa: RUF012  (a constant)
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

    async def start(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SmtpSession(self._mailbox, self._sessions), host, port)

    async def stop(self) -> None:
        self._server.close()
        for session in list(self._sessions):
            session.close()
        await self._server.wait_closed()
