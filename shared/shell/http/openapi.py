"""The OpenAPI document of one service, made of its router: what each route declares, and what it asks of its caller."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import get_original_bases, is_typeddict

from shared.api_clients import STORE
from shared.contracts.envelope import KEY_PATTERN, encode
from shared.core import Message, Problem
from shared.shell.http.access import PROBE, PUBLIC, SIGNED_IN, add_public
from shared.shell.http.declaration import (
    FORM,
    JSON,
    Declaration,
    DeclaredResponse,
    Header,
    Holds,
    Json,
    StrictQuery,
)
from shared.shell.http.declared_routes import DeclaredRoute, routes_of
from shared.shell.http.openapi_problems import (
    REFERENCE,
    problem_name,
    problem_response,
    problems_of_all,
    problems_of_route,
)
from shared.shell.http.problems import json_response
from shared.shell.http.requests import SESSION_COOKIE

PATH = "/openapi.json"
VERSION = "1.0.0"
"""The documents' version: minor for a new route, major for one that changes incompatibly or goes."""
DECLARATION = Declaration("This document", (DeclaredResponse(Json),))
IDENT = {"type": "string", "minLength": 1, "maxLength": 128}
VARIABLES: Mapping[str, Json] = {
    "store": {"type": "string", "pattern": f"^{STORE.pattern}$", "description": "The store's id."},
    "key": {"type": "string", "pattern": f"^{KEY_PATTERN.pattern}$", "description": "A key: usually the order's id."},
    "order": IDENT | {"description": "The order's id or number."},
    "product": IDENT | {"description": "The product's id within the store."},
    "sku": IDENT | {"description": "The SKU's id within the store."},
    "offer": IDENT | {"description": "The offer's id within the store."},
    "pool": IDENT | {"description": "The pool of redemption codes."},
    "server": IDENT | {"description": "The game server's id within the store."},
    "connection": IDENT | {"description": "The connection's id within the store."},
    "view": IDENT | {"description": "The saved view's id within the store."},
    "endpoint": IDENT | {"description": "The webhook endpoint's id."},
    "recipient": {
        "type": "string",
        "pattern": "^[^/]{1,200}$",
        "description": "`<store>~customer~<customer.id>`; of a customer without an id `<store>~guest~<the first 24 hex "
        "digits of SHA-256 of the lower-case email>`; of the store's staff `<store>~staff`, which has no tokens. "
        "`GET /orders/{key}/notifications` names an order's (`feeds`). A feed that nothing was entered in is empty.",
    },
    "file": {"type": "string", "minLength": 1, "maxLength": 200, "description": "The file's name, which may have `/`."},
    "item": {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}(/[1-9][0-9]?)?$",
        "description": "The item within the order, or `1/2` (written `1%2F2`) for its second action.",
    },
    "asset": {"type": "string", "minLength": 1, "description": "The file's name."},
    "token": {"type": "string", "minLength": 1, "description": "The signed part of a link."},
    "name": {"type": "string", "minLength": 1, "description": "The outside system, as `GET /destinations` names it."},
    "id": {"type": "string", "description": "The record's number."},
    "user": IDENT | {"description": "The user's id."},
    "role": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$", "description": "The role's name."},
    "session": IDENT | {"description": "The session's id."},
    "invitation": IDENT | {"description": "The invitation's id."},
    "passkey": IDENT | {"description": "The passkey's id."},
    "token_id": IDENT | {"description": "The API token's id."},
    "job": IDENT | {"description": "The job's id."},
    "schedule": IDENT | {"description": "The schedule's id."},
}
"""What stands for the variables of paths."""
PAGE = "text/html"
BINARY: Json = {"type": "string", "format": "binary"}
SCOPES: Mapping[str, str] = {
    "path": "the path's store",
    "query": "`?store=`",
    "recipient": "the recipient's store",
    "found": "the order's store",
    "every": "all stores",
    "own": "each store that `?store=` names; all of the caller's stores, if it names none",
}


@dataclass(frozen=True, slots=True)
class ProblemBody:
    """RFC 9457."""

    type: str
    """`urn:orderbus:problem:` and the code."""
    title: str
    """For people to read."""
    status: int
    """The HTTP status."""
    code: str
    """Machine-readable, stable."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with each field, where fields are wrong."""


SESSIONS = web.AppKey("sessions", bool)
"""Callers may also be known by the cookie of a session."""


