"""Reads what a request carries: path, query, headers and body. What cannot be stored or understood is refused here,
once for all routes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC
from difflib import get_close_matches
from http import HTTPStatus
from typing import Annotated, TypeVar, get_origin
from urllib.parse import parse_qs, unquote_to_bytes

import orjson
from aiohttp import hdrs, web
from pydantic import AfterValidator, BaseModel, BeforeValidator, StringConstraints, ValidationError

from shared.contracts.envelope import BadBody, decode, has_nul
from shared.contracts.problems import MAX_PROBLEMS, problems_of
from shared.contracts.values import Moment
from shared.core import Command, Problem
from shared.shell.http.assertions import ASSERTED
from shared.shell.http.declaration import Declaration, Header, Query, StrictQuery, declaration_of, declared_in
from shared.shell.http.limits import BODY_BYTES, LIMITS, MAX_REQUEST
from shared.shell.http.problems import ProblemResponse, bad_request, unsupported

M = TypeVar("M", bound=BaseModel)
C = TypeVar("C", bound=Command)
Q = TypeVar("Q", bound=Query)
MAX_IDENTITY = 200
MAX_NAME = 100
"""Characters of an unknown parameter that a problem repeats."""
IDEMPOTENCY_KEY = Header(
    "Idempotency-Key",
    "Names the request: a repetition with the same one changes nothing and gets the first reply.",
    required=True,
    schema={"type": "string", "pattern": f"^[!-~]{{1,{MAX_IDENTITY}}}$"},
)


def check_text(request: web.Request) -> None:
    """Path and query are UTF-8 without NUL once they are decoded, and the body is not compressed: what PostgreSQL
    cannot store, and what grows when it is read, never reaches a route. Raises ProblemResponse."""
    path, _, query = request.raw_path.partition("?")
    if not (_is_text(path) and _is_text(query)):
        raise bad_request("The path or the query is not valid UTF-8, or contains a NUL character.")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise unsupported("Compressed bodies are not accepted. Leave out the header Content-Encoding.")


def target_of(request: web.Request) -> str:
    """Path and query, as they were sent."""
    return request.raw_path


UNNAMED = "application/octet-stream"
"""Of a body whose sender says nothing of it, as the command line of older builds does."""


def check_media(request: web.Request) -> None:
    """A body has a content type that its route declares. Raises ProblemResponse."""
    declared = declaration_of(request.match_info.handler)
    accepted = declared.body_media if declared else ()
    if accepted and request.body_exists and request.content_type not in (*accepted, UNNAMED):
        raise unsupported(f"The header Content-Type must be {' or '.join(accepted)}: the body is read as that.")


def _is_text(quoted: str) -> bool:
    try:
        return "\x00" not in unquote_to_bytes(quoted).decode()
    except UnicodeError:
        return False


# Headers


def idempotency_key(request: web.Request) -> str:
    """The Idempotency-Key. Raises ProblemResponse."""
    identity = header_in(request, IDEMPOTENCY_KEY)
    if not (1 <= len(identity) <= MAX_IDENTITY and identity.isprintable()):
        raise bad_request(f"The header Idempotency-Key is missing (1 to {MAX_IDENTITY} printable characters).")
    return identity


def header_in(request: web.Request, header: Header) -> str:
    """Empty where there is none."""
    if header not in declared_in(request).headers:
        raise TypeError(f"{header.name} is not declared by its route")
    return request.headers.get(header.name, "")


# Sessions


SESSION_COOKIE = "__Host-orderbus"
"""Of a user who has signed in. The prefix: browsers take it from this host alone, over TLS."""
SAFE = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


def session_cookie(request: web.Request) -> str:
    """Empty where there is none."""
    return cookie_in(request, SESSION_COOKIE)


def cookie_in(request: web.Request, name: str) -> str:
    return request.cookies.get(name, "")


def check_own_site(request: web.Request) -> None:
    """What changes something was not sent by a page of another site, which a browser would send with the user's cookie.
    Raises ProblemResponse."""
    if request.method in SAFE:
        return
    site, origin = request.headers.get("Sec-Fetch-Site", ""), request.headers.get(hdrs.ORIGIN, "")
    own = site in ("same-origin", "none") if site else origin.partition("://")[2] == request.headers.get(hdrs.HOST)
    if not own:
        title = "This request comes from another site. Send it from a page of this one, or with a bearer token."
        raise ProblemResponse(HTTPStatus.FORBIDDEN, title, "cross_site")


def check_no_other_site(request: web.Request) -> None:
    """The same where there is no cookie yet: programs, which say nothing of a site, may send it. Raises
    ProblemResponse."""
    if "Sec-Fetch-Site" in request.headers or hdrs.ORIGIN in request.headers:
        check_own_site(request)


def agent_of(request: web.Request) -> str:
    """What the caller's program calls itself, shortened."""
    return "".join(filter(str.isprintable, request.headers.get(hdrs.USER_AGENT, "")))[:200]


# Bodies


async def read_body(request: web.Request, most: int = MAX_REQUEST) -> bytes:
    """The whole body, within the worker's limits. Raises ProblemResponse."""
    if not declared_in(request).has_body:
        raise TypeError("a body is not declared by its route")
    body = await request[LIMITS].read(request, most)
    request[BODY_BYTES] = request.get(BODY_BYTES, 0) + len(body)
    _check_asserted(request, hashlib.sha256(body).hexdigest)
    return body


async def read_file(request: web.Request, most: int) -> bytes:
    """The body as a file: it may take as long as parts of it arrive. It counts with no other bodies, so the route
    bounds how many are read at once. Raises ProblemResponse."""
    if not declared_in(request).file_media:
        raise TypeError("a file is not declared by its route")
    return b"".join([part async for part in parts_of_file(request, most)])


