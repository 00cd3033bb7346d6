"""What waits at the outside can be seen: since when, why, and when it is tried next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from shared.core import derived_id
from shared.core.fast_dataclasses import replace
from shared.shell.ports.rows import OperationRow
from shared.shell.ports.store import Writes
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.schema import TABLES_V1
from shared.shell.postgres.store import PostgresStore
from shared.shell.postgres.waiting import waiting, waiting_longest
from tests.integration.conftest import NewDatabase

NOW = datetime.now(UTC)


def wanted(number: int, key: str) -> OperationRow:
    at = NOW - timedelta(minutes=30 - number)
    payload = b'{"to":"ada@example.com"}'
    return OperationRow(derived_id(UUID(int=1), number, at), key, "SendEmail", payload, b"[]", at, at, "mail")


async def test_what_waits_says_since_when_why_and_when_next(new_database: NewDatabase) -> None:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in TABLES_V1:
            await connection.execute(sa.text(statement))
    store = PostgresStore(engine)
    until = datetime.now(UTC) + timedelta(minutes=1)
    held = replace(wanted(2, "o-1"), lease=1, leased_by="w", leased_until=until)
    tried = replace(wanted(1, "o-1"), lease=1, leased_by="w", leased_until=until)
    async with store.begin() as tx:
        await tx.write(Writes(operations=[tried, held, wanted(3, "o-2")]))
    later, history = NOW + timedelta(minutes=5), b'[{"at":"2026-01-01T00:00:00+00:00","error":"HTTP 503"}]'
    await store.postpone([replace(tried, due=later, attempts=1, error="HTTP 503", history=history)])

    first, second = await waiting(engine, "o-1")
    assert (first.id, second.id) == (tried.id, held.id)
    shown = first.as_json()
    assert shown | {"id": "", "since": ""} == {
        "id": "",
        "key": "o-1",
        "kind": "SendEmail",
        "destination": "mail",
        "since": "",
        "attempts": 1,
        "error": "HTTP 503",
        "next_try": later,
        "under_way": False,
        "in_doubt": False,
        "paused": "",
        "calls": [{"at": "2026-01-01T00:00:00+00:00", "error": "HTTP 503"}],
    }
    assert shown["since"] == tried.requested_at
    assert (second.under_way, second.as_json()["next_try"]) == (True, None)
    assert first.operation == {"to": "ada@example.com"}
    assert "ada@" not in repr(first) + str(shown)

    page = await waiting_longest(engine, limit=2)
    rest = await waiting_longest(engine, after=page[-1].id)
    assert [each.key for each in (*page, *rest)] == ["o-1", "o-1", "o-2"]
    assert await waiting(engine, "o-9") == []
    await engine.dispose()
