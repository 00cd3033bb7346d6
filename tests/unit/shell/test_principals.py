"""What a caller may do who may do different things in different stores."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from shared.shell.http.access import (
    EVERY_STORE,
    IN_PATH,
    IN_QUERY,
    OWN_STORES,
    PRINCIPAL,
    SIGNED_IN,
    Access,
    Scope,
    add_route,
    check,
    found_by,
    require,
)
from shared.shell.http.declaration import Declaration
from shared.shell.http.principals import Grant, Principal, Principals
from shared.shell.http.problems import json_response
from shared.shell.http.web import protection

ANNA = Principal(
    "user:anna",
    (),
    grants=(
        Grant(("order.read",), None),
        Grant(("order.*",), frozenset({"own"})),
        Grant(("payment.refund",), frozenset({"other"})),
    ),
)
CALLERS = {"anna": ANNA, "none": Principal("user:none", ())}


async def known(token: str) -> Principal | None:
    return CALLERS.get(token)


async def store_of(key: str) -> str | None:
    return key if key in ("own", "other") else None


async def show(request: web.Request) -> web.Response:
    principal = request[PRINCIPAL]
    return json_response({"stores": sorted(principal.stores) if principal.stores is not None else None})


async def show_both(request: web.Request) -> web.Response:
    require(request[PRINCIPAL], ("payment.refund",))
    return await show(request)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application(middlewares=[protection(Principals((), known=known))])
    scopes: dict[str, Scope] = {
        "/in/{store}": IN_PATH, "/query": IN_QUERY, "/found/{key}": found_by(store_of), "/every": EVERY_STORE,
        "/mine": OWN_STORES,
    }  # fmt: skip
    for path, scope in scopes.items():
        for permission in ("order.read", "order.cancel", "payment.refund"):
            add_route(app, "GET", f"/{permission}{path}", show, permission, scope, Declaration("Shows"))
    add_route(app, "GET", "/both/{store}", show_both, "order.cancel", IN_PATH, Declaration("Shows"))
    add_route(app, "GET", "/me", show, SIGNED_IN, OWN_STORES, Declaration("Shows"))
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/order.read/in/own", 200), ("/order.read/in/third", 200), ("/order.cancel/in/own", 200)),
        *(("/order.cancel/in/other", 403), ("/payment.refund/in/other", 200), ("/payment.refund/in/own", 403)),
        *(("/order.read/query", 200), ("/order.cancel/query", 403), ("/order.cancel/query?store=own", 200)),
        *(("/order.cancel/query?store=other", 403), ("/payment.refund/query?store=other", 200)),
        *(("/order.read/found/other", 200), ("/order.cancel/found/own", 200), ("/order.cancel/found/other", 404)),
        *(("/payment.refund/found/own", 404), ("/payment.refund/found/nothing", 404)),
        *(("/order.read/every", 200), ("/order.cancel/every", 403)),
        *(("/order.cancel/mine", 200), ("/both/own", 403), ("/both/other", 403), ("/me", 200)),
    ],
)
async def test_each_right_counts_in_its_own_stores(
    http: TestClient[web.Request, web.Application], path: str, status: int
) -> None:
    assert (await http.get(path, headers={"Authorization": "Bearer anna"})).status == status


@pytest.mark.parametrize(("permission", "stores"), [("order.read", None), ("order.cancel", ["own"])])
async def test_a_list_keeps_to_the_stores_of_its_permission(
    http: TestClient[web.Request, web.Application], permission: str, stores: list[str] | None
) -> None:
    response = await http.get(f"/{permission}/mine", headers={"Authorization": "Bearer anna"})
    assert (await response.json())["stores"] == stores


async def test_who_is_known_and_may_do_nothing_may_ask_about_themselves(
    http: TestClient[web.Request, web.Application],
) -> None:
    caller = {"Authorization": "Bearer none"}
    assert (await http.get("/me", headers=caller)).status == 200
    assert (await http.get("/order.read/mine", headers=caller)).status == 403
    assert (await http.get("/me", headers={"Authorization": "Bearer unknown"})).status == 401


async def game_of(key: str) -> str | None:
    return "game" if key == "o-1" else None


MIXED = Principal("user:1", (), grants=(Grant(("order.*",), None), Grant(("payment.*",), frozenset({"game"}))))
"""An agent everywhere, and more than that in one store."""


@pytest.mark.parametrize(
    ("scope", "path", "variables"),
    [
        (IN_PATH, "/stores/game", {"store": "game"}),
        (IN_QUERY, "/orders?store=game", {}),
        (found_by(game_of), "/orders/o-1", {"key": "o-1"}),
    ],
)
async def test_what_one_may_do_in_a_store_counts_there_whatever_one_may_do_everywhere(
    scope: Scope, path: str, variables: dict[str, str]
) -> None:
    request = make_mocked_request("GET", path, match_info=variables)
    found = await check(MIXED, Access("order.cancel", scope), request)
    assert (found.stores, found.may("payment.refund")) == (frozenset({"game"}), True)


async def test_where_no_store_is_named_what_one_may_do_everywhere_counts() -> None:
    everywhere = await check(MIXED, Access("order.read", OWN_STORES), make_mocked_request("GET", "/orders"))
    missing = await check(
        MIXED, Access("order.read", found_by(game_of)), make_mocked_request("GET", "/o", match_info={"key": "o-2"})
    )
    for found in (everywhere, missing):
        assert (found.stores, found.may("payment.refund")) == (None, False)