def add_document(application: web.Application, service: str, *, sessions: bool = False) -> None:
    """Add the route of the document. It is made when it is first asked for. `sessions`: callers may also be known by
    the cookie of one."""
    application[SESSIONS] = sessions
    made = cache(lambda: document(application, service))

    async def show(request: web.Request) -> web.Response:
        return json_response(made())

    add_public(application, "GET", PATH, show, DECLARATION)


def document(application: web.Application, service: str) -> Json:
    """Raises TypeError for a route that does not say who may call it, or what it takes and gives."""
    routes = list(routes_of(application))
    schemas, callers = Schemas(routes), _callers(application)
    paths: dict[str, Json] = {}
    for route in sorted(routes, key=lambda each: (each.path, each.method)):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, list(callers))
        if described := route.declaration.described:
            schemas.definitions |= described.schemas
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"orderbus {service}",
            "version": VERSION,
            "description": "Whatever is answered to GET is answered to HEAD, without its body.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": callers,
            "responses": {problem_name(status): problem_response(status) for status in problems_of_all(routes)},
        },
    }


def _callers(application: web.Application) -> Json:
    """How one is known, by the scheme's name: in any of these ways."""
    schemes: Json = {"token": {"type": "http", "scheme": "bearer"}}
    if application.get(SESSIONS, False):
        text = "Of a user who has signed in. What changes something is then to come from a page of the same site."
        schemes["session"] = {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": text}
    return schemes


class Schemas:
    """JSON schemas of all that routes take and give, with what they share in `definitions`."""

    def __init__(self, routes: Iterable[DeclaredRoute]) -> None:
        given: dict[Any, None] = {
            each.gives: None for route in routes for each in route.declaration.responses if each.gives
        }
        taken = {route.declaration.body: None for route in routes if route.declaration.body}
        for kind in (*given, *taken, ProblemBody):
            _read_docstrings(kind)
        inputs: list[tuple[Any, Literal["serialization", "validation"], TypeAdapter[Any]]] = [
            *((kind, "serialization", TypeAdapter(kind)) for kind in [*given, ProblemBody]),
            *((kind, "validation", TypeAdapter(kind)) for kind in taken),
        ]
        self._found, shared = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)
        self.definitions: Json = dict(sorted(shared.get("$defs", {}).items()))

    def given(self, kind: Any) -> Json:
        return self._found[kind, "serialization"]

    def taken(self, kind: type[BaseModel], from_path: tuple[str, ...]) -> Json:
        """Without the fields that the path gives."""
        schema = self._found[kind, "validation"]
        if not from_path:
            return schema
        whole = self.definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        properties = {name: each for name, each in whole["properties"].items() if name not in from_path}
        return whole | {
            "properties": properties,
            "required": [name for name in whole.get("required", ()) if name not in from_path],
        }


def _read_docstrings(kind: Any) -> None:
    """Let the fields of a dataclass or TypedDict, and of all that it is made of, be described by their docstrings."""
    if isinstance(kind, Holds):
        _read_docstrings(kind.kind)
    elif (is_typeddict(kind) or is_dataclass(kind)) and "__pydantic_config__" not in vars(kind):
        kind.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)
        hints = get_type_hints(kind, include_extras=True)
        for part in hints.values():
            _read_docstrings(part)
        for name, said in _inherited(kind).items():
            kind.__annotations__[name] = Annotated[hints[name], Field(description=said)]
    for part in get_args(kind):
        _read_docstrings(part)


def _inherited(kind: Any) -> dict[str, str]:
    """What the bases of a TypedDict say of their fields: pydantic reads the docstrings of its own ones only."""
    found: dict[str, str] = {}
    for base in filter(is_typeddict, get_original_bases(kind) if is_typeddict(kind) else ()):
        _read_docstrings(base)
        properties = TypeAdapter(base).json_schema()["properties"]
        found |= {name: each["description"] for name, each in properties.items() if "description" in each}
    return found


def _operation(route: DeclaredRoute, schemas: Schemas, callers: list[str]) -> Json:
    declaration, access, described = route.declaration, route.access, route.declaration.described
    parameters = [*_variables(route), *_query(declaration), *(_header(header) for header in declaration.headers)]
    operation: Json = {"operationId": _operation_id(route), "summary": declaration.summary}
    if access is PUBLIC or access is PROBE:
        operation["security"] = []
    else:
        operation["security"] = [{name: []} for name in callers]
        if access.permission == SIGNED_IN:
            operation["description"] = "For every known caller, about themselves."
        else:
            operation["description"] = f"Permission `{access.permission}`, for {SCOPES[access.scope.where]}."
            operation["x-permission"] = access.permission
    if described:
        operation["description"] = f"{operation['description']} {described.note}"
        return operation | described.operation | {"responses": _responses(route, schemas)}
    if parameters:
        operation["parameters"] = parameters
    if declaration.has_body:
        operation["requestBody"] = _body(declaration, schemas)
    operation["responses"] = _responses(route, schemas)
    return operation


