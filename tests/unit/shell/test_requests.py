"""What a route reads of its request, by what it declares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import Field

from shared.core import Problem
from shared.shell.http.access import RequestHandler, add_public
from shared.shell.http.declaration import Declaration, Header, Query, StrictQuery
from shared.shell.http.principals import Principals
from shared.shell.http.problems import json_response
from shared.shell.http.requests import (
    Number,
    UtcMoment,
    Words,
    body_in,
    header_in,
    query_in,
    read_body,
    strict_query_in,
)
from shared.shell.http.web import protection

Client = TestClient[web.Request, web.Application]


class Wanted(Query):
    limit: Number = Field(default=50, ge=1, le=200)
    begin: UtcMoment | None = Field(default=None, alias="from")
    after: UUID | None = None
    name: Words = ""
    unread: bool = False


async def wanted(request: web.Request) -> web.Response:
    return json_response(query_in(request, Wanted).model_dump(mode="json"))


async def a_body(request: web.Request) -> web.Response:
    return json_response(str(await read_body(request)))


async def another_body(request: web.Request) -> web.Response:
    return json_response((await body_in(request, Wanted, "body")).limit)


async def a_header(request: web.Request) -> web.Response:
    return json_response(header_in(request, Header("X-Any", "Any.")))


def application(handler: RequestHandler, declaration: Declaration) -> web.Application:
    app = web.Application(middlewares=[protection(Principals([]))])
    add_public(app, "POST", "/", handler, declaration)
    return app


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(wanted, Declaration("Read", query=Wanted)))) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("", {}),
        ("limit=&from=&after=&name=&unread=", {}),
        ("limit=7&limit=8&unknown=1", {"limit": 7}),
        ("from=2026-03-03T16:05:00%2B02:00", {"begin": "2026-03-03T14:05:00Z"}),
        ("name=%C3%A9&unread=1", {"name": "é", "unread": True}),
        ("unread=false", {}),
    ],
)
async def test_the_query(client: Client, query: str, read: dict[str, object]) -> None:
    answer = await client.post(f"/?{query}")
    assert answer.status == 200
    assert await answer.json() == Wanted().model_dump(mode="json") | read


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=1_0", "limit=%D9%A1", "limit=1.0", "limit=-1", "limit=" + "9" * 5000),
        *("from=2026-03-03T14:05:00", "from=yesterday", "from=1772546700", "from=0001-01-01T00:00:00%2B02:00"),
        *("after=1", "unread=perhaps", "name=%07", "name=" + "x" * 301),
    ],
)
async def test_a_wrong_parameter_is_named(client: Client, query: str) -> None:
    answer = await client.post(f"/?{query}")
    assert answer.status == 400
    problem = await answer.json()
    assert [each["field"] for each in problem["problems"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("handler", "declaration"),
    [
        (wanted, Declaration("Read")),
        (a_body, Declaration("Read", query=Wanted)),
        (another_body, Declaration("Read", raw_body="Any.")),
        (a_header, Declaration("Read")),
    ],
)
async def test_what_is_not_declared_cannot_be_read(handler: RequestHandler, declaration: Declaration) -> None:
    """A document would not have it."""
    async with TestClient(TestServer(application(handler, declaration))) as client:
        assert (await client.post("/?limit=1", data=b"{}")).status == 500


def test_times_are_in_utc() -> None:
    read = Wanted.model_validate({"from": "2026-03-03T16:05:00+02:00"})
    assert read.begin == datetime(2026, 3, 3, 14, 5, tzinfo=UTC) and read.begin.tzinfo is UTC


class Strict(StrictQuery):
    status: tuple[Words, ...] = ()
    limit: Number = Field(default=50, ge=1, le=200)
    first: Number = 0
    last: Number = 9


def in_order(query: Strict) -> Iterator[Problem]:
    if query.first > query.last:
        yield Problem(field="last", code="invalid_value", text="is before the first")


async def strict(request: web.Request) -> web.Response:
    return json_response(strict_query_in(request, Strict, in_order).model_dump())


@pytest.mark.parametrize(
    ("query", "given"),
    [
        ("", {}),
        ("?status=paid&limit=7&status=failed", {"status": ["paid", "failed"], "limit": 7}),
        ("?status=&limit=", {}),
    ],
)
async def test_each_value_of_a_list_is_a_parameter(query: str, given: dict[str, object]) -> None:
    async with TestClient(TestServer(application(strict, Declaration("Read", query=Strict)))) as client:
        response = await client.post(f"/{query}")
        assert (response.status, await response.json()) == (200, Strict().model_dump() | {"status": []} | given)


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("?stauts=paid", ["stauts unknown_field: is no parameter; did you mean status?"]),
        ("?colour=red", ["colour unknown_field: is no parameter"]),
        ("?limit=7&limit=8", ["limit repeated: is given more than once"]),
        (
            "?limit=x&colour=red&first=8&last=7",
            [
                "colour unknown_field: is no parameter",
                "limit invalid_value: must be a number",
                "last invalid_value: is before the first",
            ],
        ),
    ],
)
async def test_everything_that_is_wrong_with_a_strict_query_is_named(query: str, problems: list[str]) -> None:
    async with TestClient(TestServer(application(strict, Declaration("Read", query=Strict)))) as client:
        response = await client.post(f"/{query}")
        found = (await response.json())["problems"]
    assert response.status == 400
    assert [f"{each['field']} {each['code']}: {each['text']}" for each in found] == problems
