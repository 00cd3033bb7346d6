"""What those who start jobs may do: asked when a job is made, and again while it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.bulk import command_of, permissions_of
from services.staff.domain.jobs import JobKind
from services.staff.domain.roles import Rights
from services.staff.jobs.job import Job
from services.staff.jobs.lease import JobFailed
from services.staff.jobs.requests import BulkRequest
from services.staff.people.accounts import ACTOR, SignedIn, account_of, all_rights, read_roles
from services.staff.people.recognition import token_rights
from services.staff.people.tables import api_tokens
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse

READ, START, EXPORT, ORDERS = "job.read", "job.start", "export.make", "order.read"
TO_EXPORT = EXPORT, ORDERS
TO_STOP = {JobKind.EXPORT: (EXPORT,), JobKind.BULK: (START,)}


async def rights_now(engine: AsyncEngine, actor: str, token: str) -> Collection[Rights] | None:
    """Of a user, by their roles, and by the token that they used, if any; None for an API client, of whom the settings
    say what it may. Raises JobFailed."""
    if not actor.startswith(ACTOR):
        return None
    async with engine.connect() as connection:
        account = await account_of(connection, id=actor.removeprefix(ACTOR))
        if account is None or account.disabled_at is not None:
            raise JobFailed("The user who started this job is there no more.")
        known = await read_roles(connection)
        if not token:
            return all_rights(account, known)
        valid = sa.and_(api_tokens.c.id == token, api_tokens.c.expires_at > sa.func.now())
        row = (await connection.execute(sa.select(api_tokens).where(valid))).one_or_none()
        if row is None:
            raise JobFailed("The token by which this job was started is valid no more.")
        return token_rights(account, known, row)


def token_of(caller: Principal) -> str:
    """The id of the API token that they use; empty: none."""
    return caller.token if isinstance(caller, SignedIn) else ""


def needed_for(job: Job) -> tuple[str, ...]:
    """What one needs, in all of its stores, to make such a job, or to go on with it."""
    if job.kind is JobKind.EXPORT:
        return TO_EXPORT
    choice = BulkRequest.model_validate(job.request).choice()
    return START, ORDERS, *permissions_of(command_of(choice))


def may(rights: Collection[Rights] | None, permissions: Iterable[str], store: str) -> bool:
    """In this store."""
    return rights is None or all(any(each.include(one, store) for each in rights) for one in permissions)


def stores_with(caller: Principal, permissions: Iterable[str]) -> frozenset[str] | None:
    """The stores in which a caller has all of these; None: all. Raises ProblemResponse (403) where there is none."""
    found: frozenset[str] | None = None
    for permission in permissions:
        there = caller.where(permission)
        if not there.may(permission):
            raise ProblemResponse(HTTPStatus.FORBIDDEN, f"This needs the permission {permission}.", "forbidden")
        if there.stores is not None:
            found = there.stores if found is None else found & there.stores
    if found is not None and not found:
        title = f"There is no store in which you have {' and '.join(permissions)}."
        raise ProblemResponse(HTTPStatus.FORBIDDEN, title, "forbidden")
    return found
