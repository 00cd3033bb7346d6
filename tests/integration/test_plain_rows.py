"""Rows that are written again and again are not compressed each time."""

from __future__ import annotations

import random

import asyncpg
import pytest

from shared.shell.postgres.schema import PASSING_BYTES, STATE_BYTES
from tests.integration.conftest import NewDatabase

STATES = {
    "checkout": "orders",
    "payments": "payments",
    "fulfillment": "deliveries",
    "notifications": "notification_logs",
}
TARGET = "select array_to_string(reloptions, ',') from pg_class where relname = $1"


def text(bytes: int) -> str:
    """That could be compressed."""
    return "".join(random.Random(bytes).choices("abcd ", k=bytes))


@pytest.mark.parametrize("service", STATES)
async def test_rows_of_the_usual_size_are_kept_as_they_are(service: str, new_database: NewDatabase) -> None:
    url, table = await new_database(service), STATES[service]
    database = await asyncpg.connect(url)
    try:
        body = text(7000).encode()
        await database.execute("insert into outbox (topic, key, headers, body) values ('t', 'k', '', $1)", body)
        assert await database.fetchval("select pg_column_compression(body) from outbox") is None
        assert f"toast_tuple_target={PASSING_BYTES}" in await database.fetchval(TARGET, "operations")
        assert f"toast_tuple_target={STATE_BYTES}" in await database.fetchval(TARGET, table)
    finally:
        await database.close()


async def test_orders_are_compressed_from_half_a_page(new_database: NewDatabase) -> None:
    url = await new_database("checkout")
    database = await asyncpg.connect(url)
    add = "insert into orders (key, version, sequence, data, changed_at) values ($1, 1, 1, to_jsonb($2::text), now())"
    try:
        await database.execute(add, "usual", text(3500))
        await database.execute(add, "large", text(4500))
        found = await database.fetch("select key, pg_column_compression(data) from orders order by key")
        assert [tuple(row) for row in found] == [("large", "pglz"), ("usual", None)]
    finally:
        await database.close()
