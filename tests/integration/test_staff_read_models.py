"""What the staff service makes of the records of simulated orders: on PostgreSQL as in memory, read in any pieces, and
in agreement with the records themselves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain import PROJECTION
from services.staff.people import tables as people_tables
from services.staff.search_text import folded
from services.staff.storage import AMOUNTS, COUNTS, metadata, read_models
from shared.contracts.envelope import BadMessage, from_headers
from shared.core.projection import Projection
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.read_models import ReadModels
from shared.shell.postgres.day_sums import wrong_sums
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.read_models import PostgresReadModels
from shared.shell.projection.projector import Projector
from shared.simulation.memory_read_models import MemoryReadModels
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase
from tests.integration.staff_records import simulated_records
from tests.integration.test_read_models import pieces, projector_of

SEEDS = (1, 2, 4)
PEOPLE = {table.name for table in vars(people_tables).values() if isinstance(table, sa.Table)}
FIGURES = (*COUNTS, *AMOUNTS)
TABLES = [table for table in metadata.sorted_tables if table.name not in PEOPLE]
"""Those that are made from records."""


def projector(models: ReadModels) -> Projector:
    return projector_of(PROJECTION, read_models, models)


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    url = await new_database("staff")
    engine = create_engine(url, "test")
    yield engine
    await engine.dispose()


async def in_database(engine: AsyncEngine) -> Mapping[str, Sequence[dict[str, Any]]]:
    found = {}
    async with engine.connect() as connection:
        for table in TABLES:
            rows = await connection.execute(sa.select(table))
            found[table.name] = [dict(row._mapping) for row in rows]
    return found


def in_memory(store: MemoryStore) -> Mapping[str, Sequence[dict[str, Any]]]:
    """With the defaults of columns that were never written."""
    found = {}
    for table in TABLES:
        blank = {column.name: _default(column) for column in table.columns}
        found[table.name] = [blank | row for row in store.rows(table.name).values()]
        for row in found[table.name]:
            if "facets" in row:
                row["facets"] = [
                    facet for part in ("order", "payment", "delivery", "message") for facet in row[f"{part}_facets"]
                ]
    return found


def _default(column: sa.Column[Any]) -> object:
    if column.server_default is None or column.computed is not None:
        return None
    return {"0": 0, "": "", "UTC": "UTC", "false": False, "{}": []}[str(column.server_default.arg)]  # type: ignore[attr-defined]


def plain(found: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, list[str]]:
    def text(row: dict[str, Any]) -> str:
        return str({name: _plain(value) for name, value in sorted(row.items())})

    counted = {**found, "day_sums": [row for row in found["day_sums"] if any(row[name] for name in FIGURES)]}
    return {name: sorted(text(row) for row in rows if row.get("count") != 0) for name, rows in counted.items()}


def _plain(value: object) -> object:
    match value:
        case tuple() | list():
            return [_plain(each) for each in value]
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Decimal():
            return int(value)
        case dict():
            return {name: _plain(each) for name, each in sorted(value.items())}
        case str():
            return "".join(value)  # of an enumeration, too
    return value


OWNERS = {topic.name: topic.owner for topic in PROJECTION.topics()}


def last_records(records: Sequence[BusRecord], topic: str) -> dict[str, dict[str, Any]]:
    """By key, the contents of the last record that its owner sent."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.topic == topic and record.value and record.key:
            with suppress(BadMessage, ValueError):
                if from_headers(record.headers, record.key).source == OWNERS[topic]:
                    found[record.key.decode()] = orjson.loads(record.value)
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_simulated_orders_look_alike_on_both_and_as_their_records_say(engine: AsyncEngine, seed: int) -> None:
    records, store = simulated_records(seed), MemoryStore()
    on_database = projector(PostgresReadModels(engine, read_models))
    for piece in pieces(random.Random(seed), records):
        await on_database.take(piece)
    await projector(MemoryReadModels(store, read_models)).take(records)

    found = await in_database(engine)

    assert plain(found) == plain(in_memory(store)), "in pieces as at once"
    orders = {row["order_id"]: row for row in found["orders"] if row["order_revision"]}
    last = last_records(records, "orders.status.v1")
    assert {key: (row["status"], row["total"], row["refunded"]) for key, row in orders.items()} == {
        key: (record["status"], record["purchased"], record["refunded"]) for key, record in last.items()
    }
    assert all(
        bytes(row["body"]) and orjson.loads(row["body"]) == last[row["order_id"]] for row in found["order_records"]
    )
    async with engine.connect() as connection:
        assert await wrong_sums(connection, read_models) == []
    paid = [record for record in last.values() if record.get("paid_at")]
    sums = [row for row in found["day_sums"] if row["about"] == "orders"]
    assert sum(row["opened"] for row in sums) == len(last)
    assert sum(row["paid"] for row in sums) == len(paid)
    for about in ("orders", "country", "source", "offer"):
        of_kind = [row for row in found["day_sums"] if row["about"] == about]
        assert sum(row["sales"] for row in of_kind) == sum(_sales(record) for record in paid), about
        assert sum(row["refunded"] for row in of_kind) == sum(record["refunded"] for record in paid), about
    counts = {(row["store"], row["status"]): row["count"] for row in found["order_counts"] if row["count"]}
    assert counts == Counter((row["store"], row["status"]) for row in orders.values())


