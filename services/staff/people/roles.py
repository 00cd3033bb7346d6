"""Roles: the built-in ones, and those that are made here."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from re import fullmatch

import sqlalchemy as sa
from aiohttp import web
from pydantic import Field
from sqlalchemy.dialects import postgresql

from services.staff.domain.roles import BUILT_IN, Rights, Role
from services.staff.people import audit_log
from services.staff.people.accounts import read_roles
from services.staff.people.limits import require_rights
from services.staff.people.people import People
from services.staff.people.sign_in import GONE
from services.staff.people.tables import grants, invitations, roles
from services.staff.people.views import Pattern
from services.staff.unchanged import IF_NONE_MATCH, NOT_MODIFIED, kept_response
from shared.contracts.values import Given
from shared.core import Problem
from shared.permissions import PERMISSIONS
from shared.shell.http.access import EVERY_STORE, OWN_STORES, PRINCIPAL, SIGNED_IN, add_route
from shared.shell.http.declaration import Declaration, DeclaredResponse
from shared.shell.http.problems import ProblemResponse, bad_request, json_response, not_found
from shared.shell.http.requests import body_in

NAME = r"[a-z][a-z0-9_-]{0,39}"


@dataclass(frozen=True, slots=True)
class RoleView:
    """What a role permits."""

    name: str
    """The role's name."""
    permissions: list[str]
    """Names of permissions; `*` stands for any characters."""
    second_factor: bool
    """It counts only in sessions with a second factor."""
    built_in: bool
    """Its permissions cannot be changed."""


@dataclass(frozen=True, slots=True)
class RoleList:
    """All roles."""

    roles: list[RoleView]
    """The built-in ones first."""
    permissions: list[str]
    """All permissions that there are."""


class RoleGiven(Given):
    """The body of `PUT /api/v1/roles/{role}`."""

    permissions: tuple[Pattern, ...] | None = Field(default=None, min_length=1, max_length=200)
    """What it permits; missing for a built-in role."""
    second_factor: bool = False
    """It counts only in sessions with a second factor."""


LIST = Declaration("Roles", (DeclaredResponse(RoleList), NOT_MODIFIED), headers=(IF_NONE_MATCH,))
PUT = Declaration(
    "Make or change a role",
    (DeclaredResponse(RoleView),),
    body=RoleGiven,
    refused=(HTTPStatus.CONFLICT,),
)
REMOVE = Declaration("Remove a role that no user has", (GONE,), refused=(HTTPStatus.CONFLICT,))


def add_roles(application: web.Application, people: People) -> None:
    routes, add = RoleRoutes(people), functools.partial(add_route, application)
    add("GET", "/api/v1/roles", routes.list, SIGNED_IN, OWN_STORES, LIST)
    add("PUT", "/api/v1/roles/{role}", routes.put, "role.manage", EVERY_STORE, PUT)
    add("DELETE", "/api/v1/roles/{role}", routes.remove, "role.manage", EVERY_STORE, REMOVE)


class RoleRoutes:
    def __init__(self, people: People) -> None:
        self._people = people

    async def list(self, request: web.Request) -> web.StreamResponse:
        async with self._people.writes.connect() as connection:
            found = (await read_roles(connection)).values()
        shown = sorted(found, key=lambda role: not role.built_in)
        return kept_response(request, RoleList([_view(role) for role in shown], sorted(PERMISSIONS)))

    async def put(self, request: web.Request) -> web.StreamResponse:
        caller, name = request[PRINCIPAL], request.match_info["role"]
        given = await body_in(request, RoleGiven, "role")
        role = _checked(name, given)
        async with self._people.writes.begin() as connection:
            before = (await read_roles(connection)).get(name)
            changed = [Rights(each.permissions, None) for each in (role, before) if each is not None]
            require_rights(caller, changed)
            values = {
                "permissions": None if role.built_in else list(role.permissions),
                "second_factor": role.second_factor,
            }
            insert = postgresql.insert(roles).values(name=name, **values)
            await connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
            permissions, asks = list(role.permissions), role.second_factor
            await audit_log.record(
                *(connection, caller.name, "role.changed", name), permissions=permissions, second_factor=asks
            )
        self._people.recognition.forget()
        return json_response(_view(role))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        caller, name = request[PRINCIPAL], request.match_info["role"]
        if name in BUILT_IN:
            raise _built_in()
        async with self._people.writes.begin() as connection:
            found = (await connection.execute(sa.delete(roles).where(roles.c.name == name))).rowcount
            if not found:
                raise not_found("role")
            for table in (grants, invitations):
                if (await connection.execute(sa.select(sa.exists().where(table.c.role == name)))).scalar_one():
                    title = "Users or open invitations have this role. Give them another one first."
                    raise ProblemResponse(HTTPStatus.CONFLICT, title, "role_in_use")
            await audit_log.record(connection, caller.name, "role.removed", name)
        self._people.recognition.forget()
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _checked(name: str, given: RoleGiven) -> Role:
    """Raises ProblemResponse."""
    if not fullmatch(NAME, name):
        raise bad_request("A role's name has 1 to 40 small letters, digits, _ or -, and begins with a letter.")
    if name in BUILT_IN:
        if given.permissions is not None and given.permissions != BUILT_IN[name].permissions:
            raise _built_in()
        return Role(name, BUILT_IN[name].permissions, given.second_factor, built_in=True)
    unknown = [one for one in given.permissions or () if not any(fnmatchcase(each, one) for each in PERMISSIONS)]
    if given.permissions is None or unknown:
        text = f"no permission is called {', '.join(unknown)}" if unknown else "a role of your own needs permissions"
        code = "unknown_permission" if unknown else "missing"
        raise bad_request("The role is invalid.", [Problem(field="permissions", code=code, text=text)])
    return Role(name, tuple(dict.fromkeys(given.permissions)), given.second_factor)


def _built_in() -> ProblemResponse:
    title = "This role is built in: only whether it needs a second factor can be changed. Make a role of your own."
    return ProblemResponse(HTTPStatus.CONFLICT, title, "built_in")


def _view(role: Role) -> RoleView:
    return RoleView(role.name, list(role.permissions), role.second_factor, role.built_in)
