"""What staff's API sends on to the services that own orders: all that their routes change, and all that they show. It
is made of what these declare, and staff reads it at its start, so it knows of no route that is not there, and imports
no other service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from deploy.documents.openapi import application_of
from services.registry import SERVICES
from shared.shell.http.access import PROBE, PUBLIC
from shared.shell.http.declaration import Json
from shared.shell.http.declared_routes import DeclaredRoute, routes_of
from shared.shell.http.openapi import document
from shared.shell.http.openapi_problems import REFERENCE

FILE = "services/staff/owners/commands.json"
READS = "services/staff/owners/reads.json"
OWNERS = tuple(name for name in SERVICES if name != "staff")
JSON = "application/json"
ANYTHING = "JsonValue"
"""The shape of any JSON, which is the same in all documents."""
FOUND = re.compile(re.escape(REFERENCE.partition("{")[0]) + r"(\w+)")


def text() -> str:
    """The file's. Routes that take files alone are left out: they are read in parts, and would not fit in memory."""
    return _routes(_is_sent_on)


def reads() -> str:
    """The other file's. Streams are left out, and what is no JSON."""
    return _routes(_is_read)


def _routes(wanted: Callable[[DeclaredRoute], bool]) -> str:
    commands: list[Json] = []
    schemas: dict[str, Json] = {}
    for owner in OWNERS:
        application = application_of(owner)
        described = document(application, owner)
        own = [_command(owner, route, described) for route in routes_of(application) if wanted(route)]
        schemas |= dict(_schemas(owner, own, described["components"]["schemas"]))
        commands += [_renamed(owner, command) for command in own]
    return json.dumps({"commands": commands, "schemas": schemas}, indent=1, ensure_ascii=False) + "\n"


def _is_sent_on(route: DeclaredRoute) -> bool:
    files_alone = route.declaration.file_media and route.declaration.body is None
    return route.method != "GET" and route.access not in (PUBLIC, PROBE) and not files_alone


def _is_read(route: DeclaredRoute) -> bool:
    as_json = all(each.media == JSON for each in route.declaration.responses)
    return route.method == "GET" and route.access not in (PUBLIC, PROBE) and as_json


def _command(owner: str, route: DeclaredRoute, described: Json) -> Json:
    operation = described["paths"][route.path][route.method.lower()]
    answers = operation["responses"]
    return {
        "owner": owner,
        "method": route.method,
        "path": re.sub(r"\{(\w+)\}", lambda found: _variable(found[1], route), route.path),
        "permission": route.access.permission,
        "scope": route.access.scope.where,
        "summary": route.declaration.summary,
        "takes_body": route.declaration.has_body,
        "idempotent": any(header.name == "Idempotency-Key" for header in route.declaration.headers),
        "refused": [int(status) for status, answer in answers.items() if "$ref" in answer],
        "operation": {name: operation[name] for name in ("parameters", "requestBody") if name in operation}
        | {"responses": {status: answer for status, answer in answers.items() if "$ref" not in answer}},
    }


def _variable(name: str, route: DeclaredRoute) -> str:
    return f"{{{name}:{route.patterns[name]}}}" if name in route.patterns else f"{{{name}}}"


def _schemas(owner: str, commands: list[Json], known: Json) -> Iterator[tuple[str, Json]]:
    """Those that the commands refer to, in the order of their names."""
    needed, left = set[str](), set(_references(commands))
    while left:
        needed |= left
        left = set(_references([known[name] for name in left])) - needed
    for name in sorted(needed):
        yield _own_name(owner, name), _renamed(owner, known[name])


def _references(shape: object) -> list[str]:
    return FOUND.findall(json.dumps(shape))


def _renamed(owner: str, shape: Json) -> Json:
    """Two services may have shapes of one name."""
    found: Json = json.loads(
        FOUND.sub(lambda name: REFERENCE.format(model=_own_name(owner, name[1])), json.dumps(shape))
    )
    return found


def _own_name(owner: str, name: str) -> str:
    return name if name == ANYTHING else owner.capitalize() + name
