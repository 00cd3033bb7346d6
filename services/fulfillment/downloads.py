"""The files of signed links, the log of their downloads, and links made again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.download_log import Caller, DownloadLog, LoggedDownload
from services.fulfillment.gateways.links import BadLink, Claim, Links
from services.fulfillment.storage import Queries
from shared.contracts.fulfillment import Download, Execution
from shared.contracts.values import Given
from shared.shell.http.access import FindStore, add_public, add_route, found_by
from shared.shell.http.connection import may_be_read_slowly
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header
from shared.shell.http.limits import LIMITS
from shared.shell.http.problems import ProblemResponse, json_response, not_found
from shared.shell.http.requests import body_in, header_in
from shared.shell.http.web import READ_REFUSED

RANGE = Header("Range", "A part of the file (RFC 9110, 14.2). Of several parts the whole file is sent.")
IF_RANGE = Header("If-Range", "The part only if the file is still this one, by its ETag or time; else the whole file.")
AGENT = Header("User-Agent", "What the caller is; kept in the log of downloads.")
DOWNLOAD = Declaration(
    "The file of a signed link",
    (
        DeclaredResponse(None, media="application/octet-stream", description="The file, of whatever type it is."),
        DeclaredResponse(None, HTTPStatus.PARTIAL_CONTENT, media="application/octet-stream"),
        DeclaredResponse(None, HTTPStatus.FOUND, media="", description="The file is elsewhere."),
        DeclaredResponse(None, HTTPStatus.NOT_MODIFIED, media=""),
        DeclaredResponse(None, HTTPStatus.PRECONDITION_FAILED, media=""),
        DeclaredResponse(None, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, media=""),
    ),
    headers=(RANGE, IF_RANGE, AGENT),
    refused=(*READ_REFUSED, HTTPStatus.GONE),
)
DOWNLOADS = Declaration(
    "What was downloaded of an order: when, from where, by what", (DeclaredResponse(list[LoggedDownload]),)
)
UNCACHED = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


class RenewedItem(Given):
    item: Execution
    """The item, or `1/2` for its second action."""


class RenewedLink(Given):
    link: str
    expires: datetime


RENEW = Declaration(
    "Make the link of a delivered download again, with its whole time and limit",
    (DeclaredResponse(RenewedLink),),
    body=RenewedItem,
    refused=(HTTPStatus.CONFLICT,),
)


def add_downloads(application: web.Application, downloads: Downloads, store_of: FindStore) -> None:
    scope = found_by(store_of)
    add_public(application, "GET", "/downloads/{token}", downloads.serve, DOWNLOAD)
    add_route(application, "GET", "/orders/{key}/downloads", downloads.logged, "delivery.read", scope, DOWNLOADS)
    path = "/orders/{key}/downloads/renew"
    add_route(application, "POST", path, downloads.renew, "download.renew", scope, RENEW)


class Downloads:
    """Serves the file of a signed link, as long as the link has not expired and its item is not revoked."""

    def __init__(
        self,
        queries: Queries,
        store_of: FindStore,
        links: Links,
        files: Path | None,
        log: DownloadLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queries = queries
        self._store_of = store_of
        self._links = links
        self._files = files.resolve() if files else None
        self._log = log
        self._clock = clock

    async def serve(self, request: web.Request) -> web.StreamResponse:
        try:
            claim = self._links.read(request.match_info["token"])
        except BadLink:
            raise not_found("download") from None
        if claim.expires <= self._clock():
            raise ProblemResponse(HTTPStatus.GONE, "This link has expired. Ask the shop for a new one.", "expired")
        action = delivered_download(await self._queries.item(claim.order, claim.item))
        if action is None:
            raise ProblemResponse(HTTPStatus.GONE, "Access to this download was revoked.", "revoked")
        is_sent = True
        if action.file.startswith(("http://", "https://")):
            response: web.StreamResponse = web.Response(status=302, headers={"Location": action.file, **UNCACHED})
        else:
            may_be_read_slowly(request)
            found = self._found(await self._store_of(claim.order) or "", action.file)
            response = _response(found, request)
            is_sent = not isinstance(response, web.FileResponse) or _is_sent(found, request)
        if request.method != "HEAD" and is_sent:
            await self._count(request, claim, action.limit)
        return response

    async def _count(self, request: web.Request, claim: Claim, limit: int) -> None:
        """Raises ProblemResponse if the link was used as often as it may be."""
        caller = Caller(request[LIMITS].address_of(request), _text(header_in(request, AGENT)))
        begins = _begins(header_in(request, RANGE))
        if not await self._log.admit(claim, caller, self._clock(), limit, begins=begins):
            title = "This link was used as often as it may be. Ask the shop for a new one."
            raise ProblemResponse(HTTPStatus.GONE, title, "used_up")

    def _found(self, store: str, name: str) -> Path:
        """A store has a folder of its own. Raises ProblemResponse."""
        folder = self._files / store if self._files and store else None
        found = (folder / name).resolve() if folder else None
        if not (found and folder and found.is_relative_to(folder) and found.is_file()):
            raise ProblemResponse(
                HTTPStatus.NOT_FOUND, "This file is no longer available. Contact the shop.", "not_found"
            )
        return found

    async def logged(self, request: web.Request) -> web.StreamResponse:
        return json_response([asdict(one) for one in await self._log.of(request.match_info["key"])])

    async def renew(self, request: web.Request) -> web.StreamResponse:
        """By the store, for its page where the customer asks. What was sent before works until it expires."""
        order, given = request.match_info["key"], await body_in(request, RenewedItem, "item")
        action = delivered_download(await self._queries.item(order, given.item))
        if action is None:
            text = f"Item {given.item} is no download that the customer has."
            raise ProblemResponse(HTTPStatus.CONFLICT, text, "nothing_to_renew")
        expires = (self._clock() + action.expires_after).replace(microsecond=0) + timedelta(seconds=1)  # rounded up
        return json_response({"link": self._links.url(Claim(order, given.item, expires)), "expires": expires})


def delivered_download(item: Item | None) -> Download | None:
    """None when it is not delivered, or revoked."""
    if item is None or item.status is not ItemStatus.DELIVERED or not isinstance(item.action, Download):
        return None
    return item.action


def disposition(name: str) -> str:
    """For any name of a file (RFC 6266, RFC 8187): readers that know no `filename*` get it in ASCII."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%/' else "_" for char in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def _begins(range: str) -> bool:
    """Whether this asks for the beginning of the file, or for what may be the whole of it."""
    later = re.fullmatch(r"bytes=0*[1-9][0-9]*-[0-9]*", range.replace(" ", ""))
    return later is None


