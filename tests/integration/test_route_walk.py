"""Every route of every service, asked by every kind of caller. What a route itself does is replaced: only the way to it
is tested."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.checkout.storage import orders
from services.fulfillment.storage import deliveries
from services.notifications.gateways.feed_tokens import FeedTokens
from services.notifications.storage import notification_logs
from services.payments.storage import payments
from services.registry import SERVICES
from services.staff.storage import orders as staff_orders
from shared.api_clients import ApiClientSettings
from shared.permissions import PERMISSIONS
from shared.shell.http.access import (
    EVERY_STORE,
    IN_QUERY,
    OF_RECIPIENT,
    OWN_STORES,
    PROBE,
    PUBLIC,
    SIGNED_IN,
    Access,
    RequestHandler,
    access_of,
)
from shared.shell.http.assertions import Assertions, RequestHead
from shared.shell.http.principals import Principal
from tests.http_edges import ASSERTION_KEY, Route, exchange, request_of, routes_of, service_edge
from tests.integration.conftest import NewDatabase

ROWS = {
    "checkout": orders,
    "payments": payments,
    "fulfillment": deliveries,
    "notifications": notification_logs,
    "staff": staff_orders,
}
"""Where each service finds an order's store."""
FEED_SECRET = "at-least-16-characters"
OPEN = (PUBLIC, PROBE)
LET_THROUGH = HTTPStatus.IM_A_TEAPOT
UNKNOWN = "unknown"


@dataclass
class Walk:
    """A service's routes with what they ask of their callers, and where they are served."""

    service: str
    routes: Mapping[Route, Access]
    port: int

    async def ask(self, route: Route, token: str | None, store: str) -> int:
        """`store` is named wherever the route names one."""
        headers: dict[str, str | bytes] = {"Authorization": f"Bearer {token}" if token else ""}
        return await exchange(self.port, request_of(route.method, self.target(route, store), headers))

    async def vouched_for(self, route: Route, caller: Principal, store: str, service: str = "") -> int:
        """The same for a caller of staff."""
        target = self.target(route, store)
        head = RequestHead(route.method, target, idempotency_key="k")
        assertion = Assertions((ASSERTION_KEY,)).make(caller, service or self.service, head, b"")
        return await exchange(self.port, request_of(route.method, target, {"Authorization": assertion}))

    def target(self, route: Route, store: str) -> str:
        target = route.with_variables(f"o-{store}" if self.routes[route].scope.find else store)
        if self.routes[route].scope is OF_RECIPIENT:
            target = route.with_variables(f"{store}~customer~c-1")
        if self.routes[route].scope in (IN_QUERY, OWN_STORES):
            target += f"?store={store}"
        return target


def token_of(client: str) -> str:
    return f"token-of-{client}"


def client(name: str, permissions: list[str], store: str) -> ApiClientSettings:
    digest = hashlib.sha256(token_of(name).encode()).hexdigest()
    return ApiClientSettings(name=name, token_sha256=(digest,), stores=(store,), permissions=tuple(permissions))


def accesses(service: str) -> dict[Route, Access]:
    application = service_edge(service).application
    handlers = {(route.method, route.resource): route.handler for route in application.router.routes()}
    found = {}
    for route, (_, handler) in zip(
        routes_of(application), [each for each in handlers.items() if each[0][0] != "HEAD"], strict=True
    ):
        access = access_of(handler)
        assert access is not None, f"{route} says nothing of who may call it"
        found[route] = access
    return found


