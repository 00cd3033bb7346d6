"""The OpenAPI document of each service: valid, complete, and what its workers serve."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from services.registry import PROCESSES
from shared.shell.http.access import IN_QUERY, PROBE, PUBLIC, access_of
from shared.shell.http.openapi import PATH, document
from tests.http_edges import application_of

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]
METHODS = ("get", "post", "put", "delete", "patch", "options", "trace")
OPEN = (PUBLIC, PROBE)


def written(service: str) -> Json:
    text = (ROOT / f"docs/openapi/{service}.json").read_text(encoding="utf-8")
    found: Json = json.loads(text)
    return found


@cache
def operations(service: str) -> dict[tuple[str, str], Json]:
    paths = written(service)["paths"].items()
    return {(method.upper(), path): each for path, item in paths for method, each in item.items() if method in METHODS}


@cache
def routed(service: str) -> dict[tuple[str, str], web.AbstractRoute]:
    """By method and path, without the patterns of its variables."""
    found = {}
    for route in application_of(service).router.routes():
        assert route.resource is not None
        found[route.method, route.resource.canonical] = route
    return found


@pytest.mark.parametrize("service", PROCESSES)
def test_it_is_valid(service: str) -> None:
    OPENAPI_31_VALIDATOR.validate(written(service))


@pytest.mark.parametrize("service", PROCESSES)
def test_it_has_every_route_of_the_router_and_no_other(service: str) -> None:
    routes = routed(service)
    assert set(operations(service)) == {(method, path) for method, path in routes if method != "HEAD"}
    assert {path for method, path in routes if method == "HEAD"} == {path for method, path in routes if method == "GET"}


@pytest.mark.parametrize("service", PROCESSES)
def test_whatever_it_refers_to_is_there(service: str) -> None:
    whole = written(service)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(whole)):
        part: Any = whole
        for name in reference.split("/"):
            assert name in part, reference
            part = part[name]


OF_SIGN_IN = ("/api/v1/session", "/api/v1/invitations/accept")
"""Public routes that refuse wrong passwords, and pages of other sites."""

KNOWN_BY: dict[str, list[dict[str, list[str]]]] = {"staff": [{"token": []}, {"session": []}]}
"""Staff's users, by a cookie, too: the others know tokens alone."""


@pytest.mark.parametrize("service", PROCESSES)
def test_it_says_who_may_call_each(service: str) -> None:
    for (method, path), operation in operations(service).items():
        access = access_of(routed(service)[method, path].handler)
        assert access is not None
        if access in OPEN:
            assert operation["security"] == []
            assert not {"401", "403"} & set(operation["responses"]) or path.startswith(OF_SIGN_IN)
        else:
            assert operation["security"] == KNOWN_BY.get(service, [{"token": []}])
            assert {"401", "403"} <= set(operation["responses"])
            assert operation.get("x-permission", "") == access.permission


@pytest.mark.parametrize("service", PROCESSES)
def test_it_has_every_variable_of_a_path_and_the_store_of_a_query(service: str) -> None:
    for (method, path), operation in operations(service).items():
        parameters = operation.get("parameters", ())
        variables = {each["name"] for each in parameters if each["in"] == "path"}
        assert variables == set(re.findall(r"\{(\w+)\}", path)), path
        if getattr(access_of(routed(service)[method, path].handler), "scope", None) is IN_QUERY:
            assert "store" in {each["name"] for each in parameters if each["in"] == "query"}, path


@pytest.mark.parametrize("service", PROCESSES)
def test_every_body_of_a_command_is_its_contract(service: str) -> None:
    whole = written(service)
    for operation in operations(service).values():
        if operation.get("x-permission", "").endswith(".read") or "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"]
        if "application/json" not in content:  # it takes only a file, or a page's form
            assert [*content] in (["application/octet-stream"], ["application/x-www-form-urlencoded"])
            continue
        schema = content["application/json"]["schema"]
        if "$ref" in schema:
            schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert schema == {} or schema["additionalProperties"] is False


@pytest.mark.parametrize("service", PROCESSES)
async def test_every_worker_serves_it_to_all(service: str) -> None:
    async with TestClient(TestServer(application_of(service))) as client:
        answer = await client.get(PATH)
        assert answer.status == 200
        assert await answer.json() == written(service)


@pytest.mark.parametrize("service", PROCESSES)
def test_the_examples_of_bodies_fit(service: str) -> None:
    whole = written(service)
    for operation in operations(service).values():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                schema = content["schema"] | {"components": whole["components"]}
                assert [*jsonschema.Draft202012Validator(schema).iter_errors(content["example"])] == []


async def test_a_route_that_declares_nothing_is_an_error() -> None:
    async def show(request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_get("/undeclared", show)
    with pytest.raises(TypeError, match="GET /undeclared does not declare"):
        document(application, "test")
