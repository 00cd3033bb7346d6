"""What docs/errors.md says of trying again is true: after which refusals the same request is handled under the same
Idempotency-Key, and which are its outcome."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from deploy.documents.errors import page
from deploy.documents.errors.found import NOT_KEPT, found_codes
from shared.core import Refused
from shared.shell.batch.batch import _PASSING
from shared.shell.http.access import RequestHandler
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.principals import Principals
from shared.shell.http.problems import ProblemResponse
from shared.shell.http.web import add_commands, protection
from shared.shell.ports.tables import WrittenByNewer
from tests.http_edges import BEARER, TOKEN
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import Count, MeterRefused

FOUND = found_codes()
AGAIN = {code for code, found in FOUND.items() if found.repeated_under_its_id}
OUTCOMES = {code for code, found in FOUND.items() if "Refused" in found.kinds} - AGAIN


@asynccontextmanager
async def repeating(api: ShellHttpApi, *first: ProblemResponse) -> AsyncIterator[TestClient[Any, Any]]:
    """Who asks the meter by HTTP. `first`: what its first requests are told before they reach the core."""
    left = [*first]

    @web.middleware
    async def told(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        if left:
            raise left.pop(0)
        return await handler(request)

    async def store_of(key: str) -> str:
        return "s"

    app = web.Application(middlewares=[protection(Principals.of_token(TOKEN)), told])
    add_commands(app, api, [("POST", "/meters/{key}", Count)], store_of)
    async with TestClient(TestServer(app), headers=BEARER) as client:
        yield client


async def ask(client: TestClient[Any, Any], what: str = "one more") -> str:
    """A code, or `accepted`."""
    async with client.post("/meters/t-1", json={"what": what}, headers={"Idempotency-Key": "k"}) as answer:
        body = await answer.json()
    return str(body.get("code") or ("repeated" if body["duplicate"] else "accepted"))


@pytest.mark.parametrize("code", sorted(AGAIN - NOT_KEPT))
async def test_a_request_that_was_not_handled_is_under_the_same_key(api: ShellHttpApi, code: str) -> None:
    async with repeating(api, ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, "Later.", code)) as client:
        assert [await ask(client) for _ in range(3)] == [code, "accepted", "repeated"]


@pytest.mark.parametrize(("code", "fault"), [("internal", RuntimeError("a bug")), ("newer", WrittenByNewer("newer"))])
async def test_a_fault_is_no_outcome(harness: Harness, api: ShellHttpApi, code: str, fault: Exception) -> None:
    """`parked` neither: `test_passing_refusals.py`."""
    harness.when("one more", fault)
    async with repeating(api) as client:
        assert await ask(client) == code
        harness.answers.clear()
        assert [await ask(client) for _ in range(2)] == ["accepted", "repeated"]


@pytest.mark.parametrize("code", sorted(OUTCOMES))
async def test_any_other_refusal_is_the_outcome(harness: Harness, api: ShellHttpApi, code: str) -> None:
    harness.when("one more", Refused(code, "No."))
    said = "not_found" if code == "unknown_order" else code
    async with repeating(api) as client:
        assert await ask(client) == said
        harness.answers.clear()
        assert await ask(client) == said
    assert harness.meter("t-1") is None


async def test_over_kafka_the_same_id_is_answered_once(harness: Harness) -> None:
    harness.when("one more", Refused("not_reserved", "Not yet."))
    first = harness.record("t-1", Count())
    await harness.batch(first)
    harness.answers.clear()
    await harness.batch(first)
    assert [type(event) for event in harness.events()] == [MeterRefused]


def test_what_the_core_says_besides_outcomes_is_known() -> None:
    assert {refused.code for refused in _PASSING.values()} | {"internal"} == NOT_KEPT


def test_the_page_names_them_all() -> None:
    listed, rest = page.page().split("\nAfter ")[1].split(", send the same request")
    assert set(re.findall("`(.*?)`", listed)) == AGAIN
    assert "`not_reserved`" in rest and "not_reserved" in OUTCOMES


def test_advice_says_under_which_id() -> None:
    """Where it says "try again" or "repeat"."""
    for code, (_, do) in page.advice().items():
        if "try again" in do.lower() or "repeat the request" in do.lower():
            assert ("same `Idempotency-Key`" if code in AGAIN else "under a new id") in do, code