def _response(found: Path, request: web.Request) -> web.StreamResponse:
    headers = {"Content-Disposition": disposition(found.name), **UNCACHED}
    status = found.stat()
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'  # as aiohttp makes it
    condition = header_in(request, IF_RANGE)
    another = bool(condition) and condition != tag and request.if_range is None
    if another or "," in header_in(request, RANGE):
        whole = headers | {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        return web.Response(body=found.open("rb"), headers=whole)
    return web.FileResponse(found, headers=headers)


def _is_sent(found: Path, request: web.Request) -> bool:
    """Whether the file, or a part of it, comes with the answer (RFC 9110, 13.2.2). So aiohttp decides it afterwards."""
    file = found.stat()
    tag, changed = f"{file.st_mtime_ns:x}-{file.st_size:x}", file.st_mtime
    match, none, since = request.if_match, request.if_none_match, request.if_modified_since
    if match is not None and not any(one.value in (tag, "*") and not one.is_weak for one in match):
        return False
    if match is None and (before := request.if_unmodified_since) and changed > before.timestamp():
        return False
    if none is not None and any(one.value in (tag, "*") for one in none):
        return False
    if none is None and since and changed <= since.timestamp():
        return False
    try:
        start = request.http_range.start
    except ValueError:
        return False
    return start is None or start < file.st_size


def _text(header: str) -> str:
    """As it can be kept and shown: what is no UTF-8, and what is not printable, is replaced."""
    return "".join(char if char.isprintable() else "\ufffd" for char in header)
