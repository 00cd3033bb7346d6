"""Users, as those who manage them see and change them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.people import audit_log
from services.staff.people.accounts import account_of, accounts_after, end_access, read_roles, write_roles
from services.staff.people.invitations import Link, invite
from services.staff.people.limits import MANAGE, changeable, require_rights, rights_to_give, visible
from services.staff.people.people import People
from services.staff.people.sign_in import GONE
from services.staff.people.tables import passkeys, sessions, users
from services.staff.people.views import RoleInStore, UserView, given_roles, user_view
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.contracts.values import Given
from shared.shell.http.access import OWN_STORES, PRINCIPAL, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse, Query
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.requests import Number, Words, body_in, query_in
from shared.shell.http.web import actor_of

PAGE, MOST = 100, 500


class UserQuery(Query):
    after: Words = ""
    """The `next` of the page before."""
    limit: Number = Field(default=PAGE, ge=1, le=MOST)
    """At most so many users."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """Users, in order of their ids."""

    users: list[UserView]
    """Those who have a role in one of the caller's stores."""
    next: str | None
    """The `after` of the next page; null on the last one."""


class UserRoles(Given):
    """The body of `PUT /api/v1/users/{user}/roles`."""

    roles: tuple[RoleInStore, ...] = Field(max_length=200)
    """All roles that the user has from now on."""


CHANGES = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
LIST = Declaration("Users", (DeclaredResponse(UserPage), NOT_MODIFIED), query=UserQuery, headers=(IF_NONE_MATCH,))
SHOW = Declaration("A user", (DeclaredResponse(UserView),))
GIVE = Declaration("Give a user their roles", (DeclaredResponse(UserView),), body=UserRoles, refused=CHANGES)
DISABLE = Declaration("Disable a user: sessions and tokens end", (DeclaredResponse(UserView),), refused=CHANGES)
ENABLE = Declaration("Enable a user again", (DeclaredResponse(UserView),), refused=CHANGES)
RESET = Declaration(
    "A link by which a user chooses a new password: sessions and tokens end when it is used",
    (DeclaredResponse(Link, HTTPStatus.CREATED),),
    refused=CHANGES,
)
END_ALL = Declaration("End all sessions of a user, and revoke their API tokens", (GONE,), refused=CHANGES)
REMOVE_FACTOR = Declaration("Remove a user's second factor: sessions end", (GONE,), refused=CHANGES)


def add_users(application: web.Application, people: People) -> None:
    routes, add = UserRoutes(people), functools.partial(add_route, application)
    one = "/api/v1/users/{user}"
    add("GET", "/api/v1/users", routes.list, "user.read", OWN_STORES, LIST)
    add("GET", one, routes.show, "user.read", OWN_STORES, SHOW)
    add("PUT", f"{one}/roles", routes.give, MANAGE, OWN_STORES, GIVE)
    add("POST", f"{one}/disable", routes.disable, MANAGE, OWN_STORES, DISABLE)
    add("POST", f"{one}/enable", routes.enable, MANAGE, OWN_STORES, ENABLE)
    add("POST", f"{one}/reset", routes.reset, MANAGE, OWN_STORES, RESET)
    add("DELETE", f"{one}/sessions", routes.end_sessions, MANAGE, OWN_STORES, END_ALL)
    add("DELETE", f"{one}/second-factor", routes.remove_factor, MANAGE, OWN_STORES, REMOVE_FACTOR)


class UserRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def list(self, request: web.Request) -> web.StreamResponse:
        given = query_in(request, UserQuery)
        async with self._people.writes.connect() as connection:
            found = await accounts_after(connection, request[PRINCIPAL].stores, given.after, given.limit)
        following = found[-1].id if len(found) == given.limit else None
        return kept_response(request, UserPage([user_view(account) for account in found], following))

    async def show(self, request: web.Request) -> web.StreamResponse:
        async with self._people.writes.connect() as connection:
            account = await visible(connection, request[PRINCIPAL], request.match_info["user"])
        return json_response(user_view(account))

    async def give(self, request: web.Request) -> web.StreamResponse:
        caller, user = request[PRINCIPAL], request.match_info["user"]
        given = given_roles((await body_in(request, UserRoles, "list of roles")).roles)
        async with self._people.writes.begin() as connection:
            known = await read_roles(connection)
            account = await changeable(connection, caller, user, known)
            require_rights(caller, rights_to_give(given, known), using=MANAGE)
            await write_roles(connection, user, given)
            written = [f"{each.role}@{each.store}" for each in given]
            before = [f"{each.role}@{each.store}" for each in account.given]
            await audit_log.record(connection, caller.name, "user.roles_given", user, roles=written, before=before)
        return await self._changed(request)

    async def disable(self, request: web.Request) -> web.StreamResponse:
        return await self._set_disabled(request, disabled=True)

    async def enable(self, request: web.Request) -> web.StreamResponse:
        return await self._set_disabled(request, disabled=False)

    async def reset(self, request: web.Request) -> web.StreamResponse:
        people, caller, user = self._people, request[PRINCIPAL], request.match_info["user"]
        async with people.writes.begin() as connection:
            account = await changeable(connection, caller, user, await read_roles(connection))
            link = await invite(connection, people, account.email, actor_of(request), user=user)
            await audit_log.record(connection, caller.name, "user.reset_offered", user, invitation=link.id)
        return json_response(link, HTTPStatus.CREATED)

    async def end_sessions(self, request: web.Request) -> web.StreamResponse:
        caller, user = request[PRINCIPAL], request.match_info["user"]
        async with self._people.writes.begin() as connection:
            await changeable(connection, caller, user, await read_roles(connection))
            await end_access(connection, user)
            await audit_log.record(connection, caller.name, "user.sessions_ended", user)
        self._people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def remove_factor(self, request: web.Request) -> web.StreamResponse:
        caller, user = request[PRINCIPAL], request.match_info["user"]
        async with self._people.writes.begin() as connection:
            await changeable(connection, caller, user, await read_roles(connection))
            change = sa.update(users).where(users.c.id == user)
            await connection.execute(change.values(totp_secret=None, totp_step=None))
            await connection.execute(sa.delete(passkeys).where(passkeys.c.user_id == user))
            await end_sessions_of(connection, user)
            await audit_log.record(connection, caller.name, "user.second_factor_removed", user)
        self._people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _set_disabled(self, request: web.Request, *, disabled: bool) -> web.StreamResponse:
        caller, user = request[PRINCIPAL], request.match_info["user"]
        async with self._people.writes.begin() as connection:
            await changeable(connection, caller, user, await read_roles(connection))
            at = self._people.now() if disabled else None
            await connection.execute(sa.update(users).where(users.c.id == user).values(disabled_at=at))
            if disabled:
                await end_access(connection, user)
            kind = "user.disabled" if disabled else "user.enabled"
            await audit_log.record(connection, caller.name, kind, user)
        return await self._changed(request)

    async def _changed(self, request: web.Request) -> web.StreamResponse:
        """As it is now, also where it has left the caller's stores."""
        self._people.recognition.forget()
        async with self._people.writes.connect() as connection:
            account = await account_of(connection, id=request.match_info["user"])
        if account is None:
            raise not_found("user")
        return json_response(user_view(account))


async def end_sessions_of(connection: AsyncConnection, user: str, *, but: str = "") -> None:
    await connection.execute(sa.delete(sessions).where(sessions.c.user_id == user, sessions.c.id != but))
