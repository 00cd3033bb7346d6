"""Commands about what does not exist: every route of every service, on an empty database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp.test_utils import BaseTestServer, TestServer

from services.registry import SERVICES
from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.core import Command
from shared.shell.http.declaration import Declaration, declaration_of
from tests.http_edges import BEARER, Route, routes_of, service_edge
from tests.integration.conftest import NewDatabase

MAKE = {
    "PUT /api/v1/stores/{store}/views/{view}",
    "PUT /stores/{store}",
    "PUT /stores/{store}/products/{sku}",
    "PUT /stores/{store}/offers/{offer}",
    "PUT /stores/{store}/extras",
    "PUT /stores/{store}/pools/{pool}",
    "POST /stores/{store}/pools/{pool}/codes",
    "PUT /stores/{store}/servers/{server}",
    "PUT /stores/{store}/discord/{connection}",
    "PUT /stores/{store}/carriers",
    "PUT /stores/{store}/stock/{sku}",
    "POST /stores/{store}/stock/{sku}",
    "POST /stores/{store}/lost/mails/resend",
    "POST /stores/{store}/lost/webhooks/replay",
}
"""These make what their path names, or select what there is: of a store that the service knows nothing of, nothing."""
QUERIED = {"POST /orders/{key}/downloads/renew", "PUT /orders/{key}/items/{item}/file"}
"""Their query is read first, and is wrong here."""
NONE_TO_TAKE = ("POST /stores/{store}/stock/{sku}/adjust", "reserved")


@dataclass
class Asking:
    server: BaseTestServer
    commands: dict[Route, type[Command] | None]
    """None: an order's route that takes no command, such as a preview."""

    async def ask(self, route: Route) -> tuple[int, str]:
        """The status, and the problem's code. The body is the command's example; no two routes name the same."""
        kind = self.commands[route]
        body = orjson.loads(encode(EXAMPLES[kind])) if kind else {}
        given = {name: value for name, value in body.items() if "{" + name + "}" not in route.path}
        url = self.server.make_url(route.with_variables(f"nope-{list(self.commands).index(route)}"))
        headers = BEARER | {"Idempotency-Key": f"{route.method} {route.path}".replace(" ", "_")}
        async with aiohttp.request(route.method, url, headers=headers, json=given) as answer:
            said = await answer.json()
            return answer.status, said.get("code", "")


@pytest_asyncio.fixture(params=SERVICES)
async def asking(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Asking]:
    service = request.param
    url = await new_database(service)
    edge = service_edge(service, url)
    handlers = [each.handler for each in edge.application.router.routes() if each.method != "HEAD"]
    routes = dict(zip(routes_of(edge.application), map(declaration_of, handlers), strict=True))
    batcher = asyncio.create_task(edge.shell.batcher.run())
    async with TestServer(edge.application) as server:
        yield Asking(server, {route: command for route, made in routes.items() for command in commands_of(route, made)})
    batcher.cancel()
    await asyncio.gather(batcher, return_exceptions=True)
    await edge.engine.dispose()


def commands_of(route: Route, declaration: Declaration | None) -> list[type[Command] | None]:
    if route.method == "GET" or declaration is None:
        return []
    if declaration.body and issubclass(declaration.body, Command):
        return [declaration.body]
    return [None] if route.path.startswith("/orders/") else []


async def test_what_a_path_names_and_is_not_there_is_not_found(asking: Asking) -> None:
    assert len(asking.commands) >= 2
    told = {f"{route.method} {route.path}": await asking.ask(route) for route in asking.commands}
    wrong = {
        route: (status, code)
        for route, (status, code) in told.items()
        if status != (202 if route in MAKE else 400 if route in QUERIED else 404) and (route, code) != NONE_TO_TAKE
    }
    assert wrong == {}