@web.middleware
async def let_through(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
    return web.Response(status=LET_THROUGH)


@pytest_asyncio.fixture(params=SERVICES)
async def walk(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Walk]:
    service = request.param
    url = await new_database(service)
    routes = accesses(service)
    permissions = sorted({access.permission for access in routes.values()} - {SIGNED_IN})
    clients = [
        client("everything", ["*"], "*"),
        client("own", ["*"], "own"),
        *(client(f"only-{one}", [one], "own") for one in permissions),
        *(client(f"only-{one}-everywhere", [one], "*") for one in permissions),
        *(client(f"all-but-{one}", [other for other in permissions if other != one], "*") for one in permissions),
    ]
    edge = service_edge(service, url, clients)
    edge.application.middlewares.append(let_through)
    table = ROWS[service]
    async with edge.engine.begin() as connection:
        for store in ("own", "other"):
            row: dict[str, Any] = {
                "key": f"o-{store}",
                "order_id": f"o-{store}",
                "version": 1,
                "sequence": 0,
                "data": sa.text("'{}'"),
                "store": store,
            }
            row["changed_at"] = datetime.now(UTC)
            await connection.execute(sa.insert(table).values({name: row[name] for name in row if name in table.c}))
    async with TestServer(edge.application) as server:
        assert server.port
        yield Walk(service, routes, server.port)
    await edge.engine.dispose()


async def test_public_routes_are_open(walk: Walk) -> None:
    for route, access in walk.routes.items():
        if access in OPEN:
            assert await walk.ask(route, None, "own") == LET_THROUGH


async def test_every_other_route(walk: Walk) -> None:
    told, expected = {}, {}
    for route, access in walk.routes.items():
        if access in OPEN:
            continue
        everywhere = access.scope is EVERY_STORE
        right = f"only-{access.permission}-everywhere" if everywhere else f"only-{access.permission}"
        cases = {
            "no token": (None, "own", 401),
            "a wrong one": ("token-of-nobody-here", "own", 401),
            "another store": (token_of("own"), "other", 404 if access.scope.find else 403),
            "an unknown one": (token_of("own"), UNKNOWN, 404 if access.scope.find else 403),
            "too little": (token_of(f"all-but-{access.permission}"), "own", 403),
            "right": (token_of(right), "own", LET_THROUGH),
            "everything": (token_of("everything"), "other", LET_THROUGH),
        }
        if access.scope is OWN_STORES:  # it names none: the route itself keeps to those of its caller
            cases |= {name: (token_of("own"), "own", LET_THROUGH) for name in ("another store", "an unknown one")}
        if access.permission == SIGNED_IN:
            cases |= {name: (token_of("own"), "own", LET_THROUGH) for name in ("too little", "right")}
        for name, (token, store, status) in cases.items():
            told[route, name] = await walk.ask(route, token, store)
            expected[route, name] = status
    assert {case: status for case, status in told.items() if status != expected[case]} == {}


async def test_every_other_route_by_an_assertion(walk: Walk) -> None:
    """Whatever staff has checked, permission and store are checked again. Staff itself takes none: it makes them."""
    own, everywhere = frozenset({"own"}), None
    told, expected = {}, {}
    for route, access in walk.routes.items():
        if access in OPEN or access.permission == SIGNED_IN:
            continue
        right = (access.permission,)
        others = tuple(sorted({each.permission for each in walk.routes.values()} - {access.permission}))
        hidden = LET_THROUGH if access.scope is OWN_STORES else 404 if access.scope.find else 403
        cases = {
            "right": (right, everywhere if access.scope is EVERY_STORE else own, "own", LET_THROUGH),
            "everywhere": (right, everywhere, "other", LET_THROUGH),
            "another store": (("*",), own, "other", 403 if access.scope is OWN_STORES else hidden),
            "too little": (others, everywhere, "own", 403),
        }
        for name, (permissions, stores, store, status) in cases.items():
            caller = Principal("user:anna", permissions, stores)
            told[route, name] = await walk.vouched_for(route, caller, store)
            expected[route, name] = status
        elsewhere = "payments" if walk.service != "payments" else "checkout"
        anyone = Principal("user:anna", ("*",), None)
        told[route, "for another service"] = await walk.vouched_for(route, anyone, "own", elsewhere)
        expected[route, "for another service"] = 401
    if walk.service == "staff":
        expected = dict.fromkeys(expected, 401)
    assert {case: status for case, status in told.items() if status != expected[case]} == {}


async def test_a_path_that_is_no_route_tells_nothing_to_others(walk: Walk) -> None:
    headers: dict[str, str | bytes] = {"Authorization": ""}
    assert await exchange(walk.port, request_of("GET", "/no-such-route", headers)) == 401
    assert await exchange(walk.port, request_of("PATCH", "/orders/o-own/refund", headers)) == 401


async def test_a_customers_token_reaches_their_own_feed_only(walk: Walk) -> None:
    tokens, soon = FeedTokens(FEED_SECRET), datetime.now(UTC) + timedelta(minutes=1)
    own = tokens.token("own~customer~c-1", soon)
    wrong = {
        "of another recipient": tokens.token("own~customer~c-2", soon),
        "of another store": tokens.token("other~customer~c-1", soon),
        "expired": tokens.token("own~customer~c-1", datetime.now(UTC) - timedelta(seconds=1)),
        "of another secret": FeedTokens("another-secret-of-16").token("own~customer~c-1", soon),
        "changed": own[:-2] + ("A" if own[-2] != "A" else "B") + own[-1],
        "cut": own[:20],
        "not a token": "feed.é.x",
    }
    for route, access in walk.routes.items():
        if access in OPEN:
            continue
        feed = access.permission in ("feed.read", "feed.mark")
        served = walk.service == "notifications"
        assert await walk.ask(route, own, "own") == (LET_THROUGH if feed and served else 403 if served else 401), route
        for name, token in wrong.items():
            assert await walk.ask(route, token, "own") in (401, 403), (route, name)


@pytest.mark.parametrize("service", SERVICES)
def test_the_walk_is_complete(service: str) -> None:
    application = service_edge(service).application
    assert {(route.method, route.path) for route in accesses(service)} == {
        (route.method, walked.path)
        for route, walked in zip(
            [each for each in application.router.routes() if each.method != "HEAD"],
            routes_of(application),
            strict=True,
        )
    }
    heads = [route for route in application.router.routes() if route.method == "HEAD"]
    assert all(access_of(route.handler) is not None for route in heads)


def test_the_page_names_every_permission_and_public_route() -> None:
    page = (Path(__file__).parents[2] / "docs/security.md").read_text()
    found = {service: accesses(service) for service in SERVICES}
    sent_on = {f"/api/v1/{owner}" for owner in SERVICES}
    found["staff"] = {
        route: access for route, access in found["staff"].items() if not route.path.startswith(tuple(sent_on))
    }
    shared = set.intersection(*({access.permission for access in routes.values()} for routes in found.values()))
    everything = set().union(*({one.permission for one in routes.values()} for routes in found.values()))
    assert everything - {""} | {"monitor.read"} == set(PERMISSIONS)
    rows = {
        "every": shared,
        **{name: {a.permission for a in routes.values()} - shared for name, routes in found.items()},
    }
    for service, permissions in rows.items():
        row = re.search(rf"^\| {service} \| (.*) \|$", page, re.MULTILINE)
        assert row and set(re.findall(r"`([^`]+)`", row[1])) == permissions - {""}, service
    public = {f"{r.method} {r.path}" for routes in found.values() for r, access in routes.items() if access in OPEN}
    table = page.partition("## What is public")[2].partition("\n## ")[0]
    assert set(re.findall(r"`((?:GET|POST) [^`]+)`", table)) == public
