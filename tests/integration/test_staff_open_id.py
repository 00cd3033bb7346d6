"""Users sign in by an OpenID provider: a small one on this machine."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey

from services.staff.people.open_id import OpenIdProvider
from services.staff.people.open_id_sign_in import COOKIE
from shared.shell.http.requests import SESSION_COOKIE
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import HandClock, Staff, staff_api, staff_engine

CLIENT, SECRET = "orderbus", "a secret: with signs"


@dataclass
class Provider:
    """Signs in whom it is told, and asks no one."""

    clock: HandClock
    url: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"}))
    shown: RSAKey | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self.describe)
        app.router.add_get("/jwks", self.keys)
        app.router.add_post("/token", self.token)
        return app

    async def describe(self, request: web.Request) -> web.Response:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        return web.json_response({"issuer": self.url} | {name: f"{self.url}/{path}" for name, path in ends.items()})

    async def keys(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [(self.shown or self.key).as_dict(private=False)]})

    def authorise(self, url: str) -> str:
        """What the browser comes back with."""
        assert url.startswith(f"{self.url}/authorize?")
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert self.asked["client_id"] == CLIENT and self.asked["scope"] == "openid email"
        return f"/session/openid/callback?code=the-code&state={self.asked['state']}"

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        basic = base64.b64encode(b"orderbus:a+secret%3A+with+signs").decode()
        assert request.headers["Authorization"] == f"Basic {basic}"
        assert (form["code"], form["redirect_uri"]) == ("the-code", self.asked["redirect_uri"])
        assert challenge == self.asked["code_challenge"]
        now = int(self.clock().timestamp())
        claims = {"iss": self.url, "aud": CLIENT, "sub": "42", "iat": now, "exp": now + 300, "email_verified": True}
        claims |= {"nonce": self.asked["nonce"], "email": "Anna@example.com"} | self.claims
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        return web.json_response({"id_token": token, "access_token": "x", "token_type": "Bearer"})


@dataclass
class Both:
    staff: Staff
    provider: Provider

    async def sign_in(self) -> tuple[int, str]:
        """The status at the end, and the session's cookie."""
        begun = await self.staff.http.get("/api/v1/session/openid", allow_redirects=False)
        assert begun.status == 303
        back = self.provider.authorise(begun.headers["Location"])
        return await self.come_back(back, begun.cookies[COOKIE].value)

    async def come_back(self, path: str, cookie: str) -> tuple[int, str]:
        headers = {"Cookie": f"{COOKIE}={cookie}", "Sec-Fetch-Site": "cross-site"}
        response = await self.staff.http.get(f"/api/v1{path}", headers=headers, allow_redirects=False)
        session = response.cookies.get(SESSION_COOKIE)
        return response.status, session.value if session is not None else ""


@pytest_asyncio.fixture
async def both(new_database: NewDatabase) -> AsyncIterator[Both]:
    provider = Provider(HandClock())
    server = TestServer(provider.app())
    await server.start_server()
    provider.url = str(server.make_url("")).rstrip("/")
    made = OpenIdProvider(provider.url, CLIENT, SECRET, private=True)
    async with staff_engine(new_database) as engine, staff_api(engine, provider=made) as staff:
        provider.clock = staff.clock
        yield Both(staff, provider)
    await server.close()


async def test_a_user_signs_in_by_the_provider_and_is_known_to_it_from_then_on(both: Both) -> None:
    await both.staff.user("anna", ("agent", "a"))
    status, cookie = await both.sign_in()
    assert status == 303
    browser = both.staff.browser()
    browser.cookie = cookie
    shown = await browser.json("GET", "/session")
    assert (shown["actor"], shown["second_factor"]) == ("user:id-anna", "none")

    both.provider.claims = {"email": "renamed@example.com", "amr": ["pwd", "mfa"]}
    status, browser.cookie = await both.sign_in()
    shown = await browser.json("GET", "/session")
    assert (shown["actor"], shown["second_factor"]) == ("user:id-anna", "passed")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"nonce": "another"}, 503),
        ({"aud": "another"}, 503),
        ({"iss": "https://another.example"}, 503),
        ({"exp": 1_000_000_000}, 503),
        ({"azp": "another"}, 503),
        ({"at_hash": "another"}, 503),
        ({"email_verified": False}, 401),
        ({"email_verified": "true"}, 401),
        ({"email": "unknown@example.com"}, 401),
        ({"email": None}, 401),
    ],
)
async def test_what_proves_nothing_signs_no_one_in(both: Both, claims: dict[str, Any], status: int) -> None:
    await both.staff.user("anna", ("agent", "a"))
    both.provider.claims = claims
    assert await both.sign_in() == (status, "")


async def test_a_token_of_another_key_signs_no_one_in(both: Both) -> None:
    await both.staff.user("anna", ("agent", "a"))
    both.provider.shown = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
    assert await both.sign_in() == (503, "")


async def test_who_comes_back_is_who_was_sent_once_and_in_time(both: Both) -> None:
    await both.staff.user("anna", ("agent", "a"))
    begun = await both.staff.http.get("/api/v1/session/openid", allow_redirects=False)
    back = both.provider.authorise(begun.headers["Location"])
    cookie = begun.cookies[COOKIE].value
    assert (await both.come_back(back, "another"))[0] == 401
    assert (await both.come_back(back, ""))[0] == 401
    assert (await both.come_back("/session/openid/callback?code=x&state=", ""))[0] == 401
    assert (await both.come_back(back, cookie))[0] == 303
    assert (await both.come_back(back, cookie))[0] == 401
    begun = await both.staff.http.get("/api/v1/session/openid", allow_redirects=False)
    both.staff.clock.forward(minutes=11)
    late = both.provider.authorise(begun.headers["Location"])
    assert (await both.come_back(late, begun.cookies[COOKIE].value))[0] == 401


async def test_a_user_who_is_disabled_is_not_signed_in(both: Both) -> None:
    await both.staff.user("anna", ("agent", "a"))
    root = await both.staff.signed_in("root", ("admin", "*"))
    await root.json("POST", "/users/id-anna/disable")
    assert await both.sign_in() == (401, "")


async def test_without_a_provider_there_is_no_such_way(new_database: NewDatabase) -> None:
    async with staff_engine(new_database) as engine, staff_api(engine) as staff:
        response = await staff.http.get("/api/v1/session/openid", allow_redirects=False)
        assert response.status == 404
