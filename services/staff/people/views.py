"""What is shown of people, and what requests about them carry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.staff.domain.roles import EVERY_STORE, GivenRole, Rights, Role
from services.staff.people.accounts import Account
from services.staff.people.passwords import LONGEST, SHORTEST
from shared.contracts.values import Given

Address = Annotated[str, StringConstraints(min_length=3, max_length=254, pattern=r"^[^\s@]+@[^\s@]+$")]
"""An email address."""
NewPassword = Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST)]
AnyPassword = Annotated[str, StringConstraints(max_length=LONGEST)]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
StoreOrAll = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._:@-]{0,63})$")]
"""A store's id, or `*` for all stores."""
Pattern = Annotated[str, StringConstraints(pattern=r"^[a-z_.*]{1,60}$")]
"""A permission; `*` stands for any characters."""
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
"""Six digits of an authenticator app."""
SecondFactor = Literal["passed", "none", "needed", "to_set_up"]


class RoleInStore(Given):
    """A role that counts in one store, or in all."""

    role: RoleName
    """The role's name."""
    store: StoreOrAll
    """A store's id, or `*` for all stores."""


@dataclass(frozen=True, slots=True)
class ShownRole:
    """A role that a user has."""

    role: str
    """The role's name."""
    store: str
    """A store's id, or `*`: in all stores."""


@dataclass(frozen=True, slots=True)
class UserView:
    """Someone who may sign in."""

    id: str
    """The user's id: the actor of what they do is `user:` and this."""
    email: str
    """Their address, with which they sign in."""
    name: str
    """Their name."""
    roles: list[ShownRole]
    """What they may do, and where."""
    second_factor: bool
    """They have set one up."""
    disabled: bool
    """They may not sign in."""
    created_at: datetime
    """Since when they are known."""


@dataclass(frozen=True, slots=True)
class RightsView:
    """Permissions in some stores."""

    permissions: list[str]
    """Names of permissions; `*` stands for any characters."""
    stores: list[str]
    """Ids of stores; `*`: all of them."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """Who makes this request."""

    actor: str
    """The name of what they do, as in an order's timeline."""
    user: UserView | None
    """The user; null for an API client of the settings."""
    rights: list[RightsView]
    """What they may do now."""
    second_factor: SecondFactor
    """`needed`: send its code to `/api/v1/session/second-factor`, until then nothing is permitted. `to_set_up`: a role
    asks for one. `none`: none is asked for."""
    expires: datetime | None
    """When the session or token ends."""


def user_view(account: Account) -> UserView:
    return UserView(
        *(account.id, account.email, account.name, [ShownRole(*each) for each in account.given]),
        second_factor=account.has_second_factor,
        disabled=account.disabled_at is not None,
        created_at=account.created_at,
    )


def rights_view(rights: Iterable[Rights]) -> list[RightsView]:
    return [
        RightsView(list(each.permissions), [EVERY_STORE] if each.stores is None else sorted(each.stores))
        for each in rights
    ]


def second_factor_of(account: Account, roles: Iterable[Role], *, passed: bool) -> SecondFactor:
    """`roles`: those that there are."""
    if passed:
        return "passed"
    if account.has_second_factor:
        return "needed"
    asking = {role.name for role in roles if role.second_factor}
    return "to_set_up" if any(each.role in asking for each in account.given) else "none"


def given_roles(roles: Iterable[RoleInStore]) -> tuple[GivenRole, ...]:
    return tuple(sorted({GivenRole(each.role, each.store) for each in roles}))


class SignIn(Given):
    """The body of `POST /api/v1/session`."""

    email: Address
    """The user's address."""
    password: AnyPassword
    """Their password."""
    code: Code | None = None
    """Of their authenticator app, where they have set it up. It may be sent later, too."""


class CodeGiven(Given):
    """A code of an authenticator app."""

    code: Code
    """Six digits."""


class PasswordChange(Given):
    """The body of `POST /api/v1/session/password`."""

    old: AnyPassword
    """The password until now."""
    new: NewPassword = Field()
    """The password from now on."""
