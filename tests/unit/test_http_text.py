"""What no route can store or understand is refused with 400 or 404, by every service and on every route."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from services.registry import SERVICES
from shared.shell.http.declaration import declaration_of
from tests.http_edges import Route, ServiceEdge, exchange, request_of, routes_of, service_edge

BAD = {
    "NUL": "%00",
    "a NUL within": "o-1%00",
    "bytes that are no UTF-8": "%ff%fe",
    "a lone surrogate": "%ed%a0%80",
    "more than fits": "x" * 100_000,
}

FILES = "/stores/{store}/files"


@pytest_asyncio.fixture(params=SERVICES)
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[ServiceEdge, int]]:
    edge = service_edge(request.param)
    async with TestServer(edge.application) as server:
        assert server.port
        yield edge, server.port
    await edge.engine.dispose()


def parametrised(edge: ServiceEdge) -> list[Route]:
    found = [route for route in routes_of(edge.application) if "{" in route.path]
    assert len(found) > 8
    return found


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_in_the_path(served: tuple[ServiceEdge, int], bad: str) -> None:
    edge, port = served
    told = {
        f"{route.method} {route.path}": await exchange(port, request_of(route.method, route.with_variables(bad)))
        for route in parametrised(edge)
        if r"\d" not in route.path
    }
    assert {route: status for route, status in told.items() if status not in (400, 404)} == {}


@pytest.mark.parametrize(
    "query", [*(f"q={bad}" for bad in BAD.values()), "limit=1%00", "%00=1", "%ff=1"], ids=lambda query: query[:12]
)
async def test_in_the_query(served: tuple[ServiceEdge, int], query: str) -> None:
    edge, port = served
    told = {
        route.path: await exchange(port, request_of("GET", f"{route.with_variables('o-1')}?{query}"))
        for route in routes_of(edge.application)
        if route.method == "GET"
    }
    assert {path: status for path, status in told.items() if status not in (400, 404)} == {}


async def test_as_bytes_of_the_request_line(served: tuple[ServiceEdge, int]) -> None:
    edge, port = served
    for route in parametrised(edge):
        if r"\d" in route.path:
            continue
        for bad in (b"\xff", "é".encode("latin-1"), b"\xed\xa0\x80"):
            target = route.with_variables("BAD").encode().replace(b"BAD", bad)
            assert await exchange(port, request_of(route.method, target)) in (400, 404), route


PEOPLE = tuple(
    f"/api/v1/{what}" for what in ("session", "users", "roles", "tokens", "invitations", "jobs/schedules", "jobs/{job}")
)
"""Changed at once, by a staff member who is signed in."""
SENT_ON = re.compile(f"^/api/v1/({'|'.join(SERVICES)})")
"""By staff: before the path of its owner's route."""


@pytest.mark.parametrize("key", [b"\xff\xfe", "\u200b".encode(), b"x" * 201, b""])
async def test_in_the_idempotency_key(served: tuple[ServiceEdge, int], key: bytes) -> None:
    edge, port = served
    for route in parametrised(edge):
        if "Idempotency-Key" in route.path or route.method == "GET":
            continue
        if SENT_ON.sub("", route.path).startswith(
            (
                "/parked",
                "/undeliverable",
                "/destinations",
                "/feeds",
                "/stripe",
                "/pay/",
                "/stores/{store}/secrets",
                *PEOPLE,
                FILES,
            )
        ):
            continue  # they take none
        if route.path.endswith(("/preview", "/discord/{connection}/test", "/downloads/renew")):
            continue  # changes nothing
        request = request_of(route.method, route.with_variables("o-1"), {"Idempotency-Key": key}, b"{}")
        assert await exchange(port, request) == 400, route


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "deflate"}, 415),
        ({"Content-Encoding": "br"}, 400),
        ({"Content-Type": "application/json; charset=no-such"}, 400),
    ],
)
async def test_in_the_body(served: tuple[ServiceEdge, int], headers: dict[str, str | bytes], status: int) -> None:
    edge, port = served
    for route in parametrised(edge):
        if route.path.endswith("/discord/{connection}/test"):
            continue  # it takes no body
        if route.path.startswith(FILES) and "Content-Type" in headers:
            continue  # any text is a file
        if route.method in ("POST", "PUT") and route.path.startswith(("/orders", "/stores")):
            request = request_of(route.method, route.with_variables("o-1"), headers, b"\x1f\x8bno archive")
            assert await exchange(port, request) == status, route


OTHER_MEDIA: list[dict[str, str | bytes]] = [
    {"Content-Type": media}
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "text/json", "image/png")
]
OWN_MEDIA = {
    "POST /pay/{token}": "application/x-www-form-urlencoded",
    "POST /stores/{store}/pools/{pool}/codes": "text/csv",
}
"""What else than JSON a route takes."""


def reads_text(edge: ServiceEdge) -> Iterator[Route]:
    """Routes whose body is JSON or a form: no file, and not what a provider sends and signs."""
    handlers = [each.handler for each in edge.application.router.routes() if each.method != "HEAD"]
    for route, handler in zip(routes_of(edge.application), handlers, strict=True):
        declared = declaration_of(handler)
        assert declared
        if declared.body or declared.form:
            yield route


async def test_in_the_content_type(served: tuple[ServiceEdge, int]) -> None:
    """A body that is read as JSON has said that it is JSON, with any parameters; it is not read otherwise."""
    edge, port = served
    routes = list(reads_text(edge))
    assert len(routes) > 3

    async def asked(route: Route, headers: dict[str, str | bytes]) -> int:
        return await exchange(port, request_of(route.method, route.with_variables("7"), headers, b"?"))

    for route in routes:
        for headers in OTHER_MEDIA:
            refused = headers["Content-Type"] != OWN_MEDIA.get(f"{route.method} {route.path}")
            assert (await asked(route, headers) == 415) is refused, (route, headers)
        if "/pay/" not in route.path:
            for given in (
                "application/octet-stream",
                "",
                "application/json",
                "Application/JSON; charset=utf-8",
                'application/json;v="1"',
            ):
                assert await asked(route, {"Content-Type": given}) not in (202, 415), (route, given)


@pytest.mark.parametrize("body", [b"zz\r\nxx\r\n", b"5\r\nabc\r\n0\r\n\r\n"])
async def test_in_chunks_of_a_wrong_length(served: tuple[ServiceEdge, int], body: bytes) -> None:
    edge, port = served
    for route in parametrised(edge):
        if route.method in ("POST", "PUT") and route.path.startswith(("/orders", "/stores")):
            head = request_of(route.method, route.with_variables("o-1"))
            head = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            assert await exchange(port, head + body) == 400, route
