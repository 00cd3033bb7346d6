"""The files of signed links, the log of their downloads, and links made again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from aiohttp import web

from services.fulfillment.domain.delivery import CANCELLED, Item, ItemStatus
from services.fulfillment.download_log import Caller, DownloadLog, LoggedDownload
from services.fulfillment.file_response import IF_RANGE, RANGE, UNCACHED, send_file
from services.fulfillment.gateways.files import FileStore
from services.fulfillment.gateways.links import BadLink, Claim, Links
from services.fulfillment.storage import Queries
from shared.contracts.fulfillment import Download
from shared.contracts.values import Execution, Given, Line
from shared.shell.http.access import FindStore, add_public, add_route, found_by
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header
from shared.shell.http.limits import LIMITS
from shared.shell.http.problems import ProblemResponse, json_response, not_found
from shared.shell.http.requests import body_in, header_in
from shared.shell.http.web import READ_REFUSED

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
    refused=(*READ_REFUSED, HTTPStatus.GONE, HTTPStatus.SERVICE_UNAVAILABLE),
)
DOWNLOADS = Declaration(
    "What was downloaded of an order: when, from where, by what", (DeclaredResponse(list[LoggedDownload]),)
)


class RenewedItem(Given):
    """Which download to renew."""

    item: Execution
    """The item, or `1/2` for its second action."""
    file: Line = ""
    """One that staff attached to it (`delivery.attach`); empty: the download that was bought."""


class RenewedLink(Given):
    """A new link to a download."""

    link: str
    """The signed link."""
    expires: datetime
    """When it stops working."""


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
        files: FileStore | None,
        log: DownloadLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queries = queries
        self._store_of = store_of
        self._links = links
        self._files = files
        self._log = log
        self._clock = clock

    async def serve(self, request: web.Request) -> web.StreamResponse:
        try:
            claim = self._links.read(request.match_info["token"])
        except BadLink:
            raise not_found("download") from None
        if claim.expires <= self._clock():
            raise ProblemResponse(HTTPStatus.GONE, "This link has expired. Ask the shop for a new one.", "expired")
        wanted = wanted_file(await self._queries.item(claim.order, claim.item), claim.file)
        if wanted is None:
            raise ProblemResponse(HTTPStatus.GONE, "Access to this download was revoked.", "revoked")

        async def admit(first: int | None = None) -> None:
            if request.method != "HEAD":
                await self._count(request, claim, wanted.limit, from_start=first == 0)

        if wanted.file.startswith(("http://", "https://")):
            await admit()
            return web.Response(status=302, headers={"Location": wanted.file, **UNCACHED})
        place = (await self._store_of(claim.order) or "", wanted.file)
        return await send_file(request, self._files, place, wanted.shown, admit)

    async def _count(self, request: web.Request, claim: Claim, limit: int, *, from_start: bool) -> None:
        """`from_start`: the file's first byte is sent, whatever was asked for (`If-Range`). Raises ProblemResponse if
        the link was used as often as it may be."""
        caller = Caller(request[LIMITS].address_of(request), _text(header_in(request, AGENT)))
        begins = from_start or _begins(header_in(request, RANGE))
        if not await self._log.admit(claim, caller, self._clock(), limit, begins=begins):
            title = "This link was used as often as it may be. Ask the shop for a new one."
            raise ProblemResponse(HTTPStatus.GONE, title, "used_up")

    async def logged(self, request: web.Request) -> web.StreamResponse:
        return json_response([asdict(one) for one in await self._log.of(request.match_info["key"])])

    async def renew(self, request: web.Request) -> web.StreamResponse:
        """By the store, for its page where the customer asks. What was sent before works until it expires."""
        order, given = request.match_info["key"], await body_in(request, RenewedItem, "item")
        wanted = wanted_file(await self._queries.item(order, given.item), given.file)
        if wanted is None:
            text = f"Item {given.item} is no download that the customer has."
            raise ProblemResponse(HTTPStatus.CONFLICT, text, "nothing_to_renew")
        expires = (self._clock() + wanted.expires_after).replace(microsecond=0) + timedelta(seconds=1)  # rounded up
        link = self._links.url(Claim(order, given.item, expires, given.file))
        return json_response({"link": link, "expires": expires})


@dataclass(frozen=True, slots=True)
class WantedFile:
    file: str
    """Within its store, or a URL."""
    shown: str
    """What it is called."""
    expires_after: timedelta
    limit: int = 0


def wanted_file(item: Item | None, attached: str) -> WantedFile | None:
    """What a link is for: a file that staff attached, or else the item's download. None when the customer may not have
    it: it is not delivered, or revoked."""
    if item is None or item.status in CANCELLED:
        return None
    if attached:
        found = item.attached_file(attached)
        return WantedFile(found.file, found.name, found.expires_after) if found else None
    if item.status is not ItemStatus.DELIVERED or not isinstance(item.action, Download):
        return None
    action = item.action
    return WantedFile(action.file, action.file.rpartition("/")[2], action.expires_after, action.limit)


def _begins(range: str) -> bool:
    """Whether this asks for the beginning of the file, or for what may be the whole of it."""
    later = re.fullmatch(r"bytes=0*[1-9][0-9]*-[0-9]*", range.replace(" ", ""))
    return later is None


def _text(header: str) -> str:
    """As it can be kept and shown: what is no UTF-8, and what is not printable, is replaced."""
    return "".join(char if char.isprintable() else "\ufffd" for char in header)
