"""What an OpenAPI document says of answers that are problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from shared.shell.http.access import PROBE, PUBLIC
from shared.shell.http.declaration import Json
from shared.shell.http.declared_routes import DeclaredRoute

REFERENCE = "#/components/schemas/{model}"
ANY = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.SERVICE_UNAVAILABLE)
PROBLEMS: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The body, the query or a header is wrong: `problems` says what.",
    HTTPStatus.UNAUTHORIZED: "The token is missing or unknown.",
    HTTPStatus.FORBIDDEN: "The token lacks the permission, or the store is not one of its stores.",
    HTTPStatus.NOT_FOUND: "What the path names does not exist.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "It was refused and changed nothing: `code` and `problems` say why.",
    HTTPStatus.GONE: "It existed, and does not any more.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The `Idempotency-Key` was used for another request.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body has another content type than those named here, or is compressed.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests: repeat it after `Retry-After`.",
    HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be answered now: repeat it after `Retry-After`, under the same key.",
}
OF_CALLERS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
OF_BODIES = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def problems_of_route(route: DeclaredRoute) -> list[HTTPStatus]:
    statuses = {*ANY, *route.declaration.refused}
    if route.access is not PROBE:
        statuses.add(HTTPStatus.TOO_MANY_REQUESTS)
    if route.access is not PUBLIC and route.access is not PROBE:
        statuses |= {*OF_CALLERS}
    if route.access.scope.find is not None or "{" in route.path:
        statuses.add(HTTPStatus.NOT_FOUND)
    if route.declaration.has_body:
        statuses |= {*OF_BODIES}
    return sorted(statuses)


def problems_of_all(routes: Iterable[DeclaredRoute]) -> list[HTTPStatus]:
    return sorted({status for route in routes for status in problems_of_route(route)})


def problem_name(status: HTTPStatus) -> str:
    return "".join(word.capitalize() for word in status.name.split("_"))


def problem_response(status: HTTPStatus) -> Json:
    waits = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    described: Json = {
        "description": PROBLEMS.get(status, status.phrase),
        "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(model="ProblemBody")}}},
    }
    if waits:
        described["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}, "required": True}
        }
    return described
