"""What a caller may change of other users: no more than they could have given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.roles import EVERY_STORE, GivenRole, Rights, Role, lacking, rights_of
from services.staff.people.accounts import Account, SignedIn, account_of, all_rights, rights_of_principal
from shared.core import Problem
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse, bad_request, not_found

INVITE, MANAGE = "user.invite", "user.manage"


def require_rights(caller: Principal, asked: Iterable[Rights], *, using: str = "") -> None:
    """`using`: the permission by which they are given or taken, which counts where it is held. Raises ProblemResponse
    (403) with what the caller lacks."""
    missing = lacking(rights_of_principal(caller), by_permission(asked, using))
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        title = f"You lack these rights yourself, so you cannot give or take them: {', '.join(missing[:5])}{more}."
        raise ProblemResponse(HTTPStatus.FORBIDDEN, title, "forbidden")


def by_permission(asked: Iterable[Rights], using: str) -> list[Rights]:
    """The rights, and the permission in each of their stores."""
    found = list(asked)
    return [*found, *(Rights((using,), each.stores) for each in found if using)]


async def changeable(connection: AsyncConnection, caller: Principal, user: str, known: Mapping[str, Role]) -> Account:
    """The user, locked, whom the caller may change: not themselves, and none who may do more. Raises
    ProblemResponse."""
    account = await visible(connection, caller, user, locked=True)
    if isinstance(caller, SignedIn) and caller.user == user:
        title = "You cannot change your own account here. Ask another admin."
        raise ProblemResponse(HTTPStatus.CONFLICT, title, "own_account")
    require_rights(caller, all_rights(account, known), using=MANAGE)
    return account


async def visible(connection: AsyncConnection, caller: Principal, user: str, *, locked: bool = False) -> Account:
    """A user who has a role in one of the stores that the request is for. Raises ProblemResponse (404)."""
    account = await account_of(connection, id=user, locked=locked)
    if account is None or not (caller.stores is None or any(each.store in caller.stores for each in account.given)):
        raise not_found("user")
    return account


def rights_to_give(given: Iterable[GivenRole], known: Mapping[str, Role]) -> tuple[Rights, ...]:
    """Raises ProblemResponse (400) for a role that there is not."""
    unknown = sorted({each.role for each in given} - known.keys())
    if unknown:
        text = f"there is no role called {', '.join(unknown)}"
        raise bad_request("A role is unknown.", [Problem(field="role", code="unknown_role", text=text)])
    return rights_of(given, known, second_factor=True)


def stores_given(stores: Iterable[str]) -> frozenset[str] | None:
    """None: all of them."""
    found = frozenset(stores)
    return None if EVERY_STORE in found else found
