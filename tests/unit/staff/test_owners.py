"""What staff's API sends to an owner, and what it makes of answers that are none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.staff.owners.client import Owners
from services.staff.owners.commands import owner_commands, owner_reads
from services.staff.owners.routes import as_id
from services.staff.settings import StaffSettings
from shared.permissions import PERMISSIONS
from shared.settings import example_settings
from shared.shell.http.access import IN_PATH, PRINCIPAL, add_route
from shared.shell.http.assertions import Assertions, RequestHead
from shared.shell.http.declaration import Declaration
from shared.shell.http.principals import Principal, Principals
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import read_body
from shared.shell.http.web import protection

KEY = "k" * 32
ANNA = Principal("user:anna", ("order.cancel",), frozenset({"own"}))
HEAD = RequestHead("POST", "/stores/own/x", "application/json", "key-1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def owner(handler: Handler, keys: tuple[str, ...] = (KEY,)) -> AsyncIterator[Owners]:
    """Staff's way to a checkout that answers so."""
    principals = Principals((), asserted=partial(Assertions(keys).read, "checkout"))
    app = web.Application(middlewares=[protection(principals)])
    for method in ("POST", "GET"):
        declaration = Declaration("Takes", raw_body="Any." if method == "POST" else "")
        add_route(app, method, "/stores/{store}/{what:.*}", handler, "order.cancel", IN_PATH, declaration)
    async with TestServer(app) as server:
        owners = Owners({"checkout": f"http://127.0.0.1:{server.port}/", "payments": None}, Assertions((KEY,)))
        yield owners
        await owners.close()


async def echo(request: web.Request) -> web.StreamResponse:
    body = await read_body(request) if request.method == "POST" else b""
    names = ("Idempotency-Key", "Content-Type", "Cookie")
    told = {name: request.headers.get(name) for name in names}
    told |= {"body": body.decode(), "actor": request[PRINCIPAL].name, "path": request.raw_path}
    return json_response(told, headers={"ETag": '"1"'})


async def refusal(owners: Owners, head: RequestHead = HEAD, **more: Any) -> ProblemResponse:
    with pytest.raises(ProblemResponse) as refused:
        await owners.send(ANNA, "checkout", head, b"{}", **more)
    return refused.value


async def test_the_request_arrives_with_its_caller_and_the_answer_comes_back() -> None:
    async with owner(echo) as owners:
        answer = await owners.send(ANNA, "checkout", HEAD, b'{"a":1}')
    assert answer.status == 200 and answer.headers["ETag"] == '"1"'
    assert orjson.loads(answer.body) == {
        "Idempotency-Key": "key-1",
        "Content-Type": "application/json",
        "Cookie": None,
        "body": '{"a":1}',
        "actor": "user:anna",
        "path": "/stores/own/x",
    }


@pytest.mark.parametrize("target", ["/stores/own/x?q=a%20b&r=%2F", "/stores/own/a%2Fb%3B;c", "/stores/own/%C3%A9@"])
async def test_path_and_query_arrive_byte_by_byte(target: str) -> None:
    async with owner(echo) as owners:
        for head, body in ((RequestHead("POST", target, "application/json"), b"{}"), (RequestHead("GET", target), b"")):
            answer = await owners.send(ANNA, "checkout", head, body)
            assert answer.status == 200 and f'"path":"{target}"' in answer.body.decode()
        assert (await owners.send(ANNA, "checkout", RequestHead("POST", "/stores/own/x"))).status == 200


@pytest.mark.parametrize(
    "target",
    ["/stores/own/../x", "/stores/own/%2e%2E/x", "/stores/own/.", "/stores/own/é", "/x#y", "x", "/a b", "/%zz"],
)
async def test_what_could_be_read_otherwise_is_not_sent(target: str) -> None:
    async with owner(echo) as owners:
        refused = await refusal(owners, RequestHead("POST", target, "application/json"))
    assert (refused.status, refused.code) == (400, "bad_request")


@pytest.mark.parametrize("status", [202, 400, 403, 404, 409, 422, 429])
async def test_whatever_the_owner_says_is_its_answer(status: int) -> None:
    async def say(request: web.Request) -> web.StreamResponse:
        await read_body(request)
        return web.Response(status=status, text="said")

    async with owner(say) as owners:
        answer = await owners.send(ANNA, "checkout", HEAD, b"{}")
    assert (answer.status, answer.body) == (status, b"said")


