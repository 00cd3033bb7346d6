"""The files of signed links, the log of their downloads, and links made again."""

from __future__ import annotations

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
        if action.file.startswith(("http://", "https://")):
            response: web.StreamResponse = web.Response(status=302, headers={"Location": action.file, **UNCACHED})
        else:
            may_be_read_slowly(request)
            response = self._file(await self._store_of(claim.order) or "", action.file, request)
        if request.method != "HEAD":
            await self._count(request, claim, action.limit)
        return response

    async def _count(self, request: web.Request, claim: Claim, limit: int) -> None:
        """Raises ProblemResponse if the link was used as often as it may be."""
        caller = Caller(request[LIMITS].address_of(request), header_in(request, AGENT))
        begins = _begins(header_in(request, RANGE))
        if not await self._log.admit(claim, caller, self._clock(), limit, begins=begins):
            title = "This link was used as often as it may be. Ask the shop for a new one."
            raise ProblemResponse(HTTPStatus.GONE, title, "used_up")

    def _file(self, store: str, name: str, request: web.Request) -> web.StreamResponse:
        """A store has a folder of its own."""
        folder = self._files / store if self._files and store else None
        found = (folder / name).resolve() if folder else None
        if not (found and folder and found.is_relative_to(folder) and found.is_file()):
            raise ProblemResponse(
                HTTPStatus.NOT_FOUND, "This file is no longer available. Contact the shop.", "not_found"
            )
        headers = {"Content-Disposition": disposition(found.name), **UNCACHED}
        status = found.stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'  # as aiohttp makes it
        condition = header_in(request, IF_RANGE)
        another = condition.startswith(('"', "W/")) and condition != tag
        if another or "," in header_in(request, RANGE):
            whole = headers | {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
            return web.Response(body=found.open("rb"), headers=whole)
        return web.FileResponse(found, headers=headers)

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
    """Whether this asks for the beginning of the file."""
    first = range.replace(" ", "").partition("=")[2].partition("-")[0]
    return "," in range or not first.isdigit() or int(first) == 0
