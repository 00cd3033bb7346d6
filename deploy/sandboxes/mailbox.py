"""The mails that an SMTP sandbox took, and reading them by HTTP.

GET    /mails?to=&after=&limit=    {"count", "mails": [{"id", "to", "subject", "message_id", …}]}
GET    /mails/ID  ·  /mails/ID.eml decoded, or as it came
PUT    /control/smtp               {"answer": 451, "delay": 1.5, "times": 3, "every": 5};  DELETE ends it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import MIMEPart
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from aiohttp import web

from deploy.sandboxes.faults import Faults
from deploy.sandboxes.journal import Journal
from deploy.sandboxes.server import fault_routes, reply, window

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

    def open_routes(self) -> Sequence[web.RouteDef]:
        return ()

    def guarded_routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/mails", self._list),
            web.get("/mails/{id:[0-9]+}.eml", self._raw),
            web.get("/mails/{id:[0-9]+}", self._read),
            *fault_routes("smtp", lambda _: self.faults),
        ]

    def health(self) -> dict[str, int]:
        return {"mails": len(self)}

    async def _list(self, request: web.Request) -> web.Response:
        mails = self.list(request.query.get("to"), *window(request))
        return reply({"count": len(self), "mails": mails})

    async def _read(self, request: web.Request) -> web.Response:
        mail = self.read(request.match_info["id"])
        return reply(mail) if mail else _no_such_mail()

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        path = self.path(request.match_info["id"])
        return web.FileResponse(path) if path.is_file() else _no_such_mail()


def _no_such_mail() -> web.Response:
    return reply({"error": "There is no such mail."}, 404)


def body_text(part: MIMEPart | None) -> str | None:
    return part.get_content().replace("\r\n", "\n") if part else None


def readable(header: Any) -> str:
    """A header decoded from RFC 2047, or as it came where that fails."""
    try:
        return str(make_header(decode_header(str(header))))
    except (UnicodeError, LookupError, ValueError):
        return str(header)
