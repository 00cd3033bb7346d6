"""The audit log: one chain of all writers, and what is done to it by hand is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.audit import AuditEntry, chained
from services.staff.people import audit_log
from services.staff.people.tables import audit, audit_head
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import staff_engine


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    async with staff_engine(new_database) as engine:
        yield engine


async def written(engine: AsyncEngine, count: int = 5) -> None:
    for number in range(count):
        async with engine.begin() as connection:
            await audit_log.record(connection, f"user:{number}", "user.disabled", "someone", stores=["a", "b"])


async def by_hand(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("alter table audit disable trigger all"))
        for statement in statements:
            await connection.execute(sa.text(statement))


async def test_what_was_written_is_whole(engine: AsyncEngine) -> None:
    empty = await audit_log.verify(engine)
    await written(engine)
    verdict = await audit_log.verify(engine)
    assert (empty.entries, empty.problems) == (0, [])
    assert (verdict.entries, verdict.problems) == (5, [])
    assert len(verdict.last) == 64 and verdict.last != empty.last


async def test_many_writers_make_one_chain(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "SLICE", 7)
    await asyncio.gather(*(written(engine, 5) for _ in range(8)))
    verdict = await audit_log.verify(engine)
    assert (verdict.entries, verdict.problems) == (40, [])


async def test_what_was_rolled_back_leaves_no_gap(engine: AsyncEngine) -> None:
    await written(engine, 2)
    with pytest.raises(ZeroDivisionError):
        async with engine.begin() as connection:
            await audit_log.record(connection, "user:1", "user.disabled", "someone")
            raise ZeroDivisionError
    await written(engine, 1)
    assert await audit_log.verify(engine) == audit_log.AuditVerdict(3, (await audit_log.verify(engine)).last, [])


@pytest.mark.parametrize("statement", ["update audit set kind = 'x'", "delete from audit", "truncate audit"])
async def test_the_database_keeps_entries_as_they_are(engine: AsyncEngine, statement: str) -> None:
    await written(engine)
    with pytest.raises(sa.exc.DBAPIError, match="kept as they are"):
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        *(
            (f"update audit set {column} = {value} where number = 3", "Entry 3 is not the one")
            for column, value in (
                *(("actor", "'user:x'"), ("kind", "'user.enabled'"), ("subject", "'other'"), ("detail", "'{}'")),
                *(("at", "at + interval '1 microsecond'"), ("hash", "decode(repeat('00', 32), 'hex')")),
            )
        ),
        ("delete from audit where number = 3", "Entries between 2 and 4 are missing"),
        ("delete from audit where number = 1", "Entries between the beginning and 2 are missing"),
        ("delete from audit where number = 5", "Entries 5 to 5 are missing"),
        ("delete from audit", "Entries 1 to 5 are missing"),
        ("delete from audit_head", "What tells the last entry was removed"),
        ("update audit_head set number = 4", "Entries after 4 were added by hand"),
    ],
)
async def test_what_is_changed_or_removed_is_found(engine: AsyncEngine, statement: str, said: str) -> None:
    await written(engine)
    await by_hand(engine, statement)
    assert any(said in problem for problem in (await audit_log.verify(engine)).problems)


async def test_entries_that_are_swapped_are_found(engine: AsyncEngine) -> None:
    await written(engine)
    swap = "update audit set number = case number when -2 then 4 when -4 then 2 else -number end where number in "
    await by_hand(engine, f"{swap} (2, 4)", f"{swap} (-2, -4)")
    problems = (await audit_log.verify(engine)).problems
    assert {problem.split(" is")[0] for problem in problems} >= {"Entry 2", "Entry 4"}


async def test_a_row_that_is_swapped_with_its_hash_is_found(engine: AsyncEngine) -> None:
    await written(engine)
    columns = "actor, kind, subject, detail, at, hash"
    old = "(select * from audit where number in (2, 4))"
    await by_hand(
        engine,
        f"with old as {old} update audit set ({columns}) = (select {columns} from old where "
        "old.number = 6 - audit.number) where number in (2, 4)",
    )
    assert (await audit_log.verify(engine)).problems


async def test_an_entry_that_is_added_with_the_right_hash_is_found(engine: AsyncEngine) -> None:
    await written(engine)
    async with engine.begin() as connection:
        last = (await connection.execute(sa.select(audit_head.c.hash))).scalar_one()
        entry = AuditEntry(6, datetime.now(UTC), "user:x", "user.disabled", "someone", "{}")
        values = {name: getattr(entry, name) for name in AuditEntry.__dataclass_fields__}
        await connection.execute(sa.insert(audit).values(**values, hash=chained(last, entry)))
    assert (await audit_log.verify(engine)).problems == ["Entries after 5 were added by hand."]
