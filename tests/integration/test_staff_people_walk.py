"""Every route about people, asked with every role, in stores of one's own and in others; and no name or address of
anyone in what is logged, in addresses, or in the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase

import pytest
import pytest_asyncio
import sqlalchemy as sa
import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.roles import BUILT_IN
from services.staff.people.tables import audit
from shared.shell.http.access import EVERY_STORE, PUBLIC, SIGNED_IN, Access, access_of
from shared.shell.http.declared_routes import routes_of
from shared.shell.http.openapi import document
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import PASSWORD, TOKEN, Staff, staff_api, staff_engine

OWN, FOREIGN = "own", "foreign"
ENDS = ("DELETE", "/session")
"""Asked last."""


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    async with staff_engine(new_database) as engine:
        yield engine


@pytest_asyncio.fixture
async def staff(engine: AsyncEngine) -> AsyncIterator[Staff]:
    async with staff_api(engine) as staff:
        yield staff


def routes(staff: Staff) -> Iterator[tuple[str, str, Access]]:
    application = staff.http.app
    assert isinstance(application, web.Application)
    found = []
    for route in application.router.routes():
        access = access_of(route.handler)
        assert access is not None and route.resource is not None
        path = route.resource.canonical.removeprefix("/api/v1")
        if route.method != "HEAD" and access is not PUBLIC:
            found.append((route.method, path, access))
    yield from sorted(found, key=lambda each: each[:2] == ENDS)


def expected(access: Access, role: str, given: str, about: str, path: str) -> set[int]:
    """The statuses that are right; 200 stands for whatever the route itself says."""
    if access.permission == SIGNED_IN:
        return {200}
    permitted = any(fnmatchcase(access.permission, pattern) for pattern in BUILT_IN[role].permissions)
    if not permitted or (access.scope is EVERY_STORE and given != "*"):
        return {403}
    return {404} if "{user}" in path and about == FOREIGN and given != "*" else {200}


@pytest.mark.parametrize("about", [OWN, FOREIGN])
@pytest.mark.parametrize("given", [OWN, "*"])
@pytest.mark.parametrize("role", BUILT_IN)
async def test_every_route_with_every_role_in_each_store(staff: Staff, role: str, given: str, about: str) -> None:
    browser = await staff.signed_in("caller", (role, given))
    await staff.user("someone", ("viewer", about))
    wrong = []
    for method, path, access in routes(staff):
        asked = path.replace("{user}", "id-someone").replace("{role}", "a-role")
        for name in ("{session}", "{invitation}", "{token_id}", "{passkey}"):
            asked = asked.replace(name, "none")
        body = {"roles": [{"role": "viewer", "store": about}]} if method == "PUT" and "{user}" in path else None
        status = (await browser.ask(method, asked, body)).status
        right = expected(access, role, given, about, path)
        itself = status not in (401, 403) and status < 500 and (status != 404 or "none" in asked or "a-role" in asked)
        if status not in right and not (right == {200} and (itself or "second-factor" in path)):
            wrong.append(f"{method} {path}: {status}, not {right}")
    assert wrong == []


async def test_no_route_is_open_without_a_caller(staff: Staff) -> None:
    for method, path, _ in routes(staff):
        for token in ("", "unknown", "obs_unknown", "obt_unknown"):
            assert (await staff.browser(token).ask(method, path)).status == 401, (method, path)


async def test_each_route_declares_what_it_takes_and_gives(staff: Staff) -> None:
    application = staff.http.app
    assert isinstance(application, web.Application)
    described = document(application, "staff")
    assert len(list(routes_of(application))) == sum(len(methods) for methods in described["paths"].values())
    assert described["paths"]["/api/v1/session"]["post"]["security"] == []


async def test_nothing_personal_is_logged_or_in_the_audit_log(engine: AsyncEngine) -> None:
    paths: list[str] = []

    @web.middleware
    async def noted(request: web.Request, handler):  # type: ignore[no-untyped-def]
        paths.append(str(request.rel_url))
        return await handler(request)

    with structlog.testing.capture_logs() as logs:
        async with staff_api(engine, middlewares=[noted]) as staff:
            await _whole_story(staff)
    async with engine.connect() as connection:
        entries = (await connection.execute(sa.select(audit))).all()
    assert len(entries) == 8
    for text in (repr(logs), repr(paths), repr(entries)):
        for personal in ("example.com", "Anna", "Root", "Secretname", PASSWORD, "obs_", "obt_", "obi_"):
            assert personal not in text, personal


async def _whole_story(staff: Staff) -> None:
    operator = staff.browser(TOKEN)
    invitation = {"email": "anna@example.com", "role": "admin", "stores": ["*"]}
    link = await operator.json("POST", "/invitations", invitation, 201)
    accepted = {"token": link["link"].partition("#")[2], "name": "Anna Secretname", "password": PASSWORD}
    anna = (await staff.browser().json("POST", "/invitations/accept", accepted, 201))["id"]
    browser = staff.browser()
    await browser.sign_in("anna@example.com", "wrong password", 401)
    await browser.sign_in("anna@example.com")
    await browser.json("POST", "/session/totp", status=201)
    token = {"name": "Secretname", "permissions": ["order.read"], "stores": ["*"]}
    await browser.json("POST", "/tokens", token, 201)
    await browser.json("POST", "/session/password", {"old": PASSWORD, "new": PASSWORD + "2"}, 204)
    await staff.user("root", ("viewer", "*"))
    await browser.json("POST", "/users/id-root/reset", status=201)
    await browser.json("PUT", "/users/id-root/roles", {"roles": [{"role": "agent", "store": "*"}]})
    await operator.json("POST", f"/users/{anna}/disable")
    assert (await browser.ask("GET", "/users")).status == 401
