"""What users do to their own account: their sessions, their password."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web

from services.staff.people import attempts, audit_log
from services.staff.people.accounts import account_of
from services.staff.people.people import People
from services.staff.people.sign_in import GONE, session_of, wrong
from services.staff.people.tables import sessions, users
from services.staff.people.users import end_sessions_of
from services.staff.people.views import PasswordChange
from shared.shell.http.access import OWN_STORES, SIGNED_IN, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.limits import LIMITS
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.requests import body_in


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session of the caller."""

    id: str
    """The session's id."""
    agent: str
    """What the browser calls itself."""
    second_factor: bool
    """The second factor was shown."""
    began_at: datetime
    """When it began."""
    seen_at: datetime
    """When it was last used, to the minute."""
    current: bool
    """It is the one of this request."""


@dataclass(frozen=True, slots=True)
class SessionList:
    """Sessions."""

    sessions: list[SessionRow]
    """The caller's own that have not ended, newest first."""


LIST = Declaration("The caller's sessions", (DeclaredResponse(SessionList),))
END = Declaration("End one of the caller's sessions", (GONE,))
CHANGE = Declaration("Change one's password: other sessions end, API tokens stay", (GONE,), body=PasswordChange)


def add_own_account(application: web.Application, people: People) -> None:
    routes, add = OwnRoutes(people), functools.partial(add_route, application)
    add("GET", "/api/v1/sessions", routes.list, SIGNED_IN, OWN_STORES, LIST)
    add("DELETE", "/api/v1/sessions/{session}", routes.end, SIGNED_IN, OWN_STORES, END)
    add("POST", "/api/v1/session/password", routes.change_password, SIGNED_IN, OWN_STORES, CHANGE)


class OwnRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def list(self, request: web.Request) -> web.StreamResponse:
        caller, now = session_of(request), self._people.now()
        query = sa.select(sessions).where(
            sessions.c.user_id == caller.user,
            sessions.c.expires_at > now,
            sessions.c.seen_at > now - self._people.rules.idle,
        )
        async with self._people.writes.connect() as connection:
            rows = (await connection.execute(query.order_by(sessions.c.created_at.desc(), sessions.c.id))).all()
        shown = [
            SessionRow(row.id, row.agent, row.second_factor, row.created_at, row.seen_at, row.id == caller.session)
            for row in rows
        ]
        return json_response(SessionList(shown))

    async def end(self, request: web.Request) -> web.StreamResponse:
        caller, id = session_of(request), request.match_info["session"]
        async with self._people.writes.begin() as connection:
            of_it = sa.and_(sessions.c.id == id, sessions.c.user_id == caller.user)
            if not (await connection.execute(sa.delete(sessions).where(of_it))).rowcount:
                raise not_found("session")
            await audit_log.record(connection, caller.name, "session.ended", id)
        self._people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def change_password(self, request: web.Request) -> web.StreamResponse:
        people, caller = self._people, session_of(request)
        given = await body_in(request, PasswordChange, "change")
        async with people.writes.connect() as connection:
            account = await account_of(connection, id=caller.user)
        if account is None or (account.has_second_factor and not caller.second_factor):
            raise wrong()
        attempt = attempts.at_password(account.email, request[LIMITS].address_of(request))
        await attempts.begin(people.writes, attempt, people.now())
        if not await people.passwords.matches(account.password, given.old):
            raise wrong()
        password = await people.passwords.hash(given.new)
        async with people.writes.begin() as connection:
            of_it = sa.and_(users.c.id == caller.user, users.c.password == account.password)
            if not (await connection.execute(sa.update(users).where(of_it).values(password=password))).rowcount:
                raise wrong()
            await end_sessions_of(connection, caller.user, but=caller.session)
            await attempts.succeeded(connection, attempt)
            await audit_log.record(connection, caller.name, "user.password_changed", caller.user)
        people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)
