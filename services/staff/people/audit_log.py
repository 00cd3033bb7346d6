"""Writes, reads and checks the audit log (`domain/audit.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.staff.domain.audit import AuditEntry, Chain, chained
from services.staff.people.tables import audit, audit_head

SLICE = 5000
"""Entries that are read at once."""
Ids = str | int | bool | None | Sequence[str]


async def record(connection: AsyncConnection, actor: str, kind: str, subject: str, **detail: Ids) -> None:
    """Add an entry, in the transaction of what it is about, and last in it: until its commit, no one else adds one.
    `detail`: ids, names of roles and permissions, numbers; nothing that a user typed."""
    head = (await connection.execute(sa.select(audit_head).with_for_update())).one()
    written = orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode()
    entry = AuditEntry(head.number + 1, datetime.now(UTC), actor, kind, subject, written)
    hash = chained(head.hash, entry)
    values = {name: getattr(entry, name) for name in AuditEntry.__dataclass_fields__}
    await connection.execute(sa.insert(audit).values(**values, hash=hash))
    await connection.execute(sa.update(audit_head).values(number=entry.number, hash=hash))


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    entries: int
    last: str
    """The last entry's hash. Kept elsewhere, it shows later that nothing before it was changed."""
    problems: list[str]


async def verify(engine: AsyncEngine) -> AuditVerdict:
    """Follow the chain from its beginning, as it is at one moment."""
    chain = Chain()
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        head = (await connection.execute(sa.select(audit_head))).one_or_none()
        while rows := await _slice(connection, chain.number):
            for row in rows:
                chain.follow(entry_of(row), row["hash"])
    if head is None:
        chain.problems.append("What tells the last entry was removed.")
    else:
        chain.end(head.number, head.hash)
    return AuditVerdict(chain.number, chain.hash.hex(), chain.problems)


async def _slice(connection: AsyncConnection, after: int) -> Sequence[sa.RowMapping]:
    query = sa.select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(SLICE)
    return (await connection.execute(query)).mappings().all()


def entry_of(row: sa.RowMapping | dict[str, Any]) -> AuditEntry:
    return AuditEntry(**{name: row[name] for name in AuditEntry.__dataclass_fields__})


async def hash_of(engine: AsyncEngine, number: int) -> str:
    """Empty where there is no such entry."""
    async with engine.connect() as connection:
        query = sa.select(audit.c.hash).where(audit.c.number == number)
        found: bytes | None = (await connection.execute(query)).scalar_one_or_none()
    return found.hex() if found else ""
