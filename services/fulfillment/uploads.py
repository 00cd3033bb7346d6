"""The files that staff upload for products: put, list, remove."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.fulfillment.file_response import answered_trouble
from services.fulfillment.gateways.files import FileStore, StoredFile, name_problems
from shared.core import Problem
from shared.shell.http.access import IN_PATH, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import Number, Words, parts_of_file, query_in

PATH = "/stores/{store}/files/{file:.+}"
ANY_FILE = "application/octet-stream"
AT_ONCE = 8
"""Uploads of one worker; each has 24 MB in memory at most."""
UPLOAD_REFUSED = (
    *(HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    HTTPStatus.SERVICE_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file in the store's folder."""

    name: str
    """As products name it."""
    size: int
    """Its size in bytes."""
    modified: datetime
    """When it was uploaded."""
    etag: str
    """It changes with the file's content."""


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """A page of the store's files."""

    files: list[ListedFile]
    """The page's files."""
    next: str | None
    """The `after` of the page behind this one."""


class FilesPage(Query):
    after: Words = ""
    """The name of the last file of the page before."""
    limit: Annotated[Number, Field(ge=1, le=1000)] = 1000
    """At most so many entries."""


PUT = Declaration(
    "Upload a file of the store, or replace it; the customers of products that name it get the new one",
    (DeclaredResponse(ListedFile),),
    file_media=ANY_FILE,
    refused=UPLOAD_REFUSED,
)
LIST = Declaration(
    "A store's files", (DeclaredResponse(ListedFiles),), query=FilesPage, refused=(HTTPStatus.SERVICE_UNAVAILABLE,)
)
REMOVE = Declaration(
    "Remove a file of the store; links to it say that it is no longer available",
    (DeclaredResponse(ListedFile),),
    refused=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)


@dataclass(frozen=True)
class Uploads:
    files: FileStore | None
    most: int
    """Bytes of one file."""
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def storage(self) -> FileStore:
        """Raises ProblemResponse."""
        if self.files is None:
            title = "No place for files is set: set ORDERBUS_FULFILLMENT__FILES, or the settings of S3."
            raise ProblemResponse(HTTPStatus.CONFLICT, title, "no_storage", close=True)
        return self.files

    async def take(self, request: web.Request, store: str, name: str) -> StoredFile:
        """The body as this file. Raises ProblemResponse; then everything is as it was."""
        files = self.storage()
        async with self._place():
            with answered_trouble():
                return await files.put(store, name, _content(request, self.most))

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._turn.locked():
            title = "Too many files are being uploaded. Repeat the request in a moment."
            raise ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "busy", retry_after=10, close=True)
        async with self._turn:
            yield


async def _content(request: web.Request, most: int) -> AsyncIterator[bytes]:
    size = 0
    async for part in parts_of_file(request, most):
        size += len(part)
        yield part
    if not size:
        raise bad_request("The file is empty.")


def add_file_routes(application: web.Application, uploads: Uploads) -> None:
    async def put(request: web.Request) -> web.StreamResponse:
        store, name = request.match_info["store"], request.match_info["file"]
        if problems := name_problems(name):
            title = f"{name[:200]!r} cannot be the name of a file."
            raise bad_request(title, [Problem(field="name", code="bad_name", text=each) for each in problems])
        return json_response(listed(await uploads.take(request, store, name)))

    async def page(request: web.Request) -> web.StreamResponse:
        asked = query_in(request, FilesPage)
        with answered_trouble():
            found = await uploads.storage().all_of(request.match_info["store"])
        behind = [file for file in found if file.name > asked.after]
        shown = [listed(file) for file in behind[: asked.limit]]
        return json_response(ListedFiles(shown, shown[-1].name if len(behind) > len(shown) else None))

    async def remove(request: web.Request) -> web.StreamResponse:
        store, name = request.match_info["store"], request.match_info["file"]
        files = uploads.storage()
        with answered_trouble():
            file = None if name_problems(name) else await files.stat(store, name)
            if file is None or not await files.delete(store, name):
                raise not_found("file")
        return json_response(listed(file))

    add_route(application, "PUT", PATH, put, "file.write", IN_PATH, PUT)
    add_route(application, "GET", "/stores/{store}/files", page, "file.read", IN_PATH, LIST)
    add_route(application, "DELETE", PATH, remove, "file.write", IN_PATH, REMOVE)


def listed(file: StoredFile) -> ListedFile:
    return ListedFile(file.name, file.size, file.modified, file.etag)
