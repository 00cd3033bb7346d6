"""An assertion is for one request of one caller: for any other, and later, it is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.shell.http.access import EVERY_STORE, IN_PATH, PRINCIPAL, add_public, add_route
from shared.shell.http.assertions import LASTS, LONGEST, Assertions, BadAssertion, RequestHead
from shared.shell.http.declaration import Declaration
from shared.shell.http.principals import Principal, Principals
from shared.shell.http.problems import json_response
from shared.shell.http.requests import read_body, read_file
from shared.shell.http.web import protection

KEY, NEXT_KEY = "k" * 32, "n" * 32
ANNA = Principal("user:anna", ("payment.*", "order.read"), frozenset({"own"}))
PATH = "/stores/own/refund"
HEAD = RequestHead("POST", PATH, "application/json", "key-1")


@dataclass
class HandClock:
    at: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def assertions(clock: HandClock) -> Assertions:
    return Assertions((KEY,), clock)


async def show(request: web.Request) -> web.Response:
    caller = request[PRINCIPAL]
    stores = None if caller.stores is None else sorted(caller.stores)
    return json_response({"name": caller.name, "permissions": caller.permissions, "stores": stores})


async def show_body(request: web.Request) -> web.Response:
    await read_body(request)
    return await show(request)


async def show_file(request: web.Request) -> web.Response:
    await read_file(request, 1000)
    return await show(request)


async def show_nothing(request: web.Request) -> web.Response:
    return json_response({})


@pytest_asyncio.fixture
async def payments(assertions: Assertions) -> AsyncIterator[TestClient[Any, Any]]:
    principals = Principals((), asserted=partial(assertions.read, "payments"))
    app = web.Application(middlewares=[protection(principals)])
    with_body, with_file = Declaration("Takes", raw_body="Any."), Declaration("Takes", file_media="text/csv")
    add_route(app, "POST", "/stores/{store}/refund", show_body, "payment.refund", IN_PATH, with_body)
    add_route(app, "POST", "/stores/{store}/settle", show_body, "payment.settle", IN_PATH, with_body)
    add_route(app, "DELETE", "/stores/{store}/refund", show, "payment.refund", IN_PATH, Declaration("Takes nothing"))
    add_route(app, "PUT", "/stores/{store}/file", show_file, "payment.record", IN_PATH, with_file)
    add_route(app, "POST", "/stores/{store}/cancel", show_body, "order.cancel", IN_PATH, with_body)
    add_route(app, "POST", "/all", show_body, "payment.refund", EVERY_STORE, with_body)
    add_public(app, "GET", "/open", show_nothing, Declaration("All may call it"))
    async with TestClient(TestServer(app)) as client:
        yield client


async def status(
    client: TestClient[Any, Any], assertion: str, head: RequestHead = HEAD, body: bytes | None = b"{}"
) -> int:
    headers = {"Authorization": assertion, "Idempotency-Key": head.idempotency_key}
    headers |= {"Content-Type": head.media} if head.media else {}
    return (await client.request(head.method, head.target, data=body, headers=headers)).status


async def test_its_caller_is_known_with_what_they_may_do(
    payments: TestClient[Any, Any], assertions: Assertions
) -> None:
    headers = {"Authorization": assertions.make(ANNA, "payments", HEAD, b"{}"), "Idempotency-Key": "key-1"}
    response = await payments.post(PATH, data=b"{}", headers=headers | {"Content-Type": "application/json"})
    assert response.status == 200
    told = {"name": "user:anna", "permissions": ["order.read", "payment.*"], "stores": ["own"]}
    assert await response.json() == told


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (RequestHead("POST", "/stores/own/settle", HEAD.media, "key-1"), b"{}"),
        (RequestHead("POST", "/stores/other/refund", HEAD.media, "key-1"), b"{}"),
        (RequestHead("POST", f"{PATH}?amount=1", HEAD.media, "key-1"), b"{}"),
        (RequestHead("POST", PATH, HEAD.media, "key-2"), b"{}"),
        (RequestHead("POST", PATH, "text/csv", "key-1"), b"{}"),
        (RequestHead("DELETE", PATH, HEAD.media, "key-1"), None),
        (HEAD, b'{"amount":1}'),
        (HEAD, b""),
    ],
)
async def test_for_another_request_it_is_refused(
    payments: TestClient[Any, Any], assertions: Assertions, head: RequestHead, body: bytes | None
) -> None:
    assertion = assertions.make(ANNA, "payments", HEAD, b"{}")
    assert await status(payments, assertion, head, body) == 401
    assert await status(payments, assertion) == 200


async def test_for_another_service_it_is_refused(payments: TestClient[Any, Any], assertions: Assertions) -> None:
    assert await status(payments, assertions.make(ANNA, "fulfillment", HEAD, b"{}")) == 401


async def test_it_ends(payments: TestClient[Any, Any], assertions: Assertions, clock: HandClock) -> None:
    assertion = assertions.make(ANNA, "payments", HEAD, b"{}")
    clock.at += LASTS - 0.1
    assert await status(payments, assertion) == 200
    clock.at += 0.1
    assert await status(payments, assertion) == 401


async def test_of_a_clock_that_is_fast_it_is_refused(
    payments: TestClient[Any, Any], assertions: Assertions, clock: HandClock
) -> None:
    assertion = assertions.make(ANNA, "payments", HEAD, b"{}")
    clock.at -= LONGEST - LASTS
    assert await status(payments, assertion) == 200
    clock.at -= 1
    assert await status(payments, assertion) == 401


async def test_a_body_is_refused_where_none_is_read(payments: TestClient[Any, Any], assertions: Assertions) -> None:
    head = RequestHead("DELETE", PATH)
    assertion = assertions.make(ANNA, "payments", head, b"")
    assert await status(payments, assertion, head, None) == 200
    assert await status(payments, assertion, RequestHead("DELETE", PATH, "text/csv"), b"x") == 401
    of_a_body = assertions.make(ANNA, "payments", RequestHead("DELETE", PATH, "text/csv"), b"x")
    assert await status(payments, of_a_body, RequestHead("DELETE", PATH, "text/csv"), b"x") == 401


async def test_a_file_is_the_one_that_was_signed(payments: TestClient[Any, Any], assertions: Assertions) -> None:
    head = RequestHead("PUT", "/stores/own/file", "text/csv")
    assertion = assertions.make(ANNA, "payments", head, b"a,b")
    assert await status(payments, assertion, head, b"a,b") == 200
    assert await status(payments, assertion, head, b"a,c") == 401


@pytest.mark.parametrize(
    ("path", "expected"), [("/stores/own/cancel", 403), ("/stores/other/refund", 403), ("/all", 403)]
)
async def test_permission_and_store_are_checked_here_too(
    payments: TestClient[Any, Any], assertions: Assertions, path: str, expected: int
) -> None:
    head = RequestHead("POST", path, HEAD.media, "key-1")
    assert await status(payments, assertions.make(ANNA, "payments", head, b"{}"), head) == 403


async def test_keys_can_be_changed(payments: TestClient[Any, Any], clock: HandClock) -> None:
    """Each worker reads those of both before one signs with the new one."""
    assert await status(payments, Assertions((KEY, NEXT_KEY), clock).make(ANNA, "payments", HEAD, b"{}")) == 200
    assert await status(payments, Assertions((NEXT_KEY, KEY), clock).make(ANNA, "payments", HEAD, b"{}")) == 401
    changed = Assertions((NEXT_KEY, KEY), clock)
    assert changed.read("payments", Assertions((KEY,), clock).make(ANNA, "payments", HEAD, b""), HEAD) is not None


@pytest.mark.parametrize("wrong", ["Assertion", "Assertion x.y", "assertion é", "Assertion " + "x" * 5_000])
async def test_what_is_none_is_refused(payments: TestClient[Any, Any], wrong: str) -> None:
    assert await status(payments, wrong) == 401
    with pytest.raises(BadAssertion):
        Assertions((KEY,)).read("payments", wrong, HEAD)


async def test_a_service_without_keys_knows_none(assertions: Assertions) -> None:
    app = web.Application(middlewares=[protection(Principals(()))])
    add_route(app, "POST", "/all", show, "payment.refund", EVERY_STORE, Declaration("Shows"))
    async with TestClient(TestServer(app)) as client:
        head = RequestHead("POST", "/all")
        assert await status(client, assertions.make(ANNA, "payments", head, b""), head, None) == 401
