"""A second factor: codes of an authenticator app."""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.totp import DIGITS, STEP, key_of, matching_step
from services.staff.people import attempts, audit_log
from services.staff.people.accounts import Account, SignedIn, account_of
from services.staff.people.people import People
from services.staff.people.sign_in import GONE, session_of, take_code, wrong
from services.staff.people.tables import sessions, users
from services.staff.people.views import CodeGiven
from shared.shell.http.access import OWN_STORES, SIGNED_IN, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import body_in

SECRET_BYTES = 20


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs. Shown once."""

    key: str
    """To be typed into the app."""
    link: str
    """The same, for a QR code."""


PASS = Declaration("Show the second factor", (GONE,), body=CodeGiven, refused=(HTTPStatus.CONFLICT,))
BEGIN = Declaration(
    "Begin to set up an authenticator app",
    (DeclaredResponse(Enrolment, HTTPStatus.CREATED),),
    refused=(HTTPStatus.CONFLICT,),
)
CONFIRM = Declaration("Confirm it by its first code", (GONE,), body=CodeGiven, refused=(HTTPStatus.CONFLICT,))


def add_second_factor(application: web.Application, people: People) -> None:
    routes, add = SecondFactorRoutes(people), functools.partial(add_route, application)
    add("POST", "/api/v1/session/second-factor", routes.show_code, SIGNED_IN, OWN_STORES, PASS)
    add("POST", "/api/v1/session/totp", routes.begin, SIGNED_IN, OWN_STORES, BEGIN)
    add("POST", "/api/v1/session/totp/confirm", routes.confirm, SIGNED_IN, OWN_STORES, CONFIRM)


class SecondFactorRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def show_code(self, request: web.Request) -> web.StreamResponse:
        people, caller = self._people, session_of(request)
        given = await body_in(request, CodeGiven, "code")
        attempt = attempts.at_second_factor(caller.user)
        await attempts.begin(people.writes, attempt, people.now())
        async with people.writes.begin() as connection:
            account = await locked_account(connection, caller)
            if not await take_code(connection, people, account, given.code):
                raise wrong()
            await _passed(connection, caller)
            await attempts.succeeded(connection, attempt)
            await audit_log.record(connection, caller.name, "session.second_factor_shown", caller.session)
        people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        caller, secret = session_of(request), secrets.token_bytes(SECRET_BYTES)
        async with self._people.writes.begin() as connection:
            account = await locked_account(connection, caller)
            require_free(account, caller)
            kept = sa.update(sessions).where(sessions.c.id == caller.session).values(totp_secret=secret)
            await connection.execute(kept)
        issuer = self._people.rules.issuer
        query = urlencode({"secret": key_of(secret), "issuer": issuer, "digits": DIGITS, "period": STEP})
        link = f"otpauth://totp/{quote(issuer)}:{quote(account.email)}?{query}"
        return json_response(Enrolment(key_of(secret), link), HTTPStatus.CREATED)

    async def confirm(self, request: web.Request) -> web.StreamResponse:
        people, caller = self._people, session_of(request)
        given = await body_in(request, CodeGiven, "code")
        attempt = attempts.at_second_factor(caller.user)
        await attempts.begin(people.writes, attempt, people.now())
        async with people.writes.begin() as connection:
            account = await locked_account(connection, caller)
            require_free(account, caller)
            query = sa.select(sessions.c.totp_secret).where(sessions.c.id == caller.session)
            secret = (await connection.execute(query)).scalar_one_or_none()
            step = matching_step(secret, given.code, people.now().timestamp(), 0) if secret else None
            if secret is None or step is None:
                raise wrong()
            values = {"totp_secret": secret, "totp_step": step}
            await connection.execute(sa.update(users).where(users.c.id == caller.user).values(values))
            others = sessions.c.user_id == caller.user, sessions.c.id != caller.session
            await connection.execute(sa.delete(sessions).where(*others))
            await _passed(connection, caller)
            await attempts.succeeded(connection, attempt)
            await audit_log.record(connection, caller.name, "user.second_factor_set_up", caller.user)
        people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)


async def locked_account(connection: AsyncConnection, caller: SignedIn) -> Account:
    account = await account_of(connection, id=caller.user, locked=True)
    if account is None or account.disabled_at is not None:
        raise wrong()
    return account


async def _passed(connection: AsyncConnection, caller: SignedIn) -> None:
    change = sa.update(sessions).where(sessions.c.id == caller.session)
    await connection.execute(change.values(second_factor=True, totp_secret=None))


def require_free(account: Account, caller: SignedIn) -> None:
    """One that is set up already is replaced only by its own user, who has shown it. Raises ProblemResponse."""
    if account.has_second_factor and not caller.second_factor:
        title = "A second factor is set up already. Show its code first, or ask an admin to remove it."
        raise ProblemResponse(HTTPStatus.CONFLICT, title, "second_factor_exists")
