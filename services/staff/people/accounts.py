"""Users as they are in the database, and what they may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.roles import BUILT_IN, GivenRole, Rights, Role, rights_of
from services.staff.people.tables import api_tokens, grants, passkeys, roles, sessions, users
from shared.shell.http.principals import Grant, Principal

ACTOR = "user:"
"""What the actor of a user begins with; then the user's id."""


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    email: str
    name: str
    password: str | None
    totp_secret: bytes | None
    totp_step: int | None
    created_at: datetime
    disabled_at: datetime | None
    given: tuple[GivenRole, ...] = ()
    has_passkey: bool = False

    @property
    def actor(self) -> str:
        return ACTOR + self.id

    @property
    def has_second_factor(self) -> bool:
        return self.totp_secret is not None or self.has_passkey


@dataclass(frozen=True, slots=True)
class SignedIn(Principal):
    """A user of a session or a token."""

    user: str = ""
    """The user's id."""
    session: str = ""
    """The session's id; empty: by a token."""
    token: str = ""
    """The API token's id; empty: by a session."""
    second_factor: bool = False
    """It was shown."""


def folded_email(given: str) -> str:
    """Addresses that differ in this only are of the same user."""
    return given.strip().lower()


async def read_roles(connection: AsyncConnection) -> Mapping[str, Role]:
    found = dict(BUILT_IN)
    for row in await connection.execute(sa.select(roles)):
        if row.name in BUILT_IN:
            found[row.name] = replace(BUILT_IN[row.name], second_factor=row.second_factor)
        else:
            found[row.name] = Role(row.name, tuple(row.permissions or ()), row.second_factor)
    return found


async def account_of(
    connection: AsyncConnection, *, id: str = "", email: str = "", locked: bool = False
) -> Account | None:
    """By id or address. `locked`: until the end of the transaction no one else changes it."""
    query = sa.select(users).where(users.c.id == id if id else users.c.email == email)
    row = (await connection.execute(query.with_for_update() if locked else query)).mappings().one_or_none()
    return None if row is None else (await _with_roles(connection, [row]))[0]


async def accounts_after(
    connection: AsyncConnection, stores: frozenset[str] | None, after: str, most: int
) -> Sequence[Account]:
    """In order of their ids. `stores`: only those who have a role in one of them."""
    query = sa.select(users).where(users.c.id > after).order_by(users.c.id).limit(most)
    if stores is not None:
        there = sa.select(grants.c.user_id).where(grants.c.store.in_(sorted(stores)))
        query = query.where(users.c.id.in_(there))
    return await _with_roles(connection, (await connection.execute(query)).mappings().all())


async def _with_roles(connection: AsyncConnection, rows: Sequence[sa.RowMapping]) -> list[Account]:
    query = sa.select(grants).where(grants.c.user_id.in_([row["id"] for row in rows]))
    given: dict[str, list[GivenRole]] = {}
    for each in await connection.execute(query.order_by(grants.c.role, grants.c.store)):
        given.setdefault(each.user_id, []).append(GivenRole(each.role, each.store))
    query = sa.select(passkeys.c.user_id).where(passkeys.c.user_id.in_([row["id"] for row in rows]))
    having = set((await connection.execute(query)).scalars())
    return [
        Account(**_columns(row), given=tuple(given.get(row["id"], ())), has_passkey=row["id"] in having) for row in rows
    ]


def _columns(row: sa.RowMapping) -> dict[str, Any]:
    return {column.name: row[column.name] for column in users.columns}


async def write_roles(connection: AsyncConnection, user: str, given: Iterable[GivenRole]) -> None:
    """They replace those that the user has."""
    await connection.execute(sa.delete(grants).where(grants.c.user_id == user))
    rows = [{"user_id": user, "role": each.role, "store": each.store} for each in sorted(set(given))]
    if rows:
        await connection.execute(sa.insert(grants), rows)


async def end_access(connection: AsyncConnection, user: str) -> None:
    """Their sessions and API tokens."""
    for table in (sessions, api_tokens):
        await connection.execute(sa.delete(table).where(table.c.user_id == user))


def all_rights(account: Account, known: Mapping[str, Role]) -> tuple[Rights, ...]:
    """With a second factor, where one is needed."""
    return rights_of(account.given, known, second_factor=True)


def session_rights(account: Account, known: Mapping[str, Role], *, second_factor: bool) -> tuple[Rights, ...]:
    """Of a session. Who has a second factor may do nothing without it."""
    if account.has_second_factor and not second_factor:
        return ()
    return rights_of(account.given, known, second_factor=second_factor)


def rights_of_principal(principal: Principal) -> tuple[Rights, ...]:
    """In all stores, not only where the request is about."""
    if isinstance(principal, SignedIn):
        return tuple(Rights(grant.permissions, grant.stores) for grant in principal.grants)
    return (Rights(tuple(principal.permissions), principal.stores),)


def grants_of(rights: Iterable[Rights]) -> tuple[Grant, ...]:
    return tuple(Grant(each.permissions, each.stores) for each in rights)
