"""Signing in to staff: sessions, what ends them, and what slows guesses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import ClientResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.people.credentials import digest_of
from services.staff.people.tables import sessions, sign_in_attempts, users
from shared.shell.http.requests import SESSION_COOKIE
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import PASSWORD, TOKEN, Staff, staff_api, staff_engine


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    async with staff_engine(new_database) as engine:
        yield engine


@pytest_asyncio.fixture
async def staff(engine: AsyncEngine) -> AsyncIterator[Staff]:
    async with staff_api(engine) as staff:
        yield staff


async def test_a_user_signs_in_is_known_and_signs_out(staff: Staff) -> None:
    await staff.user("anna", ("agent", "northwind"), ("viewer", "*"))
    browser = staff.browser()
    began = await browser.sign_in("Anna@example.com ".strip())
    assert began["actor"] == "user:id-anna" and began["user"]["name"] == "Anna"

    shown = await browser.json("GET", "/session")
    assert {right["stores"][0] for right in shown["rights"]} == {"northwind", "*"}
    assert shown["second_factor"] == "none"

    await browser.json("DELETE", "/session", status=204)
    assert not browser.cookie
    assert (await browser.ask("GET", "/session")).status == 401


async def test_the_cookie_is_for_this_host_alone_and_the_database_has_its_digest_only(staff: Staff) -> None:
    await staff.user("anna")
    browser = staff.browser()
    response = await browser.ask("POST", "/session", {"email": "anna@example.com", "password": PASSWORD})
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"{SESSION_COOKIE}=obs_") and SESSION_COOKIE.startswith("__Host-")
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    async with staff.engine.connect() as connection:
        row = (await connection.execute(sa.select(sessions))).one()
        hashed = (await connection.execute(sa.select(users.c.password))).scalar_one()
    assert row.digest == digest_of(browser.cookie)
    assert browser.cookie not in repr(row) and hashed.startswith("$argon2id$")


@pytest.mark.parametrize("idle", [True, False])
async def test_a_session_ends_by_itself(staff: Staff, *, idle: bool) -> None:
    browser = await staff.signed_in("anna")
    if idle:
        staff.clock.forward(hours=12, seconds=1)
    else:
        for _ in range(17):
            staff.clock.forward(hours=10)
            response = await browser.ask("GET", "/session")
    response = await browser.ask("GET", "/session")
    assert response.status == 401
    await staff.people.upkeep(staff.clock())
    async with staff.engine.connect() as connection:
        assert (await connection.execute(sa.select(sessions))).all() == []


async def test_a_session_that_is_used_goes_on(staff: Staff) -> None:
    browser = await staff.signed_in("anna")
    for _ in range(16):
        staff.clock.forward(hours=10)
        assert (await browser.ask("GET", "/session")).status == 200


async def test_what_another_worker_ends_ends_within_a_second_here(engine: AsyncEngine) -> None:
    async with staff_api(engine, remembered=0.3) as here, staff_api(engine) as there:
        browser = await here.signed_in("anna")
        assert (await browser.ask("GET", "/session")).status == 200
        other = there.browser()
        other.cookie = browser.cookie
        await other.json("DELETE", "/session", status=204)
        with pytest.raises(AssertionError):
            for _ in range(40):
                assert (await browser.ask("GET", "/session")).status == 200
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Sec-Fetch-Site": "none"}, 204),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://HOST"}, 403),
        ({"Sec-Fetch-Site": "", "Origin": "http://HOST"}, 204),
        ({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
    ],
)
async def test_no_other_site_changes_anything_by_the_cookie(staff: Staff, headers: dict[str, str], status: int) -> None:
    browser = await staff.signed_in("anna")
    host = f"{staff.http.host}:{staff.http.port}"
    sent = {name: value.replace("HOST", host) for name, value in headers.items()}
    assert (await browser.ask("GET", "/session", headers=sent)).status == 200, "reading changes nothing"
    assert (await browser.ask("DELETE", "/session", headers=sent)).status == status


async def test_no_other_site_signs_its_reader_in(staff: Staff) -> None:
    await staff.user("mallory")
    body = {"email": "mallory@example.com", "password": PASSWORD}
    response = await staff.browser().ask("POST", "/session", body, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status == 403 and not response.cookies


async def test_a_token_needs_no_site(staff: Staff) -> None:
    response = await staff.browser(TOKEN).ask("GET", "/session", headers={"Sec-Fetch-Site": "cross-site"})
    assert (await response.json())["actor"] == "staff"


async def test_what_is_wrong_is_not_said_and_an_unknown_account_takes_as_long(staff: Staff) -> None:
    await staff.user("anna")
    await staff.user("gone")
    async with staff.engine.begin() as connection:
        await connection.execute(sa.update(users).where(users.c.id == "id-gone").values(disabled_at=staff.clock()))
    answers = []
    for email, password in (
        ("anna@example.com", "wrong password"),
        ("unknown@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
    ):
        before = staff.people.passwords.computed  # type: ignore[attr-defined]
        answers.append(await staff.browser().sign_in(email, password, 401))
        assert staff.people.passwords.computed == before + 1  # type: ignore[attr-defined]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["code"] == "sign_in_failed"


@pytest.mark.parametrize("email", ["anna@example.com", "unknown@example.com"])
async def test_guesses_have_to_wait(staff: Staff, email: str) -> None:
    await staff.user("anna")
    for _ in range(5):
        await staff.browser().sign_in(email, "wrong password", 401)
    before = staff.people.passwords.computed  # type: ignore[attr-defined]
    refused = await staff.browser().ask("POST", "/session", {"email": email, "password": PASSWORD})
    assert refused.status == 429 and refused.headers["Retry-After"] == "1"
    assert staff.people.passwords.computed == before, "no password is checked meanwhile"  # type: ignore[attr-defined]
    waits = []
    for _ in range(12):
        staff.clock.forward(seconds=int((await _slowed(staff, email)).headers["Retry-After"]))
        await staff.browser().sign_in(email, "wrong password", 401)
        waits.append(int((await _slowed(staff, email)).headers["Retry-After"]))
    assert waits == sorted(waits) and waits[:3] == [2, 4, 8] and waits[-1] == 300


async def _slowed(staff: Staff, email: str) -> ClientResponse:
    response = await staff.browser().ask("POST", "/session", {"email": email, "password": PASSWORD})
    assert response.status == 429
    return response


async def test_one_address_that_tries_many_accounts_has_to_wait(staff: Staff) -> None:
    await staff.user("anna")
    for number in range(20):
        await staff.browser().sign_in(f"user{number}@example.com", "wrong password", 401)
    await staff.browser().sign_in("anna@example.com", status=429)


async def test_the_right_password_forgets_the_wrong_ones_of_the_account(staff: Staff) -> None:
    await staff.user("anna")
    for _ in range(4):
        await staff.browser().sign_in("anna@example.com", "wrong password", 401)
    await staff.browser().sign_in("anna@example.com")
    for _ in range(4):
        await staff.browser().sign_in("anna@example.com", "wrong password", 401)
    async with staff.engine.connect() as connection:
        counts = (await connection.execute(sa.select(sign_in_attempts.c.failures))).scalars().all()
    assert sorted(counts) == [4, 8]


async def test_many_guesses_at_once_are_counted_before_they_are_checked(staff: Staff) -> None:
    await staff.user("anna")
    given = {"email": "anna@example.com", "password": "wrong password"}
    answers = await asyncio.gather(*(staff.browser().ask("POST", "/session", given) for _ in range(30)))
    assert [answer.status for answer in answers].count(401) == 5