def _responses(route: DeclaredRoute, schemas: Schemas) -> Json:
    """A page has errors of its own, besides those that every route may answer. One status may have several forms."""
    declared: dict[str, Any] = {}
    for each in route.declaration.responses:
        name, own = str(each.status.value), _response(each, schemas)
        forms = declared.get(name, {}).get("content", {}) | own.get("content", {})
        declared[name] = own | ({"content": forms} if forms else {})
    if described := route.declaration.described:
        declared = dict(described.operation["responses"])
    for status in problems_of_route(route):
        name = str(status.value)
        if name not in declared:
            declared[name] = {"$ref": f"#/components/responses/{problem_name(status)}"}
        elif status >= HTTPStatus.BAD_REQUEST and PAGE in declared[name].get("content", {}):
            declared[name]["content"] |= problem_response(status)["content"]
    return declared


def _operation_id(route: DeclaredRoute) -> str:
    words = re.sub(r"[{}]", "", route.path).replace(".", "_").strip("/").split("/")
    return "_".join([route.method.lower(), *words])


def _variables(route: DeclaredRoute) -> Iterator[Json]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        schema = dict(VARIABLES[name])
        description = schema.pop("description")
        if name in route.patterns and "pattern" not in schema:
            schema["pattern"] = f"^{route.patterns[name]}$"
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query(declaration: Declaration) -> Iterator[Json]:
    if declaration.query is None:
        return
    whole = declaration.query.model_json_schema(by_alias=True)
    shared = whole.get("$defs", {})
    for name, schema in whole["properties"].items():
        resolved = {key: value for key, value in _resolved(schema, shared).items() if key != "title"}
        parameter = {"name": name, "in": "query", "required": name in whole.get("required", ())}
        if "description" in resolved:
            parameter["description"] = resolved.pop("description")
        if resolved.get("type") == "array":
            parameter |= {"style": "form", "explode": issubclass(declaration.query, StrictQuery)}
        yield parameter | {"schema": resolved}


def _resolved(schema: Any, shared: Mapping[str, Any]) -> Any:
    """Parameters are short: nothing refers to elsewhere. One that is left out is not null."""
    if isinstance(schema, list):
        return [_resolved(each, shared) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _resolved(shared[schema["$ref"].rpartition("/")[2]] | rest, shared)
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) == 1:
        return _resolved(options[0] | {key: value for key, value in schema.items() if key != "anyOf"}, shared)
    return {key: _resolved(value, shared) for key, value in schema.items() if (key, value) != ("default", None)}


def _header(header: Header) -> Json:
    return {
        "name": header.name,
        "in": "header",
        "required": header.required,
        "description": header.description,
        "schema": dict(header.schema),
    }


def _body(declaration: Declaration, schemas: Schemas) -> Json:
    if declaration.body is None and declaration.file_media:
        return {"required": True, "content": {declaration.file_media: {"schema": BINARY}}}
    if declaration.form is not None:
        fields = {name: {"type": "string", "description": what} for name, what in declaration.form.items()}
        return {"required": True, "content": {FORM: {"schema": {"type": "object", "properties": fields}}}}
    if declaration.body is None:
        return {"description": declaration.raw_body, "required": True, "content": {JSON: {"schema": {}}}}
    from shared.contracts.examples import EXAMPLES  # noqa: PLC0415  # 3 MB, and documents are seldom asked for

    schema = schemas.taken(declaration.body, declaration.from_path)
    needed = schema if "$ref" not in schema else schemas.definitions[schema["$ref"].rpartition("/")[2]]
    content: Json = {JSON: {"schema": schema}}
    if issubclass(declaration.body, Message) and (example := EXAMPLES.get(declaration.body)):
        body = json.loads(encode(example))
        given = {name: value for name, value in body.items() if name not in declaration.from_path}
        content[JSON]["example"] = given
    if declaration.file_media:
        content[declaration.file_media] = {"schema": BINARY}
    return {"required": bool(needed.get("required")), "content": content}


def _response(declared: DeclaredResponse, schemas: Schemas) -> Json:
    described: Json = {"description": declared.description or declared.status.phrase}
    if declared.media:
        schema = {"type": "string"} if declared.gives is None else schemas.given(declared.gives)
        described["content"] = {declared.media: {"schema": schema}}
    return described
