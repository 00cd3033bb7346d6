"""What the HTTP routes of every service are made of: who may call them, errors as problem+json, commands by HTTP.

Public are `/health`, `/ready`, `/metrics`, `/openapi.json`, and the routes that a service adds with `add_public()`
because they carry a proof of their own (a signed link, a provider's signature).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import sqlalchemy as sa
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from shared.api_clients import OPERATOR
from shared.contracts.envelope import read_key
from shared.core import Command, Refused
from shared.shell.http.access import (
    IN_PATH,
    PRINCIPAL,
    PROBE,
    PUBLIC,
    FindStore,
    RequestHandler,
    access_of,
    add_route,
    check,
    check_refused,
    found_by,
    require,
)
from shared.shell.http.assertions import ASSERTED, NO_BODY, BadAssertion, RequestHead, is_assertion
from shared.shell.http.declaration import Declaration, DeclaredResponse, declaration_of
from shared.shell.http.limits import BODY_BYTES, BUDGET, CLIENT, LIMITS, Limits, client_of
from shared.shell.http.principals import Principal, Principals
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, newer
from shared.shell.http.requests import (
    IDEMPOTENCY_KEY,
    check_media,
    check_own_site,
    check_text,
    command_in,
    idempotency_key,
    session_cookie,
)
from shared.shell.ports.http_api import Accepted, HttpApi
from shared.shell.ports.store import StoreUnavailable
from shared.shell.ports.tables import WrittenByNewer

_BUSY = ("08", "25P0", "28", "3D", "40", "53", "55P03", "57", "58")
"""SQL states: no connection, idle too long, role or database away, deadlock, no resources, locked, cancelled (a time
limit) or shutting down, a failing system."""
READ_REFUSED = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
"""Of a read of one thing: it is not there, or only a newer build can read it."""
COMMAND_REFUSED = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
_TITLES = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take this method.",
}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandAccepted:
    """The command was accepted and committed. What it starts (a refund, a delivery) may still fail."""

    accepted: Literal[True]
    """Always true."""
    id: str
    """The command's id: `ce_correlationid` of all messages that follow from it."""
    duplicate: bool
    """An earlier request with the same Idempotency-Key had done it: nothing follows from this one."""


