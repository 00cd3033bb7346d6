"""What those who start jobs may do: asked when a job is made, and again while it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus

from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.roles import Rights
from services.staff.jobs.lease import JobFailed
from services.staff.people.accounts import ACTOR, account_of, all_rights, read_roles
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse

READ, START, EXPORT, ORDERS = "job.read", "job.start", "export.make", "order.read"


async def rights_now(engine: AsyncEngine, actor: str) -> Collection[Rights] | None:
    """Of a user, by their roles; None for an API client, of whom the settings say what it may. Raises JobFailed."""
    if not actor.startswith(ACTOR):
        return None
    async with engine.connect() as connection:
        account = await account_of(connection, id=actor.removeprefix(ACTOR))
        if account is None or account.disabled_at is not None:
            raise JobFailed("The user who started this job is there no more.")
        return all_rights(account, await read_roles(connection))


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
