"""Finds who a session or a token is of. What was found is remembered for a second, so what ends, ends within that on
every worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.domain.roles import EVERY_STORE, Rights, Role, narrowed, rights_of
from services.staff.people.accounts import Account, SignedIn, account_of, grants_of, read_roles, session_rights
from services.staff.people.credentials import API, SESSION, digest_of
from services.staff.people.rules import PeopleRules, utc_now
from services.staff.people.tables import api_tokens, sessions

REMEMBERED = 10_000
"""Tokens, those that were asked for last."""
SEEN = timedelta(minutes=1)
"""How exactly it is kept when a session or token was last used."""


class Recognition:
    """`engine`: may write, since a session's use is kept."""

    def __init__(
        self,
        engine: AsyncEngine,
        rules: PeopleRules,
        now: Callable[[], datetime] = utc_now,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._engine, self._rules, self._now, self._seconds = engine, rules, now, seconds
        self._found: OrderedDict[bytes, tuple[float, SignedIn | None]] = OrderedDict()

    async def find(self, token: str) -> SignedIn | None:
        if not token.startswith((SESSION, API)):
            return None
        digest = digest_of(token)
        until, found = self._found.get(digest, (0.0, None))
        if until > self._seconds():
            return found
        until = self._seconds() + self._rules.remembered  # from before it is read
        async with self._engine.begin() as connection:
            find = self._of_session if token.startswith(SESSION) else self._of_token
            found = await find(connection, digest)
        self._found[digest] = (until, found)
        self._found.move_to_end(digest)
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        return found

    def forget(self) -> None:
        """Something was changed here: this worker asks again at once."""
        self._found.clear()

    async def _of_session(self, connection: AsyncConnection, digest: bytes) -> SignedIn | None:
        now, table = self._now(), sessions
        row = (await connection.execute(sa.select(table).where(table.c.digest == digest))).one_or_none()
        if row is None or row.expires_at <= now or row.seen_at + self._rules.idle <= now:
            return None
        account = await account_of(connection, id=row.user_id)
        if account is None or account.disabled_at is not None:
            return None
        if row.seen_at < now - SEEN:
            await connection.execute(sa.update(table).where(table.c.digest == digest).values(seen_at=now))
        rights = session_rights(account, await read_roles(connection), second_factor=row.second_factor)
        expires = min(row.expires_at, now + self._rules.idle)
        return _principal(account, rights, expires, session=row.id, second_factor=row.second_factor)

    async def _of_token(self, connection: AsyncConnection, digest: bytes) -> SignedIn | None:
        now, table = self._now(), api_tokens
        row = (await connection.execute(sa.select(table).where(table.c.digest == digest))).one_or_none()
        if row is None or row.expires_at <= now:
            return None
        account = await account_of(connection, id=row.user_id)
        if account is None or account.disabled_at is not None:
            return None
        if row.seen_at is None or row.seen_at < now - SEEN:
            await connection.execute(sa.update(table).where(table.c.digest == digest).values(seen_at=now))
        rights = token_rights(account, await read_roles(connection), row)
        return _principal(account, rights, row.expires_at, token=row.id, second_factor=row.second_factor)


def token_rights(account: Account, known: Mapping[str, Role], row: sa.Row[Any]) -> tuple[Rights, ...]:
    """What is left of a user's rights for their token."""
    whole = rights_of(account.given, known, second_factor=row.second_factor)
    return narrowed(whole, row.permissions, None if EVERY_STORE in row.stores else frozenset(row.stores))


def _principal(
    account: Account,
    rights: tuple[Rights, ...],
    expires: datetime,
    *,
    session: str = "",
    token: str = "",
    second_factor: bool,
) -> SignedIn:
    return SignedIn(
        *(account.actor, (), frozenset()),
        expires=expires,
        grants=grants_of(rights),
        user=account.id,
        session=session,
        token=token,
        second_factor=second_factor,
    )
