"""One-time links: by them new users join, and known ones choose a new password.

The token stands behind the `#` of a link, which browsers send to no server: it is in no log. Whom it is for is in the
database alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.roles import GivenRole, lacking, rights_of
from services.staff.people import audit_log
from services.staff.people.accounts import (
    ACTOR,
    Account,
    account_of,
    all_rights,
    end_access,
    folded_email,
    read_roles,
    write_roles,
)
from services.staff.people.credentials import INVITATION, digest_of, new_id, new_token
from services.staff.people.limits import INVITE, MANAGE, by_permission, require_rights, rights_to_give, stores_given
from services.staff.people.people import People
from services.staff.people.sign_in import GONE
from services.staff.people.tables import invitations, users
from services.staff.people.views import Address, NewPassword, PersonName, RoleName, StoreOrAll, UserView, user_view
from shared.contracts.values import Given
from shared.shell.http.access import OWN_STORES, PRINCIPAL, add_public, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, json_response, not_found
from shared.shell.http.requests import body_in, check_no_other_site

PATH = "/join"


@dataclass(frozen=True, slots=True)
class Link:
    """Shown once."""

    id: str
    """The invitation's id."""
    link: str
    """Give it to the user, and to no one else."""
    expires: datetime
    """Until when it can be used, once."""


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation that was not used yet."""

    id: str
    """The invitation's id."""
    email: str
    """Who is invited."""
    role: str | None
    """The role that they get; null: a known user chooses a new password."""
    stores: list[str]
    """Where they get it; `*`: in all stores."""
    invited_by: str
    """The actor who invited them."""
    expires: datetime
    """Until when it can be used."""


@dataclass(frozen=True, slots=True)
class InvitationList:
    """Open invitations."""

    invitations: list[InvitationView]
    """Those for the caller's stores."""


class NewInvitation(Given):
    """The body of `POST /api/v1/invitations`."""

    email: Address
    """Who is invited."""
    role: RoleName
    """The role that they get."""
    stores: tuple[StoreOrAll, ...] = Field(min_length=1, max_length=100)
    """Where they get it; `*`: in all stores."""


class Acceptance(Given):
    """The body of `POST /api/v1/invitations/accept`."""

    token: str = Field(min_length=10, max_length=100)
    """What stands behind `#` in the link."""
    name: PersonName
    """The user's name."""
    password: NewPassword
    """Their password from now on."""


INVITE_USER = Declaration(
    "Invite a user",
    (DeclaredResponse(Link, HTTPStatus.CREATED),),
    body=NewInvitation,
    refused=(HTTPStatus.CONFLICT,),
)
LIST = Declaration("Open invitations", (DeclaredResponse(InvitationList),))
WITHDRAW = Declaration("Withdraw an invitation", (GONE,))
ACCEPT = Declaration(
    "Accept an invitation, or choose a new password",
    (DeclaredResponse(UserView, HTTPStatus.CREATED),),
    body=Acceptance,
    refused=(HTTPStatus.FORBIDDEN, HTTPStatus.GONE, HTTPStatus.CONFLICT),
)


def add_invitations(application: web.Application, people: People) -> None:
    routes, add = InvitationRoutes(people), functools.partial(add_route, application)
    add("GET", "/api/v1/invitations", routes.list, INVITE, OWN_STORES, LIST)
    add("POST", "/api/v1/invitations", routes.invite, INVITE, OWN_STORES, INVITE_USER)
    add("DELETE", "/api/v1/invitations/{invitation}", routes.withdraw, INVITE, OWN_STORES, WITHDRAW)
    add_public(application, "POST", "/api/v1/invitations/accept", routes.accept, ACCEPT)


async def invite(
    connection: AsyncConnection,
    people: People,
    email: str,
    actor: str,
    *,
    role: str | None = None,
    stores: Iterable[str] = (),
    user: str | None = None,
) -> Link:
    """A link for an address. `user`: of a known user, whose password it changes."""
    token, id, now = new_token(INVITATION), new_id(), people.now()
    expires = now + people.rules.invitation
    values = {"digest": digest_of(token), "id": id, "email": email, "role": role, "stores": sorted(set(stores))}
    times = {"created_at": now, "expires_at": expires}
    await connection.execute(sa.insert(invitations).values(**values, **times, invited_by=actor, user_id=user))
    return Link(id, f"{people.rules.public_url}{PATH}#{token}", expires)


class InvitationRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def invite(self, request: web.Request) -> web.StreamResponse:
        people, caller = self._people, request[PRINCIPAL]
        given = await body_in(request, NewInvitation, "invitation")
        email, stores = folded_email(given.email), sorted(set(given.stores))
        async with people.writes.begin() as connection:
            roles = tuple(GivenRole(given.role, store) for store in stores)
            require_rights(caller, rights_to_give(roles, await read_roles(connection)), using=INVITE)
            if await account_of(connection, email=email) is not None:
                raise _exists()
            link = await invite(connection, people, email, caller.name, role=given.role, stores=stores)
            about = {"role": given.role, "stores": stores}
            await audit_log.record(connection, caller.name, "user.invited", link.id, **about)
        return json_response(link, HTTPStatus.CREATED)

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = sa.select(invitations).where(invitations.c.expires_at > self._people.now())
        async with self._people.writes.connect() as connection:
            rows = (await connection.execute(query.order_by(invitations.c.created_at, invitations.c.id))).all()
        mine = [row for row in rows if _is_within(row.stores, request[PRINCIPAL])]
        shown = [InvitationView(r.id, r.email, r.role, list(r.stores), r.invited_by, r.expires_at) for r in mine]
        return json_response(InvitationList(shown))

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        caller, id = request[PRINCIPAL], request.match_info["invitation"]
        async with self._people.writes.begin() as connection:
            query = sa.select(invitations.c.stores).where(invitations.c.id == id).with_for_update()
            stores = (await connection.execute(query)).scalar_one_or_none()
            if stores is None or not _is_within(stores, caller):
                raise not_found("invitation")
            await connection.execute(sa.delete(invitations).where(invitations.c.id == id))
            await audit_log.record(connection, caller.name, "invitation.withdrawn", id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def accept(self, request: web.Request) -> web.StreamResponse:
        check_no_other_site(request)
        people, given = self._people, await body_in(request, Acceptance, "acceptance")
        of_it = sa.and_(invitations.c.digest == digest_of(given.token), invitations.c.expires_at > people.now())
        async with people.writes.connect() as connection:  # first: a password is costly
            if (await connection.execute(sa.select(invitations.c.id).where(of_it))).one_or_none() is None:
                raise _used()
        password = await people.passwords.hash(given.password)
        async with people.writes.begin() as connection:
            row = (await connection.execute(sa.delete(invitations).where(of_it).returning(invitations))).one_or_none()
            if row is None or not await _may_still(connection, row):
                raise _used()
            user = row.user_id or await _joined(connection, people, row.email, given.name)
            changed = {"password": password, "name": given.name}
            await connection.execute(sa.update(users).where(users.c.id == user).values(changed))
            await end_access(connection, user)
            account = await account_of(connection, id=user)
            if account is None:
                raise _used()
            if row.role is not None:
                roles = {*account.given, *(GivenRole(row.role, store) for store in row.stores)}
                await write_roles(connection, user, roles)
                account = await account_of(connection, id=user) or account
            await audit_log.record(connection, account.actor, "invitation.accepted", user, invitation=row.id)
        people.recognition.forget()
        return json_response(user_view(account), HTTPStatus.CREATED)


async def _joined(connection: AsyncConnection, people: People, email: str, name: str) -> str:
    """The id of a new user. Raises ProblemResponse."""
    values = {"id": new_id(), "email": email, "name": name, "created_at": people.now()}
    insert = postgresql.insert(users).values(values).on_conflict_do_nothing().returning(users.c.id)
    id: str | None = (await connection.execute(insert)).scalar_one_or_none()
    if id is None:
        raise _exists()
    return id


async def _may_still(connection: AsyncConnection, row: sa.Row[tuple[object, ...]]) -> bool:
    """Whether the user who made the link may still give what it gives, and change whom it changes."""
    known = await read_roles(connection)
    if not row.invited_by.startswith(ACTOR):
        return row.role is None or row.role in known
    inviter = await account_of(connection, id=row.invited_by.removeprefix(ACTOR))
    if inviter is None or inviter.disabled_at is not None:
        return False
    given = [GivenRole(row.role, store) for store in row.stores] if row.role else []
    target: Account | None = await account_of(connection, id=row.user_id) if row.user_id else None
    asked = by_permission(rights_of(given, known, second_factor=True), INVITE)
    asked += by_permission(all_rights(target, known), MANAGE) if target else []
    return not lacking(all_rights(inviter, known), asked) and (not row.role or row.role in known)


def _is_within(stores: Iterable[str], caller: Principal) -> bool:
    given = stores_given(stores)
    return caller.stores is None or (given is not None and bool(given) and given <= caller.stores)


def _used() -> ProblemResponse:
    title = "This link was used, withdrawn, or is too old. Ask for another one."
    return ProblemResponse(HTTPStatus.GONE, title, "link_used")


def _exists() -> ProblemResponse:
    title = "There is a user with this address already. Give them the role instead."
    return ProblemResponse(HTTPStatus.CONFLICT, title, "user_exists")
