"""API tokens: for programs, with no more than their user may do."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field

from services.staff.domain.roles import Rights
from services.staff.people import audit_log
from services.staff.people.credentials import API, digest_of, new_id, new_token
from services.staff.people.limits import require_rights, stores_given
from services.staff.people.people import People
from services.staff.people.rules import LONGEST_TOKEN
from services.staff.people.sign_in import GONE, session_of
from services.staff.people.tables import api_tokens
from services.staff.people.views import Pattern, PersonName, StoreOrAll
from shared.contracts.values import Given
from shared.core import Problem
from shared.permissions import PERMISSIONS
from shared.shell.http.access import OWN_STORES, SIGNED_IN, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import body_in

MOST = 50


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token, without itself."""

    id: str
    """The token's id."""
    name: str
    """What it is for."""
    permissions: list[str]
    """What it permits, of what its user may do."""
    stores: list[str]
    """Where; `*`: in all stores of its user."""
    created_at: datetime
    """When it was made."""
    expires: datetime
    """When it ends."""
    seen_at: datetime | None
    """When it was last used, to the minute; null: never."""


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token. It is shown once."""

    token: str
    """Sent as `Authorization: Bearer <token>`."""
    about: TokenView
    """What it permits."""


@dataclass(frozen=True, slots=True)
class TokenList:
    """Tokens."""

    tokens: list[TokenView]
    """The caller's own, oldest first."""


class NewToken(Given):
    """The body of `POST /api/v1/tokens`."""

    name: PersonName
    """What it is for."""
    permissions: tuple[Pattern, ...] = Field(min_length=1, max_length=200)
    """What it permits; `*` stands for any characters."""
    stores: tuple[StoreOrAll, ...] = Field(min_length=1, max_length=100)
    """Where; `*`: in all stores."""
    days: int = Field(default=90, ge=1, le=LONGEST_TOKEN)
    """For how many days."""


LIST = Declaration("The caller's API tokens", (DeclaredResponse(TokenList),))
MAKE = Declaration(
    "Make an API token",
    (DeclaredResponse(MadeToken, HTTPStatus.CREATED),),
    body=NewToken,
    refused=(HTTPStatus.CONFLICT,),
)
REVOKE = Declaration("Revoke an API token", (GONE,))


def add_tokens(application: web.Application, people: People) -> None:
    routes, add = TokenRoutes(people), functools.partial(add_route, application)
    add("GET", "/api/v1/tokens", routes.list, SIGNED_IN, OWN_STORES, LIST)
    add("POST", "/api/v1/tokens", routes.make, SIGNED_IN, OWN_STORES, MAKE)
    add("DELETE", "/api/v1/tokens/{token_id}", routes.revoke, SIGNED_IN, OWN_STORES, REVOKE)


class TokenRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = sa.select(api_tokens).where(api_tokens.c.user_id == session_of(request).user)
        async with self._people.writes.connect() as connection:
            rows = (await connection.execute(query.order_by(api_tokens.c.created_at, api_tokens.c.id))).all()
        return json_response(TokenList([_view(row) for row in rows]))

    async def make(self, request: web.Request) -> web.StreamResponse:
        caller, now = session_of(request), self._people.now()
        given = await body_in(request, NewToken, "token")
        unknown = [one for one in given.permissions if not any(fnmatchcase(each, one) for each in PERMISSIONS)]
        if unknown:
            text = f"no permission is called {', '.join(unknown)}"
            problem = Problem(field="permissions", code="unknown_permission", text=text)
            raise bad_request("The token is invalid.", [problem])
        require_rights(caller, [Rights(given.permissions, stores_given(given.stores))])
        token, values = new_token(API), {"permissions": list(given.permissions), "stores": sorted(set(given.stores))}
        async with self._people.writes.begin() as connection:
            mine = sa.select(sa.func.count()).select_from(api_tokens).where(api_tokens.c.user_id == caller.user)
            if (await connection.execute(mine)).scalar_one() >= MOST:
                title = f"You have {MOST} tokens already. Revoke one that is not used."
                raise ProblemResponse(HTTPStatus.CONFLICT, title, "too_many_tokens")
            insert = sa.insert(api_tokens).values(
                digest=digest_of(token),
                id=new_id(),
                user_id=caller.user,
                name=given.name,
                second_factor=caller.second_factor,
                created_at=now,
                expires_at=now + timedelta(days=given.days),
                **values,
            )
            row = (await connection.execute(insert.returning(api_tokens))).one()
            await audit_log.record(connection, caller.name, "token.made", row.id, **values)
        return json_response(MadeToken(token, _view(row)), HTTPStatus.CREATED)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        caller, id = session_of(request), request.match_info["token_id"]
        async with self._people.writes.begin() as connection:
            of_it = sa.and_(api_tokens.c.id == id, api_tokens.c.user_id == caller.user)
            if not (await connection.execute(sa.delete(api_tokens).where(of_it))).rowcount:
                raise not_found("token")
            await audit_log.record(connection, caller.name, "token.revoked", id)
        self._people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _view(row: sa.Row[tuple[object, ...]]) -> TokenView:
    return TokenView(
        *(row.id, row.name, list(row.permissions), list(row.stores), row.created_at, row.expires_at, row.seen_at)
    )