async def parts_of_file(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """The same, part by part: for what is not kept in memory. What was read counts only when all of it was."""
    if not declared_in(request).file_media:
        raise TypeError("a file is not declared by its route")
    read = hashlib.sha256()
    async for part in request[LIMITS].parts_of_file(request, most):
        read.update(part)
        yield part
    _check_asserted(request, read.hexdigest)


def _check_asserted(request: web.Request, digest: Callable[[], str]) -> None:
    """Of a request for which staff vouches: it has the body that staff has sent. Raises BadAssertion."""
    if ASSERTED in request:
        request[ASSERTED].check_body(digest())


def is_read(request: web.Request) -> bool:
    """Whether all of the body has come and was read."""
    return request.content.at_eof()


async def command_in(request: web.Request, kind: type[C]) -> C:
    """The command of a JSON body, with what its path gives; an empty body has all defaults. Raises ProblemResponse."""
    declaration = _of_body(request, kind)
    body = await read_body(request) or b"{}"
    if declaration.from_path:
        given = {name: request.match_info[name] for name in declaration.from_path}
        try:
            body = orjson.dumps({**orjson.loads(body), **given})
        except (ValueError, TypeError):
            raise bad_request("The body is not a JSON object.") from None
    try:
        command = decode(kind, body)
    except BadBody as wrong:
        raise bad_request("The command is invalid.", wrong.problems) from None
    assert isinstance(command, kind)
    return command


async def body_in(request: web.Request, kind: type[M], what: str) -> M:
    """A JSON body that is no command; an empty one has all defaults. Raises ProblemResponse: "The `what` …"."""
    _of_body(request, kind)
    body = await read_body(request) or b"{}"
    if has_nul(body):
        nul = Problem(field="", code="nul", text="the body contains a NUL character")
        raise bad_request(f"The {what} is invalid.", [nul])
    try:
        return kind.model_validate_json(body)
    except ValidationError as wrong:
        raise bad_request(f"The {what} is invalid.", problems_of(wrong)) from None


async def form_in(request: web.Request, most: int) -> dict[str, str]:
    """The declared fields of a page's form; those that were not sent are empty. Raises ProblemResponse."""
    fields = declared_in(request).form
    if fields is None:
        raise TypeError("a form is not declared by its route")
    try:
        given = parse_qs((await read_body(request, most)).decode(), max_num_fields=100)
    except ValueError:
        raise bad_request("The body is not a form.") from None
    if any("\x00" in values[0] for values in given.values()):
        raise bad_request("The form contains a NUL character.")
    return {name: given.get(name, [""])[0] for name in fields}


def _of_body(request: web.Request, kind: type[BaseModel]) -> Declaration:
    declaration = declared_in(request)
    if declaration.body is not kind:
        raise TypeError(f"{kind.__name__} is not declared by its route")
    return declaration


# The query


def query_in(request: web.Request, kind: type[Q]) -> Q:
    """Raises ProblemResponse."""
    if declared_in(request).query is not kind:
        raise TypeError(f"{kind.__name__} is not declared by its route")
    names = [field.alias or name for name, field in kind.model_fields.items()]
    given = {name: request.query[name] for name in names if request.query.get(name)}
    try:
        return kind.model_validate(given)
    except ValidationError as wrong:
        raise bad_request("The query is invalid.", problems_of(wrong)) from None


S = TypeVar("S", bound=StrictQuery)


def strict_query_in(
    request: web.Request, kind: type[S], check: Callable[[S], Iterable[Problem]] = lambda query: ()
) -> S:
    """`check` finds what is wrong with parameters together. Raises ProblemResponse with every problem at once."""
    if declared_in(request).query is not kind:
        raise TypeError(f"{kind.__name__} is not declared by its route")
    problems, given = list[Problem](), dict[str, object]()
    known = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    for name in dict.fromkeys(request.query):
        values = [value for value in request.query.getall(name) if value]
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(Problem(field=name[:MAX_NAME], code="unknown_field", text=f"is no parameter{hint}"))
        elif get_origin(known[name]) is tuple:
            given[name] = values
        elif len(values) > 1:
            problems.append(Problem(field=name, code="repeated", text="is given more than once"))
        elif values:
            given[name] = values[0]
    query, wrong = _valid(kind, given)
    problems += [*wrong, *(check(query) if query else ())]
    if problems:
        raise bad_request("The query is invalid.", problems[:MAX_PROBLEMS])
    assert query is not None
    return query


def _valid(kind: type[S], given: Mapping[str, object]) -> tuple[S | None, list[Problem]]:
    """With what is wrong, and without it: the rest can still be checked."""
    try:
        return kind.model_validate(given), []
    except ValidationError as error:
        wrong = problems_of(error)
    names = {problem.field.partition(".")[0] for problem in wrong}
    rest = {name: value for name, value in given.items() if name not in names}
    if len(rest) == len(given):
        return None, wrong
    query, more = _valid(kind, rest)
    return query, wrong + more


def _digits(given: object) -> object:
    if isinstance(given, str) and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise ValueError("must be a number")
    return given


def _printable(given: str) -> str:
    if not given.isprintable():
        raise ValueError("contains unsupported characters")
    return given


Number = Annotated[int, BeforeValidator(_digits)]
Words = Annotated[str, StringConstraints(max_length=300), AfterValidator(_printable)]
"""A name, an id, what is looked for."""
UtcMoment = Annotated[Moment, AfterValidator(lambda moment: moment.astimezone(UTC))]
"""A time with its offset, in UTC."""
