"""Errors as problem+json (RFC 9457), and other JSON responses."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from shared.core import Problem


class ProblemResponse(Exception):
    """A response in problem+json. Raise it anywhere below a route."""

    def __init__(
        self,
        status: HTTPStatus,
        title: str,
        code: str,
        problems: Sequence[Problem] = (),
        retry_after: int = 0,
        *,
        close: bool = False,
    ) -> None:
        """`close`: the connection, on which the rest of a body may still arrive."""
        super().__init__(title)
        self.status = status
        self.title = title
        self.code = code
        self.problems = tuple(problems)
        self.retry_after = retry_after
        self.close = close

    def response(self) -> web.Response:
        body: dict[str, Any] = {
            "type": f"urn:orderbus:problem:{self.code}",
            "title": self.title,
            "status": self.status.value,
            "code": self.code,
        }
        if self.problems:
            body["problems"] = [problem.model_dump() for problem in self.problems]
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else None
        response = json_response(body, self.status, content_type="application/problem+json", headers=headers)
        if self.close:
            response.force_close()
        return response


def json_response(
    body: object,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> web.Response:
    return web.Response(
        body=orjson.dumps(body, default=str), status=status.value, content_type=content_type, headers=headers
    )


def not_found(what: str) -> ProblemResponse:
    return ProblemResponse(HTTPStatus.NOT_FOUND, f"There is no such {what}.", "not_found")


def newer() -> ProblemResponse:
    """The answer where a read meets a row that only a newer build can read."""
    title = "This was changed by a newer version of orderbus. Try again when the update is complete."
    return ProblemResponse(HTTPStatus.CONFLICT, title, "newer")


def bad_request(title: str, problems: Sequence[Problem] = ()) -> ProblemResponse:
    return ProblemResponse(HTTPStatus.BAD_REQUEST, title, "bad_request", problems)


def unsupported(title: str) -> ProblemResponse:
    return ProblemResponse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, title, "unsupported_media_type")
