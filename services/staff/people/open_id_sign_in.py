"""Sign in by an OpenID provider: users who have joined, known to it by the same verified address."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus

import orjson
import sqlalchemy as sa
import structlog
from aiohttp import web
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.people import audit_log
from services.staff.people.accounts import Account, account_of, folded_email
from services.staff.people.credentials import CHALLENGE, digest_of, new_token
from services.staff.people.open_id import Begun, Identity, OpenIdProvider, ProviderFailed
from services.staff.people.people import People
from services.staff.people.sign_in import open_session, with_cookie, wrong
from services.staff.people.tables import challenges, identities
from shared.shell.http.access import add_public
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import ProblemResponse, not_found
from shared.shell.http.requests import Words, agent_of, cookie_in, query_in

LASTS = timedelta(minutes=10)
COOKIE = "__Host-orderbus-openid"
"""Shows that who comes back is who was sent."""
PATH = "/api/v1/session/openid"
BACK = f"{PATH}/callback"
log = structlog.get_logger(__name__)


class Callback(Query):
    code: Words = ""
    """What the provider gave."""
    state: Words = ""
    """What the user was sent with."""


SENT = DeclaredResponse(None, HTTPStatus.SEE_OTHER, media="", description="To the provider.")
BEGIN = Declaration("Sign in by the OpenID provider", (SENT,), refused=(HTTPStatus.NOT_FOUND,))
CALLBACK = Declaration(
    "Come back from the OpenID provider",
    (DeclaredResponse(None, HTTPStatus.SEE_OTHER, media="", description="To the first page; a cookie is set."),),
    query=Callback,
    refused=(HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED),
)


def add_open_id(application: web.Application, people: People) -> None:
    routes = OpenIdRoutes(people)
    add_public(application, "GET", PATH, routes.begin, BEGIN)
    add_public(application, "GET", BACK, routes.callback, CALLBACK)


class OpenIdRoutes:
    def __init__(self, people: People) -> None:
        self._people, self._redirect = people, people.rules.public_url + BACK

    async def begin(self, request: web.Request) -> web.StreamResponse:
        people, provider, state = self._people, self._provider(), new_token(CHALLENGE)
        try:
            url, begun = await provider.begin(self._redirect, state)
        except ProviderFailed as failed:
            raise _failed(failed) from None
        values = {"digest": digest_of(state), "state": orjson.dumps(asdict(begun)).decode()}
        async with people.writes.begin() as connection:
            insert = sa.insert(challenges).values(**values, expires_at=people.now() + LASTS)
            await connection.execute(insert)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": url})
        age = int(LASTS.total_seconds())
        response.set_cookie(COOKIE, state, max_age=age, path="/", secure=True, httponly=True, samesite="Lax")
        return response

    async def callback(self, request: web.Request) -> web.StreamResponse:
        people, provider, given = self._people, self._provider(), query_in(request, Callback)
        if not given.code or not hmac.compare_digest(given.state.encode(), cookie_in(request, COOKIE).encode()):
            raise wrong()
        async with people.writes.begin() as connection:
            query = sa.delete(challenges).where(challenges.c.digest == digest_of(given.state)).returning(challenges)
            row = (await connection.execute(query)).one_or_none()
        if row is None or row.expires_at <= people.now():
            raise wrong()
        begun = Begun(**orjson.loads(row.state))
        try:
            identity = await provider.identity(given.code, self._redirect, begun, people.now())
        except ProviderFailed as failed:
            raise _failed(failed) from None
        async with people.writes.begin() as connection:
            account = await _account_of(connection, provider.issuer, identity)
            if account is None or account.disabled_at is not None:
                raise wrong()
            agent, strong = agent_of(request), identity.second_factor
            token, _ = await open_session(connection, people, account, agent, second_factor=strong)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": people.rules.public_url + "/"})
        response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return with_cookie(response, people, token)

    def _provider(self) -> OpenIdProvider:
        if self._people.provider is None:
            raise not_found("provider: none is set")
        return self._people.provider


async def _account_of(connection: AsyncConnection, issuer: str, identity: Identity) -> Account | None:
    """By who they are for the provider; the first time by their address, which it has verified."""
    table = identities
    of_it = sa.and_(table.c.issuer == issuer, table.c.subject == identity.subject)
    user = (await connection.execute(sa.select(table.c.user_id).where(of_it))).scalar_one_or_none()
    if user is not None:
        return await account_of(connection, id=user, locked=True)
    email = folded_email(identity.email)
    account = await account_of(connection, email=email, locked=True) if email else None
    if account is None:
        return None
    values = {"issuer": issuer, "subject": identity.subject, "user_id": account.id}
    await connection.execute(postgresql.insert(table).values(values).on_conflict_do_nothing())
    await audit_log.record(connection, account.actor, "user.identity_linked", account.id)
    return account


def _failed(failed: ProviderFailed) -> ProblemResponse:
    log.warning("the OpenID provider did not sign a user in", reason=str(failed))
    title = "The OpenID provider did not sign you in. Try again, or sign in by password."
    return ProblemResponse(HTTPStatus.SERVICE_UNAVAILABLE, title, "unavailable", retry_after=5)
