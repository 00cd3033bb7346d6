"""What the command line does about people: the first admin, and a check of the audit log."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.roles import EVERY_STORE, GivenRole
from services.staff.people import audit_log
from services.staff.people.accounts import account_of, folded_email, read_roles
from services.staff.people.invitations import Link, invite
from services.staff.people.limits import rights_to_give
from services.staff.people.people import People
from services.staff.people.rules import PeopleRules
from services.staff.people.tables import users

ACTOR = "command line"


async def invite_by_command(
    engine: AsyncEngine, email: str, role: str, stores: Sequence[str] = (EVERY_STORE,), *, public_url: str
) -> Link:
    """A one-time link for an address: by it a new user joins with this role, and a known one gets it, too, and chooses
    a new password. Who has the database may do so: nothing is asked. Raises ProblemResponse for an unknown role."""
    people = People(engine, PeopleRules(public_url=public_url))
    try:
        async with engine.begin() as connection:
            rights_to_give([GivenRole(role, store) for store in stores], await read_roles(connection))
            known = await account_of(connection, email=folded_email(email))
            user = known.id if known else None
            link = await invite(connection, people, folded_email(email), ACTOR, role=role, stores=stores, user=user)
            await audit_log.record(connection, ACTOR, "user.invited", link.id, role=role, stores=list(stores))
        return link
    finally:
        await people.close()


async def any_user(engine: AsyncEngine) -> bool:
    """Whether a user has joined."""
    async with engine.connect() as connection:
        return bool(await connection.scalar(sa.select(sa.exists(sa.select(users.c.id)))))


async def verify_audit(engine: AsyncEngine, kept: str = "") -> list[str]:
    """What is wrong with the audit log, in words, and nothing if it is whole. `kept`: `number:hash` of an entry, noted
    earlier elsewhere: it must still be the same."""
    verdict = await audit_log.verify(engine)
    problems = list(verdict.problems)
    if kept:
        number, _, hash = kept.partition(":")
        if not number.isdigit() or await audit_log.hash_of(engine, int(number)) != hash:
            problems.append(f"Entry {number} is not the one that was noted.")
    return problems