async def test_an_owner_that_is_not_there() -> None:
    async with owner(echo) as owners, TestServer(web.Application()) as server:
        owners.urls["checkout"] = f"http://127.0.0.1:{server.port}"
        await server.close()
        refused = await refusal(owners)
    assert (refused.status, refused.code, refused.retry_after) == (503, "unreachable", 5)
    assert refused.title == "checkout cannot be reached. Nothing was done. Repeat the request."


async def test_an_owner_that_does_not_answer() -> None:
    async def wait(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        raise AssertionError

    async with owner(wait) as owners:
        refused = await refusal(owners, timeout=0.2)
    assert (refused.status, refused.code) == (503, "unreachable")
    assert "may have done it" in refused.title and "the same Idempotency-Key" in refused.title


@pytest.mark.parametrize(("status", "media"), [(502, "text/html"), (301, ""), (500, "application/json")])
async def test_what_another_program_says_for_the_owner_is_no_answer(status: int, media: str) -> None:
    async def say(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, content_type=media or "text/plain", headers={"Location": "/elsewhere"})

    async with owner(say) as owners:
        refused = await refusal(owners)
    assert (refused.status, refused.code) == (503, "unreachable") and f"HTTP {status}" in refused.title


async def test_other_keys_of_the_owner_do_not_look_like_a_session_that_ended() -> None:
    async with owner(echo, ("n" * 32,)) as owners:
        refused = await refusal(owners)
    assert (refused.status, refused.code) == (503, "unreachable")
    assert "ORDERBUS_ASSERTION_KEYS" in refused.title


async def test_an_owner_of_which_no_setting_tells() -> None:
    owners = Owners({"checkout": None}, Assertions((KEY,)))
    assert "Set ORDERBUS_STAFF__CHECKOUT_URL." in (await refusal(owners)).title


def test_every_command_is_known_with_its_permission() -> None:
    commands = list(owner_commands())
    assert {each.permission for each in commands} <= set(PERMISSIONS)
    assert len({(each.method, each.route) for each in commands}) == len(commands)
    assert {each.owner for each in commands} == example_settings(StaffSettings).staff.owners().keys()
    settle = [each for each in commands if each.path == "/orders/{key}/settle"]
    assert {(each.owner, each.permission) for each in settle} == {
        ("payments", "payment.settle"),
        ("fulfillment", "delivery.settle"),
    }


def test_what_the_owners_show_is_known_without_streams_and_probes() -> None:
    reads = {(each.owner, each.path): each for each in owner_reads()}
    assert {each.permission for each in reads.values()} <= set(PERMISSIONS)
    assert reads["fulfillment", "/stores/{store}/stock"].permission == "stock.read"
    assert ("checkout", "/orders/{order}") in reads and ("payments", "/ledger") in reads
    assert not {path for _, path in reads} & {"/health", "/metrics", "/openapi.json", "/feeds/{recipient}/stream"}
    assert all(each.method == "GET" and not each.declaration.has_body for each in reads.values())


@pytest.mark.parametrize("given", ["anna@example.com", "Anna Smith", "", "x" * 300, "é"])
def test_what_looks_like_no_id_is_in_no_audit_log(given: str) -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{24}", as_id(given))


@pytest.mark.parametrize("given", ["o-1", "ORD-2ABC", "store/sku", "own~customer~c-1", "018f4d6e-0b1c-7c3a"])
def test_ids_are(given: str) -> None:
    assert as_id(given) == given


class TestSettings:
    """All that sending needs is there, or nothing of it."""

    @staticmethod
    def problem(**given: str) -> str:
        settings = example_settings(StaffSettings)
        keys = given.pop("keys", None)
        whole = settings.model_dump() | {"assertion_keys": keys}
        whole["staff"] = whole["staff"] | given | {"database_url": "postgresql://staff@h/staff"}
        return StaffSettings.model_validate(whole).problem()

    urls: ClassVar = {
        f"{name}_url": f"http://{name}:8080" for name in ("checkout", "payments", "fulfillment", "notifications")
    }

    def test_nothing_or_everything(self) -> None:
        assert self.problem() == ""
        assert self.problem(**self.urls, keys=KEY) == ""

    def test_a_missing_address_is_named(self) -> None:
        urls = {name: url for name, url in self.urls.items() if name != "payments_url"}
        assert self.problem(**urls, keys=KEY).startswith("ORDERBUS_STAFF__PAYMENTS_URL: is missing")

    def test_missing_keys_are_named(self) -> None:
        assert self.problem(**self.urls).startswith("ORDERBUS_ASSERTION_KEYS: is missing")
