"""Answers that a client may keep: `ETag`, and 304 to a client that has the answer already."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from aiohttp import web

from shared.shell.http.declaration import DeclaredResponse, Header
from shared.shell.http.problems import json_response
from shared.shell.http.requests import header_in

IF_NONE_MATCH = Header(
    "If-None-Match", "The `ETag` of an earlier answer: 304 without a body if it is still the answer."
)
NOT_MODIFIED = DeclaredResponse(
    None, HTTPStatus.NOT_MODIFIED, media="", description="The answer is the one that the client has."
)
CACHE = {"Cache-Control": "private, no-cache"}
"""Kept by the client alone, and asked about each time."""


def kept_response(request: web.Request, body: object) -> web.Response:
    """As JSON with its ETag, or 304."""
    return _kept(request, json_response(body))


def kept_text(request: web.Request, text: str, media: str, file_name: str) -> web.Response:
    """A file with its ETag, or 304. The name has no characters that would have to be quoted."""
    response = web.Response(body=text.encode(), content_type=media, charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return _kept(request, response)


def _kept(request: web.Request, response: web.Response) -> web.Response:
    assert isinstance(response.body, bytes)
    tag = f'W/"{hashlib.blake2b(response.body, digest_size=12).hexdigest()}"'
    given = {each.strip().removeprefix("W/") for each in header_in(request, IF_NONE_MATCH).split(",")}
    if tag.removeprefix("W/") in given or "*" in given:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag, **CACHE})
    response.headers.update({"ETag": tag, **CACHE})
    return response
