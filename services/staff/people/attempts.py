"""Counts wrong sign-ins, for accounts that there are and those that there are not alike."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta
from http import HTTPStatus

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.domain.delay import FORGOTTEN, OF_ACCOUNT, OF_ADDRESS, Slowing
from services.staff.people.tables import sign_in_attempts
from shared.shell.http.limits import client_of
from shared.shell.http.problems import ProblemResponse

Attempt = dict[bytes, Slowing]
"""What an attempt counts for, by its digest."""


def at_password(account: str, address: str) -> Attempt:
    return {_digest("account", account): OF_ACCOUNT, _digest("address", client_of(address)): OF_ADDRESS}


def at_second_factor(user: str) -> Attempt:
    return {_digest("second factor", user): OF_ACCOUNT}


async def begin(engine: AsyncEngine, attempt: Attempt, now: datetime) -> None:
    """Count it as a wrong one, before it is known to be, so that many at once are not free. Raises ProblemResponse
    (429) if it comes too early."""
    wait = 0.0
    async with engine.begin() as connection:
        for digest, slowing in sorted(attempt.items()):
            wait = max(wait, await _counted(connection, digest, slowing, now))
        if wait:
            await connection.rollback()
    if wait:
        title = "There were too many wrong sign-ins. Try again later."
        raise ProblemResponse(HTTPStatus.TOO_MANY_REQUESTS, title, "too_many_requests", retry_after=math.ceil(wait))


async def succeeded(connection: AsyncConnection, attempt: Attempt) -> None:
    """The account's wrong ones are forgotten; of the address, which may try many accounts, only this one."""
    for digest, slowing in sorted(attempt.items()):
        table, of_it = sign_in_attempts, sign_in_attempts.c.digest == digest
        if slowing is OF_ADDRESS:
            fewer = {table.c.failures: table.c.failures - 1, table.c.next_at: table.c.last_at}
            await connection.execute(sa.update(table).where(of_it).values(fewer))
        else:
            await connection.execute(sa.delete(table).where(of_it))


async def _counted(connection: AsyncConnection, digest: bytes, slowing: Slowing, now: datetime) -> float:
    """Seconds that are left to wait; 0: it is counted."""
    table, of_it = sign_in_attempts, sign_in_attempts.c.digest == digest
    first = {"digest": digest, "failures": 0, "last_at": now, "next_at": now}
    await connection.execute(postgresql.insert(table).values(first).on_conflict_do_nothing())
    kept = (await connection.execute(sa.select(table).where(of_it).with_for_update())).one()
    if kept.next_at > now:
        return float((kept.next_at - now).total_seconds())
    failures = 1 if kept.last_at < now - FORGOTTEN else kept.failures + 1
    later = now + timedelta(seconds=slowing.wait(failures))
    change = {"failures": failures, "last_at": now, "next_at": later}
    await connection.execute(sa.update(table).where(of_it).values(change))
    return 0.0


def _digest(kind: str, what: str) -> bytes:
    return hashlib.sha256(f"{kind}\x00{what}".encode()).digest()
