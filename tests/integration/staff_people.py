"""An API with people, as browsers and programs call it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.roles import GivenRole
from services.staff.people.accounts import write_roles
from services.staff.people.open_id import OpenIdProvider
from services.staff.people.passwords import Passwords
from services.staff.people.people import People
from services.staff.people.routes import add_people
from services.staff.people.rules import PeopleRules
from services.staff.people.tables import users
from shared.shell.http.principals import Principals
from shared.shell.http.requests import SESSION_COOKIE
from shared.shell.http.web import protection
from shared.shell.postgres.engine import create_engine
from tests.integration.conftest import NewDatabase

_numbers = itertools.count(1)
TOKEN = "the-operators-token-of-these-tests"
PASSWORD = "correct horse battery"
BROWSER = {"Sec-Fetch-Site": "same-origin", "User-Agent": "Browser 1.0"}


class QuickPasswords(Passwords):
    """As cheap as they can be."""

    def __init__(self) -> None:
        super().__init__()
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.computed = 0

    def _verified(self, kept: str, password: str) -> bool:
        self.computed += 1
        return super()._verified(kept, password)


@dataclass
class HandClock:
    at: datetime = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class Browser:
    """Keeps the cookie of a session, which no client of tests would send without TLS."""

    http: TestClient[Any, Any]
    cookie: str = ""
    token: str = ""

    async def ask(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> ClientResponse:
        sent = {**BROWSER, **(headers or {})}
        if self.cookie:
            sent["Cookie"] = f"{SESSION_COOKIE}={self.cookie}"
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        response = await self.http.request(method, f"/api/v1{path}", json=body, headers=sent)
        await response.read()
        if SESSION_COOKIE in response.cookies:
            self.cookie = response.cookies[SESSION_COOKIE].value
        return response

    async def json(self, method: str, path: str, body: object = None, status: int = HTTPStatus.OK) -> Any:
        response = await self.ask(method, path, body)
        assert response.status == status, await response.text()
        return await response.json() if response.status != HTTPStatus.NO_CONTENT else None

    async def sign_in(self, email: str, password: str = PASSWORD, status: int = HTTPStatus.CREATED, **more: str) -> Any:
        return await self.json("POST", "/session", {"email": email, "password": password, **more}, status)


@dataclass
class Staff:
    """The API, and what stands behind it."""

    engine: AsyncEngine
    people: People
    clock: HandClock
    http: TestClient[Any, Any]

    def browser(self, token: str = "") -> Browser:
        return Browser(self.http, token=token)

    async def user(self, name: str, *roles: tuple[str, str]) -> str:
        """The id of a user `<name>@example.com` with roles in stores."""
        password = await self.people.passwords.hash(PASSWORD)
        async with self.engine.begin() as connection:
            values = {"id": f"id-{name}", "email": f"{name}@example.com", "name": name.title(), "password": password}
            await connection.execute(users.insert().values(**values, created_at=self.clock()))
            await write_roles(connection, f"id-{name}", [GivenRole(*role) for role in roles])
        return f"id-{name}"

    async def signed_in(self, name: str, *roles: tuple[str, str]) -> Browser:
        await self.user(name, *roles)
        browser = self.browser()
        await browser.sign_in(f"{name}@example.com")
        return browser


@asynccontextmanager
async def staff_engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    """Of a database with staff's tables."""
    engine = create_engine(await new_database("staff"), "test")
    yield engine
    await engine.dispose()


@asynccontextmanager
async def staff_api(
    engine: AsyncEngine,
    *,
    remembered: float = 0.0,
    middlewares: Sequence[Any] = (),
    provider: OpenIdProvider | None = None,
    further: Callable[[web.Application, People], None] | None = None,
) -> AsyncIterator[Staff]:
    """`further` routes."""
    clock = HandClock()
    rules = PeopleRules(remembered=remembered, public_url="https://staff.example")
    people = People(engine, rules, clock, QuickPasswords(), provider)
    principals = Principals((), operator=SecretStr(TOKEN), known=people.recognition.find)
    application = web.Application(middlewares=[protection(principals), *middlewares])
    add_people(application, people)
    if further:
        further(application, people)
    async with TestClient(TestServer(application)) as http:
        yield Staff(engine, people, clock, http)
    await people.close()
