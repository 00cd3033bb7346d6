"""Arrays given to PostgreSQL: what the shell does to make them quick leaves what arrives as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from asyncpg.protocol import protocol

from shared.shell.postgres.arrays import ASKED, ask_builtin_classes
from shared.shell.postgres.engine import connect
from tests.integration.conftest import NewDatabase

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
ID = UUID("0195f0c0-0000-7000-8000-000000000001")


@pytest_asyncio.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(await new_database())
    yield connection
    await connection.close()


def test_this_asyncpg_is_asked_to_look_for_builtin_classes() -> None:
    """After an update of asyncpg this may fail: see what `_is_array_iterable` asks there, and measure without it."""
    assert ask_builtin_classes()
    assert all(isinstance(getattr(protocol, name), tuple) for name in ASKED)


@pytest.mark.parametrize(
    ("type", "given", "kept"),
    [
        ("text", ["a", "", None, "{b,c}", '"'], None),
        ("text", ("a", "b"), ["a", "b"]),
        ("text", {"a": 1, "b": 2}.keys(), ["a", "b"]),
        ("text", {1: "a", 2: "b"}.values(), ["a", "b"]),
        ("text", {"a"}, ["a"]),
        ("text", frozenset({"a"}), ["a"]),
        ("text", [["a", "b"], ["c", "d"]], None),
        ("bytea", [b"a", b"", None], None),
        ("bigint", [1, -(2**63), None], None),
        ("boolean", [True, False], None),
        ("timestamptz", [NOON, None], None),
        ("uuid", [ID, None], None),
        ("uuid", [], None),
    ],
)
async def test_an_array_arrives_as_it_was_given(
    database: asyncpg.Connection, type: str, given: Any, kept: list[Any] | None
) -> None:
    assert await database.fetchval(f"select $1::{type}[]", given) == (given if kept is None else kept)


@pytest.mark.parametrize("given", ["text", b"bytes", 1, {"a": 1}, iter("ab")])
async def test_what_is_no_array_is_refused(database: asyncpg.Connection, given: Any) -> None:
    with pytest.raises(asyncpg.DataError):
        await database.fetchval("select $1::text[]", given)