def _sales(record: Mapping[str, Any]) -> int:
    paid: int | None = record.get("paid")
    return record["purchased"] if paid is None else paid


@pytest.mark.parametrize("seed", SEEDS)
async def test_money_and_messages_are_those_of_the_records(engine: AsyncEngine, seed: int) -> None:
    records = simulated_records(seed)
    await projector(PostgresReadModels(engine, read_models)).take(records)

    found = await in_database(engine)

    payments = last_records(records, "payments.status.v1")
    refunds = Counter[str]()
    for row in found["transactions"]:
        if row["kind"] == "refund" and row["status"] == "done":
            refunds[row["order_id"]] += row["amount"]
    assert payments
    assert refunds == Counter({key: total for key, record in payments.items() if (total := _done(record["refunds"]))})
    told = last_records(records, "messages.status.v1")
    messages = Counter(row["order_id"] for row in found["messages"])
    assert all(messages[key] == len(record["emails"]) + len(record["webhooks"]) for key, record in told.items())


def _done(refunds: Sequence[Mapping[str, Any]]) -> int:
    return sum(refund["amount"] for refund in refunds if refund["status"] == "done")


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_event_is_archived_once(engine: AsyncEngine, seed: int) -> None:
    records = simulated_records(seed)
    await projector(PostgresReadModels(engine, read_models)).take(records)

    archived = (await in_database(engine))["events"]

    kept = {topic.name for topic in PROJECTION.kept}
    assert len(archived) == len({identity(record) for record in records if record.topic in kept})
    assert {row["topic"] for row in archived} == {record.topic for record in records} & kept
    assert {bytes(row["body"]) for row in archived} <= {record.value or b"" for record in records}


def identity(record: BusRecord) -> tuple[object, ...]:
    """Of a message, however often it was sent; of what has none, its place. After a restore, a status record's id comes
    again with another time."""
    try:
        envelope = from_headers(record.headers, record.key)
    except BadMessage:
        return record.topic, record.partition, record.offset
    return envelope.source, envelope.id, envelope.time


BY_TRIGGER = ("orders", "changed_in", True)
"""The database alone writes it."""


async def test_the_migrations_make_the_tables_that_the_code_knows(engine: AsyncEngine) -> None:
    query = "select table_name, column_name, is_nullable from information_schema.columns where table_schema = 'public'"
    async with engine.connect() as connection:
        there = {(row[0], row[1], row[2] == "YES") for row in await connection.execute(sa.text(query))}
    ours = {
        (table.name, column.name, bool(column.nullable)) for table in metadata.sorted_tables for column in table.columns
    }
    own = {table.name for table in metadata.sorted_tables}
    assert {entry for entry in there if entry[0] in own} == {*ours, BY_TRIGGER}


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ärmel", "Anna Ärmel"),
        ("sergey", "Сергей Иванов"),
        ("김민", "김민수"),
        ("østergå", "OSTERGARD"),
        ("%", "100 %"),
    ],
)
async def test_a_piece_of_a_name_is_found_in_any_script(engine: AsyncEngine, typed: str, stored: str) -> None:
    async with engine.begin() as connection:
        insert = sa.text("insert into order_search (order_id, folded) values ('a', :text), ('b', 'bob@example.com')")
        await connection.execute(insert, {"text": folded(stored)})
        query = sa.text("select order_id from order_search where folded like :piece escape '!'")
        piece = folded(typed).replace("!", "!!").replace("%", "!%").replace("_", "!_")
        found = (await connection.execute(query, {"piece": f"%{piece}%"})).scalars().all()
    assert found == ["a"]


def test_each_module_fills_one_projection() -> None:
    assert isinstance(PROJECTION, Projection)
    assert {topic.name for topic in PROJECTION.topics()} == {
        *("orders.status.v1", "payments.status.v1", "deliveries.status.v1", "messages.status.v1"),
        "stores.status.v1",
        *("orders.events.v1", "payments.events.v1", "fulfillment.events.v1", "notifications.events.v1"),
    }
