"""A file over HTTP: whole, in parts, or not at all if the caller has it (RFC 9110)."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from urllib.parse import quote

import structlog
from aiohttp import ETag, web

from services.fulfillment.gateways.files import Content, FileChanged, FilesAway, FileStore, NotAFile, StoredFile
from shared.shell.http.connection import may_be_read_slowly
from shared.shell.http.declaration import Header
from shared.shell.http.problems import ProblemResponse
from shared.shell.http.requests import header_in

RANGE = Header("Range", "A part of the file (RFC 9110, 14.2). Of several parts the whole file is sent.")
IF_RANGE = Header("If-Range", "The part only if the file is still this one, by its ETag or time; else the whole file.")
UNCACHED = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
TRIES = 3
"""How often a file is looked up that is replaced in the same moment."""
AGAIN_AFTER = 30
log = structlog.get_logger(__name__)


async def send_file(
    request: web.Request,
    files: FileStore | None,
    place: tuple[str, str],
    shown: str,
    admit: Callable[[int], Awaitable[None]],
) -> web.StreamResponse:
    """Of the store and name `place`, called `shown`. `admit` is called, with the number of the first byte, once it is
    certain that the file, or a part of it, can be sent, and may raise; nothing was sent by then. Raises
    ProblemResponse."""
    for _ in range(TRIES):
        with answered_trouble():
            try:
                return await _sent(request, files, place, shown, admit)
            except FileChanged:
                continue
    raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, "This file is being replaced.", "busy", retry_after=5)


async def _sent(
    request: web.Request,
    files: FileStore | None,
    place: tuple[str, str],
    shown: str,
    admit: Callable[[int], Awaitable[None]],
) -> web.StreamResponse:
    store, name = place
    file = await files.stat(store, name) if files else None
    if files is None or file is None:
        raise ProblemResponse(HTTPStatus.NOT_FOUND, "This file is no longer available. Contact the shop.", "not_found")
    headers = {"ETag": file.etag, "Last-Modified": _http_date(file.modified), "Accept-Ranges": "bytes", **UNCACHED}
    status = _unwanted(request, file)
    first, count = (0, file.size) if status else _part(request, file)
    if not status and count < 0:
        status, headers["Content-Range"] = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{file.size}"
    if status:
        return web.Response(status=status, headers=headers)
    headers["Content-Disposition"] = disposition(shown)
    headers["Content-Type"] = mimetypes.guess_type(shown)[0] or "application/octet-stream"
    partial = count != file.size or _asks_for_part(request, file)
    if partial and count:
        headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{file.size}"
    if request.method == "HEAD":
        return await _begun(request, partial, headers, count)
    content = await files.read(store, file, first, count)
    async with aclosing(content):
        await admit(first)
        may_be_read_slowly(request)
        response = await _begun(request, partial, headers, count)
        await _write(request, response, content)
    return response


async def _begun(request: web.Request, partial: bool, headers: Mapping[str, str], count: int) -> web.StreamResponse:
    status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = count
    await response.prepare(request)
    return response


async def _write(request: web.Request, response: web.StreamResponse, content: Content) -> None:
    """Waits for the caller before each chunk. What was begun can only be broken off: the caller asks
    for the rest."""
    try:
        async for chunk in content:
            await response.write(chunk)
        await response.write_eof()
    except (FilesAway, FileChanged) as trouble:
        log.warning("download broken off", error=str(trouble))
        if request.transport is not None:
            request.transport.abort()


def _unwanted(request: web.Request, file: StoredFile) -> HTTPStatus | None:
    """The status by which conditions are answered that this file does not meet (RFC 9110, 13.2.2)."""
    tag = file.etag.strip('"')
    if request.if_match is not None:
        if not _matches(request.if_match, tag, weak=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif request.if_unmodified_since is not None and file.modified > request.if_unmodified_since:
        return HTTPStatus.PRECONDITION_FAILED
    if request.if_none_match is not None:
        return HTTPStatus.NOT_MODIFIED if _matches(request.if_none_match, tag, weak=True) else None
    if request.if_modified_since is not None and file.modified <= request.if_modified_since:
        return HTTPStatus.NOT_MODIFIED
    return None


def _matches(tags: tuple[ETag, ...], tag: str, *, weak: bool) -> bool:
    return any(each.value in ("*", tag) and (weak or not each.is_weak) for each in tags)


def _asks_for_part(request: web.Request, file: StoredFile) -> bool:
    """Several parts are not sent."""
    given, condition = header_in(request, RANGE), header_in(request, IF_RANGE)
    if not given or "," in given:
        return False
    if condition.startswith(('"', "W/")):
        return condition == file.etag
    return not condition or (request.if_range is not None and file.modified <= request.if_range)


def _part(request: web.Request, file: StoredFile) -> tuple[int, int]:
    """First byte and number of bytes; less than none where the file has no such part."""
    if not _asks_for_part(request, file):
        return 0, file.size
    try:
        asked = request.http_range
    except ValueError:
        return 0, -1
    first = asked.start or 0
    if first < 0:
        first = max(0, file.size + first)
    end = min(file.size if asked.stop is None else asked.stop, file.size)
    return (first, end - first) if first < file.size else (0, -1)


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def disposition(name: str) -> str:
    """For any name of a file (RFC 6266, RFC 8187): readers that know no `filename*` get it in ASCII."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%/' else "_" for char in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


@contextmanager
def answered_trouble() -> Iterator[None]:
    """Storage that is away is the caller's 503, and told in the log."""
    try:
        yield
    except FilesAway as trouble:
        log.error("files cannot be reached", error=str(trouble))
        title = "The files cannot be reached right now. Try again shortly."
        raise ProblemResponse(
            HTTPStatus.SERVICE_UNAVAILABLE, title, "files_away", retry_after=AGAIN_AFTER, close=True
        ) from None
    except NotAFile as trouble:
        raise ProblemResponse(HTTPStatus.CONFLICT, f"{trouble}.", "not_a_file", close=True) from None
