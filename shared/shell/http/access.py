"""What a route asks of its caller: a permission, and a store that is one of the caller's. Every route is either public
or has an `Access`; the middleware in `web.py` checks it before the route is called, and nothing else does."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.api_clients import STORE, STORE_SHAPE
from shared.shell.http.declaration import Declaration, declare
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, bad_request, not_found

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FindStore = Callable[[str], Awaitable[str | None]]
"""The store of a key; None where there is no such key."""
ORDER = "order, or this service does not know it yet"
PRINCIPAL = web.RequestKey("principal", Principal)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a request names its store."""

    where: Literal["path", "query", "recipient", "found", "every", "own"]
    """`{store}`, `?store=`, the beginning of `{recipient}`, the store of a key; or it is about every store, or about
    those of the caller's that `?store=` names, any number of times."""
    variable: str = ""
    find: FindStore | None = None


IN_PATH = Scope("path", "store")
IN_QUERY = Scope("query")
OF_RECIPIENT = Scope("recipient", "recipient")
EVERY_STORE = Scope("every")
"""Only for callers who may act for all stores."""
OWN_STORES = Scope("own")
"""All stores of the caller, if the query names none. The route asks `stores_of` which."""


def found_by(find: FindStore, variable: str = "key") -> Scope:
    """The store of the row that the path names."""
    return Scope("found", variable, find)


def store_column(engine: AsyncEngine, table: sa.Table) -> FindStore:
    """By the column `store` of a table of states."""
    statement = sa.select(table.c.store).where(table.c.key == sa.bindparam("key"), table.c.data.is_not(None))

    async def find(key: str) -> str | None:
        async with engine.connect() as connection:
            store: str | None = (await connection.execute(statement, {"key": key})).scalar_one_or_none()
        return store

    return find


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    permission: str
    """A command's wire type (`payment.refund`), or what is read (`payment.read`)."""
    scope: Scope


PUBLIC = Access("", EVERY_STORE)
"""Needs no token: the route carries a proof of its own."""
PROBE = Access("", EVERY_STORE)
"""Needs no token and is always answered: health, readiness, metrics."""


SIGNED_IN = ""
"""The permission of what every known caller may do: it is about themselves."""


def add_route(
    application: web.Application,
    method: str,
    path: str,
    handler: RequestHandler,
    permission: str,
    scope: Scope,
    declaration: Declaration,
) -> None:
    _add(application, method, path, marked(handler, Access(permission, scope), declaration))


def add_public(
    application: web.Application, method: str, path: str, handler: RequestHandler, declaration: Declaration
) -> None:
    """A route that needs no bearer token because it is authorised in another way."""
    _add(application, method, path, marked(handler, PUBLIC, declaration))


def add_probe(application: web.Application, path: str, handler: RequestHandler, declaration: Declaration) -> None:
    """A route that tells how the worker is."""
    _add(application, "GET", path, marked(handler, PROBE, declaration))


def _add(application: web.Application, method: str, path: str, handler: RequestHandler) -> None:
    if method == "GET":
        application.router.add_get(path, handler)  # and HEAD
    else:
        application.router.add_route(method, path, handler)


def marked(handler: RequestHandler, access: Access, declaration: Declaration) -> RequestHandler:
    @functools.wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    handle.access = access  # type: ignore[attr-defined]  # a mark on a function
    declare(handle, declaration)
    return handle


def access_of(handler: object) -> Access | None:
    """None for a handler that says nothing: it is called by no one."""
    found = getattr(handler, "access", None)
    return found if isinstance(found, Access) else None


async def check(caller: Principal, access: Access, request: web.Request) -> Principal:
    """The principal with what it may do where this request is about. Raises ProblemResponse unless it may make it."""
    scope = access.scope
    if caller.recipient:
        require(caller, (access.permission,))
        if scope is not OF_RECIPIENT or request.match_info["recipient"] != caller.recipient:
            raise _forbidden("This token is for another feed.")
        return caller
    if access.permission == SIGNED_IN:
        return caller
    principal = caller.where(access.permission)
    require(principal, (access.permission,))
    named = _named(scope, request)
    if principal.stores is None:
        return await _anywhere(caller, principal, scope, named)
    if scope is OWN_STORES:
        if not principal.stores.issuperset(filter(None, request.query.getall("store", ()))):
            raise _forbidden("?store= names a store that is not yours.")
        return principal
    if scope.find is not None:
        store = await scope.find(named)
        if store not in principal.stores:
            raise not_found(ORDER)  # whether another store has it is not said
        return caller.within(store or "")
    if scope is EVERY_STORE:
        raise _forbidden("This is about all stores. It needs a client of all stores.")
    if named not in principal.stores:
        raise _forbidden("Name one of your stores in ?store=." if scope is IN_QUERY else "This is not your store.")
    return caller.within(named.partition("~")[0])


async def _anywhere(caller: Principal, principal: Principal, scope: Scope, named: str) -> Principal:
    """Of a caller who may do this in all stores: with what they may do in this one, which can be more than everywhere.
    What is not there is found out by the route, or by `check_refused`."""
    if not named or all(grant.stores is None for grant in caller.grants):
        return principal
    store = await scope.find(named) if scope.find is not None else named.partition("~")[0]
    return principal if store is None else caller.within(store)


def stores_of(request: web.Request) -> frozenset[str] | None:
    """Which stores a request of the scope OWN_STORES is about; None: all."""
    named = frozenset(filter(None, request.query.getall("store", ())))
    return named or request[PRINCIPAL].stores


async def check_refused(request: web.Request, refused: ProblemResponse) -> None:
    """A command is refused. Raises "not found" where its order does not exist: the refusal speaks as if it did."""
    access, principal = access_of(request.match_info.handler), request.get(PRINCIPAL)
    if access is None or access.scope.find is None or principal is None or principal.stores is not None:
        return
    unknown = refused.code == "unknown_order"
    if not unknown and refused.status == HTTPStatus.CONFLICT:
        unknown = await access.scope.find(request.match_info[access.scope.variable]) is None
    if unknown:
        raise ProblemResponse(HTTPStatus.NOT_FOUND, f"There is no such {ORDER}.", "not_found", close=refused.close)


def require(principal: Principal, permissions: Iterable[str]) -> None:
    """Raises ProblemResponse with those that the principal lacks."""
    missing = [permission for permission in permissions if not principal.may(permission)]
    if missing:
        raise _forbidden(f"This needs the permission {' and '.join(missing)}.")


def _named(scope: Scope, request: web.Request) -> str:
    """What names the store, or the key whose store is to be found. Raises ProblemResponse for what names none."""
    if scope is IN_QUERY:
        return request.query.get("store", "")
    if scope in (EVERY_STORE, OWN_STORES):
        return ""
    given = request.match_info[scope.variable]
    store = given.partition("~")[0] if scope is OF_RECIPIENT else given
    if scope.find is None and not STORE.fullmatch(store):
        raise bad_request(f"The path does not name a store: its id is {STORE_SHAPE}.")
    return store


def _forbidden(title: str) -> ProblemResponse:
    return ProblemResponse(HTTPStatus.FORBIDDEN, title, "forbidden")
