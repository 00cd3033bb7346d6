"""Sessions: sign in, out, and who one is."""

from __future__ import annotations

import functools
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.roles import Role
from services.staff.domain.totp import matching_step
from services.staff.people import attempts, audit_log
from services.staff.people.accounts import (
    Account,
    SignedIn,
    account_of,
    folded_email,
    read_roles,
    rights_of_principal,
    session_rights,
)
from services.staff.people.credentials import SESSION, digest_of, new_id, new_token
from services.staff.people.people import People
from services.staff.people.tables import sessions, users
from services.staff.people.views import (
    SessionView,
    SignIn,
    rights_view,
    second_factor_of,
    user_view,
)
from shared.shell.http.access import OWN_STORES, PRINCIPAL, SIGNED_IN, add_public, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.limits import LIMITS
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import SESSION_COOKIE, agent_of, body_in, check_no_other_site

GONE = DeclaredResponse(None, HTTPStatus.NO_CONTENT, media="", description="Done.")
BEGIN = Declaration(
    "Sign in",
    (DeclaredResponse(SessionView, HTTPStatus.CREATED, description="Its cookie is set."),),
    body=SignIn,
    refused=(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN),
)
END = Declaration("Sign out", (GONE,))
SHOW = Declaration("Who one is, and what one may do", (DeclaredResponse(SessionView),))


def add_sessions(application: web.Application, people: People) -> None:
    routes = SessionRoutes(people)
    add_public(application, "POST", "/api/v1/session", routes.begin, BEGIN)
    add = functools.partial(add_route, application)
    add("GET", "/api/v1/session", routes.show, SIGNED_IN, OWN_STORES, SHOW)
    add("DELETE", "/api/v1/session", routes.end, SIGNED_IN, OWN_STORES, END)


class SessionRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def begin(self, request: web.Request) -> web.StreamResponse:
        check_no_other_site(request)
        given = await body_in(request, SignIn, "sign-in")
        people, email = self._people, folded_email(given.email)
        attempt = attempts.at_password(email, request[LIMITS].address_of(request))
        await attempts.begin(people.writes, attempt, people.now())
        query = sa.select(users.c.id, users.c.password).where(users.c.email == email, users.c.disabled_at.is_(None))
        async with people.writes.connect() as connection:
            found = (await connection.execute(query)).one_or_none()
        if not await people.passwords.matches(found.password if found else None, given.password) or found is None:
            raise wrong()
        outdated = people.passwords.is_outdated(found.password)
        password = await people.passwords.hash(given.password) if outdated else found.password
        if given.code is not None:  # counted apart: the right password alone gives no further codes to try
            attempt |= (at_code := attempts.at_second_factor(found.id))
            await attempts.begin(people.writes, at_code, people.now())
        async with people.writes.begin() as connection:
            account = await account_of(connection, id=found.id, locked=True)
            if account is None or account.disabled_at is not None or account.password != found.password:
                raise wrong()
            passed = given.code is not None and await take_code(connection, people, account, given.code)
            if given.code is not None and account.totp_secret is not None and not passed:
                raise wrong()
            await connection.execute(sa.update(users).where(users.c.id == account.id).values(password=password))
            await attempts.succeeded(connection, attempt)
            return await begin_session(connection, people, account, agent_of(request), second_factor=passed)

    async def show(self, request: web.Request) -> web.StreamResponse:
        principal = request[PRINCIPAL]
        account: Account | None = None
        roles: tuple[Role, ...] = ()
        if isinstance(principal, SignedIn):
            async with self._people.writes.connect() as connection:
                account = await account_of(connection, id=principal.user)
                roles = tuple((await read_roles(connection)).values())
        rights = rights_view(rights_of_principal(principal))
        if account is None or not isinstance(principal, SignedIn):
            return json_response(SessionView(principal.name, None, rights, "none", principal.expires))
        state = second_factor_of(account, roles, passed=principal.second_factor)
        return json_response(SessionView(principal.name, user_view(account), rights, state, principal.expires))

    async def end(self, request: web.Request) -> web.StreamResponse:
        principal = request[PRINCIPAL]
        if isinstance(principal, SignedIn) and principal.session:
            async with self._people.writes.begin() as connection:
                await connection.execute(sa.delete(sessions).where(sessions.c.id == principal.session))
                await audit_log.record(connection, principal.name, "session.ended", principal.session)
            self._people.recognition.forget()
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return response


def session_of(request: web.Request) -> SignedIn:
    """The user who makes this request by a session. Raises ProblemResponse for a token, which could be stolen."""
    principal = request[PRINCIPAL]
    if not isinstance(principal, SignedIn) or not principal.session:
        raise ProblemResponse(HTTPStatus.FORBIDDEN, "This needs a user who has signed in, not a token.", "forbidden")
    return principal


def wrong() -> ProblemResponse:
    """Whatever is wrong, and whether there is such an account or not."""
    return ProblemResponse(HTTPStatus.UNAUTHORIZED, "This address, password or code is wrong.", "sign_in_failed")


async def take_code(connection: AsyncConnection, people: People, account: Account, code: str) -> bool:
    """Whether it is the account's code now. It is used up then."""
    if account.totp_secret is None:
        return False
    step = matching_step(account.totp_secret, code, people.now().timestamp(), account.totp_step or 0)
    if step is None:
        return False
    await connection.execute(sa.update(users).where(users.c.id == account.id).values(totp_step=step))
    return True


async def begin_session(
    connection: AsyncConnection, people: People, account: Account, agent: str, *, second_factor: bool
) -> web.Response:
    """In the transaction that has shown who it is. 201 with its cookie."""
    token, view = await open_session(connection, people, account, agent, second_factor=second_factor)
    return with_cookie(json_response(view, HTTPStatus.CREATED), people, token)


def with_cookie(response: web.Response, people: People, token: str) -> web.Response:
    age = int(people.rules.absolute.total_seconds())
    response.set_cookie(SESSION_COOKIE, token, max_age=age, path="/", secure=True, httponly=True, samesite="Lax")
    return response


async def open_session(
    connection: AsyncConnection, people: People, account: Account, agent: str, *, second_factor: bool
) -> tuple[str, SessionView]:
    """Its token, and what it permits."""
    token, id, now = new_token(SESSION), new_id(), people.now()
    expires, roles = now + people.rules.absolute, await read_roles(connection)
    await connection.execute(
        sa.insert(sessions).values(
            digest=digest_of(token),
            id=id,
            user_id=account.id,
            agent=agent,
            second_factor=second_factor,
            created_at=now,
            seen_at=now,
            expires_at=expires,
        )
    )
    await audit_log.record(connection, account.actor, "session.began", id, second_factor=second_factor)
    rights = rights_view(session_rights(account, roles, second_factor=second_factor))
    state = second_factor_of(account, roles.values(), passed=second_factor)
    until = min(expires, now + people.rules.idle)
    return token, SessionView(account.actor, user_view(account), rights, state, until)