def protection(principals: Principals, limits: Limits | None = None) -> Middleware:
    """Middleware: checks who makes a request, whether they may, and that it is within the limits; answers every error
    as problem+json."""
    bounds = limits or Limits()

    @web.middleware
    async def guard(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        try:
            await _admit(request, principals, bounds)
            check_media(request)
            return await _handled(request, handler)
        except (ProblemResponse, WrittenByNewer, BadAssertion) as problem:
            return _as_problem(problem).response()
        except web.RequestPayloadError:
            return bad_request("The body cannot be read: its length or encoding is wrong.").response()
        except ConnectionError:
            if request.transport is None:  # the caller has gone
                raise
            return _failed(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            status = HTTPStatus(error.status)
            title = _TITLES.get(status, status.phrase)
            return ProblemResponse(status, title, status.name.lower()).response()
        except Exception:
            return _failed(request)
        finally:
            if size := request.get(BODY_BYTES, 0):
                request[BUDGET].release(request[CLIENT], size)

    return guard


async def _handled(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemResponse as refused:
        await check_refused(request, refused)
        raise


async def _admit(request: web.Request, principals: Principals, limits: Limits) -> None:
    """Whatever the headers tell, before a byte of the body is read. Raises ProblemResponse."""
    check_text(request)
    try:
        principal = await _caller(request, principals)
    except BadAssertion:
        limits.count(client_of(limits.address_of(request)))
        raise
    request[LIMITS] = limits
    caller = f"client {principal.recipient or principal.name}" if principal else client_of(limits.address_of(request))
    request[CLIENT] = caller
    request[BUDGET] = limits.bodies if principal and not principal.recipient else limits.public_bodies
    access = access_of(request.match_info.handler)
    if access is not PROBE:
        limits.count(caller)
    if access is PUBLIC or access is PROBE:
        return
    if principal is None:
        raise ProblemResponse(HTTPStatus.UNAUTHORIZED, "A valid bearer token is required.", "unauthorized")
    request[PRINCIPAL] = principal
    if access is not None:
        request[PRINCIPAL] = await check(principal, access, request)
    elif request.match_info.http_exception is None:
        raise TypeError("a route without access")


async def _caller(request: web.Request, principals: Principals) -> Principal | None:
    """By a token or an assertion, which no other site can send, or by the cookie of a session, which it can. Raises
    ProblemResponse, BadAssertion."""
    if is_assertion(request.headers.get("Authorization", "")):
        return _asserted(request, principals)
    cookie = session_cookie(request)
    if "Authorization" in request.headers or not (cookie and principals.has_sessions):
        return await principals.of_header(request.headers.get("Authorization", ""))
    check_own_site(request)
    return await principals.of_session(cookie)


def _asserted(request: web.Request, principals: Principals) -> Principal:
    """A body is checked when it is read; a route that reads none gets none. Raises BadAssertion."""
    if principals.asserted is None:
        raise BadAssertion("this service has no keys for assertions")
    headers = request.headers
    media = headers.get("Content-Type", "") if request.body_exists else ""
    head = RequestHead(request.method, request.raw_path, media, headers.get("Idempotency-Key", ""))
    asserted = principals.asserted(headers["Authorization"], head)
    declaration = declaration_of(request.match_info.handler)
    if declaration is None or not declaration.has_body:
        asserted.check_body("" if request.body_exists else NO_BODY)
    request[ASSERTED] = asserted
    return asserted


def _as_problem(wrong: ProblemResponse | WrittenByNewer | BadAssertion) -> ProblemResponse:
    if isinstance(wrong, ProblemResponse):
        return wrong
    if isinstance(wrong, WrittenByNewer):
        return newer()
    log.warning("an assertion was refused", reason=str(wrong))
    title = "This assertion is not valid for this request. Staff makes one for each request that it sends."
    return ProblemResponse(HTTPStatus.UNAUTHORIZED, title, "unauthorized", close=True)


def _failed(request: web.Request) -> web.Response:
    """The response to the error that is being handled: try again (503), or a bug (500)."""
    error, route = sys.exception(), request.match_info.route.name
    if _is_busy(error):
        log.warning("http request not answered in time", path=route, error=type(error).__name__)
        text = "The database is busy or cannot be reached. Try again shortly, or ask for less at once."
        return ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, text, "busy", retry_after=5).response()
    log.exception("http request failed", path=route, error=type(error).__name__)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return ProblemResponse(status, "Internal error. It was logged.", "internal").response()


def _is_busy(error: BaseException | None) -> bool:
    """A read waited too long for a connection, took too long, or lost its database."""
    if isinstance(error, sa.exc.DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        return error.connection_invalidated or state.startswith(_BUSY)
    return isinstance(error, sa.exc.TimeoutError | StoreUnavailable | OSError)


def actor_of(request: web.Request) -> str:
    """The name of the caller."""
    return request[PRINCIPAL].name


def identity_of(request: web.Request) -> str:
    """What names the request: its Idempotency-Key, which is each client's own. Raises ProblemResponse."""
    identity, client = idempotency_key(request), actor_of(request)
    return identity if client == OPERATOR else f"{client}\x00{identity}"


KeyOf = Callable[[Mapping[str, str]], str]
"""The key of a command, of the path's variables."""


def joined(path: Mapping[str, str]) -> str:
    return "/".join(path.values())


def add_commands(
    application: web.Application,
    api: HttpApi,
    routes: Iterable[tuple[str, str, type[Command]]],
    store_of_order: FindStore,
    key_of: KeyOf = joined,
) -> None:
    """Routes that take a command: (method, path, command). The key is made of the path's variables, joined by `/`.
    The body is the command's JSON (empty: all defaults); a repetition with the same `Idempotency-Key` changes
    nothing. The permission is the command's type."""
    for method, path, kind in routes:
        scope = IN_PATH if "{store}" in path else found_by(store_of_order)
        add_route(
            application, method, path, command_handler(api, kind, key_of), kind.type, scope, command_declaration(kind)
        )


def command_declaration(kind: type[Command], from_path: tuple[str, ...] = ()) -> Declaration:
    summary = f"Send `{kind.type}`"
    responses = (DeclaredResponse(CommandAccepted, HTTPStatus.ACCEPTED, description="Committed."),)
    return Declaration(
        *(summary, responses), body=kind, from_path=from_path, headers=(IDEMPOTENCY_KEY,), refused=COMMAND_REFUSED
    )


def command_handler(api: HttpApi, kind: type[Command], key_of: KeyOf) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        key, wrong = read_key(key_of(request.match_info).encode())
        if wrong:
            raise bad_request(f"The path does not name an id: {wrong}.")
        identity, command = identity_of(request), await command_in(request, kind)
        require(request[PRINCIPAL], command.also_needs())
        answer = await api.submit(command, key, identity=identity, actor=actor_of(request))
        return answered(request, answer)

    return handle


def refusal(request: web.Request, refused: Refused, *, close: bool = False) -> ProblemResponse:
    """With its code and text: 404 where the path names what does not exist (`unknown_store` of a path with `{store}`),
    otherwise 409. `close`: as ProblemResponse has it."""
    unknown = {f"unknown_{'order' if name == 'key' else name}" for name in request.match_info}
    status = HTTPStatus.NOT_FOUND if refused.code in unknown else HTTPStatus.CONFLICT
    return ProblemResponse(status, refused.text, refused.code, refused.problems, close=close)


def answered(request: web.Request, answer: Accepted | Refused) -> web.Response:
    """202 accepted. Raises what `refusal` gives."""
    if isinstance(answer, Refused):
        raise refusal(request, answer)
    return json_response(CommandAccepted(accepted=True, id=answer.id, duplicate=answer.duplicate), HTTPStatus.ACCEPTED)
