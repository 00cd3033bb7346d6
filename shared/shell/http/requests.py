"""Reads what a request carries: path, query, headers and body. What cannot be stored or understood is refused here,
once for all routes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from shared.contracts.envelope import BadBody, decode, has_nul, problems_of
from shared.core import Command, Problem
from shared.shell.http.limits import BODY_BYTES, CLIENT, LIMITS, MAX_REQUEST
from shared.shell.http.problems import bad_request, unsupported

M = TypeVar("M", bound=BaseModel)
C = TypeVar("C", bound=Command)
MAX_IDENTITY = 200


def check_text(request: web.Request) -> None:
    """Path and query are UTF-8 without NUL once they are decoded, and the body is not compressed: what PostgreSQL
    cannot store, and what grows when it is read, never reaches a route. Raises ProblemResponse."""
    path, _, query = request.raw_path.partition("?")
    if not (_is_text(path) and _is_text(query)):
        raise bad_request("The path or the query is not valid UTF-8, or contains a NUL character.")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise unsupported("Compressed bodies are not accepted. Leave out the header Content-Encoding.")


def _is_text(quoted: str) -> bool:
    try:
        return "\x00" not in unquote_to_bytes(quoted).decode()
    except UnicodeError:
        return False


# Headers


def identity_of(request: web.Request) -> str:
    """The Idempotency-Key. Raises ProblemResponse."""
    identity = request.headers.get("Idempotency-Key", "")
    if not (1 <= len(identity) <= MAX_IDENTITY and identity.isprintable()):
        raise bad_request(f"The header Idempotency-Key is missing (1 to {MAX_IDENTITY} printable characters).")
    return identity


# Bodies


async def read_body(request: web.Request, most: int = MAX_REQUEST) -> bytes:
    """The whole body, within the worker's limits. Raises ProblemResponse."""
    body = await request[LIMITS].read(request, request[CLIENT], most)
    request[BODY_BYTES] = request.get(BODY_BYTES, 0) + len(body)
    return body


async def command_in(request: web.Request, kind: type[C]) -> C:
    """The command of a JSON body; an empty one has all defaults. Raises ProblemResponse."""
    return read_command(kind, await read_body(request))


def read_command(kind: type[C], body: bytes) -> C:
    try:
        command = decode(kind, body or b"{}")
    except BadBody as wrong:
        raise bad_request("The command is invalid.", wrong.problems) from None
    assert isinstance(command, kind)
    return command


async def body_in(request: web.Request, kind: type[M], what: str) -> M:
    """A JSON body that is no command; an empty one has all defaults. Raises ProblemResponse: "The `what` …"."""
    body = await read_body(request) or b"{}"
    if has_nul(body):
        nul = Problem(field="", code="nul", text="the body contains a NUL character")
        raise bad_request(f"The {what} is invalid.", [nul])
    try:
        return kind.model_validate_json(body)
    except ValidationError as wrong:
        raise bad_request(f"The {what} is invalid.", problems_of(wrong)) from None


# The query


def limit_in(request: web.Request, default: int, most: int) -> int:
    """`?limit=`. Raises ProblemResponse."""
    return number_in(request, "limit", default, most)


def number_in(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number from 1. Raises ProblemResponse."""
    given = request.query.get(name, str(default))
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= most):
        raise bad_request(f"`{name}` must be a number from 1 to {most}.")
    return int(given[:9])


def moment_in(request: web.Request, name: str) -> datetime | None:
    """A time with its zone (RFC 3339), in UTC; None where the query has none. Raises ProblemResponse."""
    given = request.query.get(name)
    if not given:
        return None
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # 0001-01-01 in the east is in no year that can be stored
        pass
    raise bad_request(f"`{name}` must be a time with its zone, like 2026-03-03T14:05:00Z.")


def uuid_in(request: web.Request, name: str, what: str) -> UUID | None:
    """The id of a `what`; None where the query has none. Raises ProblemResponse."""
    given = request.query.get(name)
    if given is None:
        return None
    try:
        return UUID(given)
    except ValueError:
        raise bad_request(f"`{name}` is not the id of {what}.") from None
