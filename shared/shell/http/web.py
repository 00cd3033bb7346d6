"""What the HTTP routes of every service are made of: bearer token, problem+json (RFC 9457), commands by HTTP.

Public are `/health`, `/ready`, `/metrics`, and the routes that a service marks with `public()` because they carry a
proof of their own (a signed link, a provider's signature).
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from shared.contracts.envelope import BadBody, decode, read_key
from shared.core import Command, Problem, Refused
from shared.shell.ports.http_api import Accepted, HttpApi

MAX_REQUEST = 1_000_000
RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)


class ProblemResponse(Exception):
    """A response in problem+json. Raise it anywhere below a route."""

    def __init__(
        self, status: HTTPStatus, title: str, code: str, problems: Sequence[Problem] = (), retry_after: int = 0
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.code = code
        self.problems = tuple(problems)
        self.retry_after = retry_after

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
        return json_response(body, self.status, content_type="application/problem+json", headers=headers)


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


def bad_request(title: str, problems: Sequence[Problem] = ()) -> ProblemResponse:
    return ProblemResponse(HTTPStatus.BAD_REQUEST, title, "bad_request", problems)


def public(handler: RequestHandler) -> RequestHandler:
    """Mark a route that needs no bearer token because it is authorised in another way."""

    @functools.wraps(handler)
    async def open_to_all(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    open_to_all.public = True  # type: ignore[attr-defined]  # a mark on a function
    return open_to_all


def protection(token: str) -> Middleware:
    """Middleware: asks for the bearer token, and answers every error as problem+json."""
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        try:
            if not _is_public(request):
                given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
                if not hmac.compare_digest(given, expected):
                    raise ProblemResponse(HTTPStatus.UNAUTHORIZED, "A valid bearer token is required.", "unauthorized")
            return await handler(request)
        except ProblemResponse as problem:
            return problem.response()
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            status = HTTPStatus(error.status)
            return ProblemResponse(status, status.phrase, status.name.lower()).response()
        except Exception as bug:
            log.exception("http request failed", path=request.match_info.route.name, error=type(bug).__name__)
            return ProblemResponse(
                HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error. It was logged.", "internal"
            ).response()

    return guard


def _is_public(request: web.Request) -> bool:
    return bool(getattr(request.match_info.handler, "public", False))


def actor_of(request: web.Request) -> str:
    """The caller: the header `X-Actor` (`staff:anna`), or `staff`."""
    given = request.headers.get("X-Actor", "staff")
    return given if given.isprintable() and len(given) <= 80 else "staff"


def add_commands(application: web.Application, api: HttpApi, routes: Iterable[tuple[str, str, type[Command]]]) -> None:
    """Routes that take a command: (method, path, command). The key is made of the path's variables, joined by `/`.
    The body is the command's JSON (empty: all defaults); a repetition with the same `Idempotency-Key` changes
    nothing."""
    for method, path, kind in routes:
        application.router.add_route(method, path, _command_handler(api, kind))


def _command_handler(api: HttpApi, kind: type[Command]) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        key, wrong = read_key("/".join(request.match_info.values()).encode())
        if wrong:
            raise bad_request("The path does not name an id.")
        identity = request.headers.get("Idempotency-Key", "")
        if not 1 <= len(identity) <= 200:
            raise bad_request("The header Idempotency-Key is missing (1 to 200 characters).")
        try:
            command = decode(kind, await request.read() or b"{}")
        except BadBody as wrong_body:
            raise bad_request("The command is invalid.", wrong_body.problems) from None
        assert isinstance(command, Command)
        answer = await api.submit(command, key, identity=identity, actor=actor_of(request))
        return answered(answer)

    return handle


def answered(answer: Accepted | Refused, **more: object) -> web.Response:
    """202 accepted, or 409 refused with code and text."""
    if isinstance(answer, Refused):
        raise ProblemResponse(HTTPStatus.CONFLICT, answer.text, answer.code, answer.problems)
    return json_response(
        {"accepted": True, "id": answer.id, "duplicate": answer.duplicate, **more}, HTTPStatus.ACCEPTED
    )
