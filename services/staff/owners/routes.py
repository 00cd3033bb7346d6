"""The owners' routes below staff's API: `POST /api/v1/checkout/orders/{key}/cancel` is checkout's `POST
/orders/{key}/cancel`. Permission and store are checked here and by the owner, whose answer comes back as it is. What is
changed is in the audit log, what is read is not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.archived import find_order
from services.staff.owners.client import PROBLEM, Owners, media_of
from services.staff.owners.commands import OwnerRoute, owner_commands, owner_reads
from services.staff.people import audit_log
from services.staff.storage import orders
from shared.shell.http.access import (
    EVERY_STORE,
    IN_PATH,
    IN_QUERY,
    OF_RECIPIENT,
    PRINCIPAL,
    FindStore,
    RequestHandler,
    Scope,
    add_route,
    found_by,
)
from shared.shell.http.assertions import RequestHead
from shared.shell.http.outbound import Response
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse
from shared.shell.http.requests import idempotency_key, read_body, target_of
from shared.shell.ports.http_api import HttpApi

PASSED_ON = ("Content-Type", "ETag", "Cache-Control", "Retry-After", "Location")
IDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~/-]{0,199}")
CODE = re.compile(r"[a-z][a-z0-9_]{0,60}")
NO_IDS = ("file",)
"""Variables of paths that staff made up."""


def add_owner_commands(application: web.Application, api: HttpApi, owners: Owners, writes: AsyncEngine) -> None:
    """`writes`: for the audit log."""
    for command in owner_commands():
        _add(application, api, command, _sent_on(command, owners, writes))


def add_owner_reads(application: web.Application, api: HttpApi, owners: Owners) -> None:
    for read in owner_reads():
        _add(application, api, read, _read(read, owners))


def _add(application: web.Application, api: HttpApi, route: OwnerRoute, handler: RequestHandler) -> None:
    scopes: Mapping[str, Scope] = {
        "path": IN_PATH,
        "query": IN_QUERY,
        "recipient": OF_RECIPIENT,
        "every": EVERY_STORE,
        "found": found_by(named_order(api), "order") if "{order}" in route.path else found_by(store_of_order(api)),
    }
    scope = scopes[route.scope]
    add_route(application, route.method, route.route, handler, route.permission, scope, route.declaration)


def store_of_order(api: HttpApi) -> FindStore:
    """By the read model, which has an order a moment after it was made."""
    statement = sa.select(orders.c.store).where(orders.c.order_id == sa.bindparam("key"))

    async def find(key: str) -> str | None:
        async with api.engine.connect() as connection:
            store: str | None = (await connection.execute(statement, {"key": key})).scalar_one_or_none()
        return store

    return find


def named_order(api: HttpApi) -> FindStore:
    """The same, by its id or number."""

    async def find(name: str) -> str | None:
        async with api.engine.connect() as connection:
            found = await find_order(connection, name)
        return found.store if found else None

    return find


def _read(route: OwnerRoute, owners: Owners) -> RequestHandler:
    prefix = route.route.removesuffix(route.path)

    async def handle(request: web.Request) -> web.StreamResponse:
        head = RequestHead(method=route.method, target=target_of(request).removeprefix(prefix))
        return as_it_is(await owners.send(request[PRINCIPAL], route.owner, head))

    return handle


def _sent_on(command: OwnerRoute, owners: Owners, writes: AsyncEngine) -> RequestHandler:
    prefix = command.route.removesuffix(command.path)

    async def handle(request: web.Request) -> web.StreamResponse:
        caller, declaration = request[PRINCIPAL], command.declaration
        body = await read_body(request) if declaration.has_body else b""
        head = RequestHead(
            method=command.method,
            target=target_of(request).removeprefix(prefix),
            media=request.content_type if body else "",
            idempotency_key=idempotency_key(request) if declaration.headers else "",
        )
        entry = Entry(command, caller, request)
        await entry.write(writes, "command.sent")
        try:
            answer = await owners.send(caller, command.owner, head, body)
        except ProblemResponse as problem:
            await entry.write(writes, "command.refused", status=problem.status.value, code=problem.code)
            raise
        if answer.status >= HTTPStatus.BAD_REQUEST:
            await entry.write(writes, "command.refused", status=answer.status, code=_code_of(answer))
        return as_it_is(answer)

    return handle


class Entry:
    """What the audit log says of a command that is sent on: before it is sent, and once more where it is refused or
    where no answer comes. Ids only: nothing of its body."""

    def __init__(self, command: OwnerRoute, caller: Principal, request: web.Request) -> None:
        path = request.match_info
        self._actor = caller.name
        self._subject = "/".join(as_id(value) for name, value in path.items() if name not in NO_IDS)
        self._detail: dict[str, Any] = {
            "service": command.owner,
            "permission": command.permission,
            "route": f"{command.method} {command.path}",
        }

    async def write(self, writes: AsyncEngine, kind: str, **more: int | str) -> None:
        async with writes.begin() as connection:
            await audit_log.record(connection, self._actor, kind, self._subject, **self._detail, **more)


def as_id(given: str) -> str:
    """What looks like no id could be anything: a part of its SHA-256 stands for it."""
    return given if IDENT.fullmatch(given) else f"sha256:{hashlib.sha256(given.encode()).hexdigest()[:24]}"


def as_it_is(answer: Response) -> web.Response:
    headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _code_of(answer: Response) -> str:
    """Of a problem."""
    if media_of(answer) != PROBLEM:
        return ""
    try:
        code = orjson.loads(answer.body).get("code")
    except (ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) and CODE.fullmatch(code) else ""
