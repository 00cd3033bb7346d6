"""What is kept under an order's key besides its state is erased with it: a row with a mark in every column of every
table of every service, and the mark is nowhere afterwards."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import services.checkout.storage
import services.fulfillment.storage
import services.notifications.storage
import services.payments.storage
from services.registry import SERVICES
from services.staff.erased_orders import ErasedOrders
from services.staff.storage import read_models
from shared.shell.ports.tables import Storage
from shared.shell.postgres.engine import new_engine
from shared.shell.postgres.erasure import Erasing
from shared.shell.postgres.migration import migrate
from tests.integration.conftest import NewDatabase

MARK, ORDER, OTHER = "Xenoclea", "o-erased", "o-kept"
NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(hours=1)
WEEK = timedelta(days=7)
_numbers = itertools.count(1)
KEYS = ("key", "order_key", "order_id")
OWNERS: dict[str, tuple[Storage, Sequence[str]]] = {
    "checkout": (services.checkout.storage.storage, services.checkout.storage.ERASED),
    "payments": (services.payments.storage.storage, services.payments.storage.ERASED),
    "fulfillment": (services.fulfillment.storage.storage, services.fulfillment.storage.ERASED),
    "notifications": (services.notifications.storage.storage, services.notifications.storage.ERASED),
}
PASSES = {
    "outbox": "is sent within seconds",
    "parked": "is settled before: the erasure waits behind it",
    "operations": "ends by itself",
    "timers": "have no personal data",
}
KEPT = {
    "payments": {"ledger_entries": "amounts and the provider's ids stay"},
    "checkout": {"store_changes": "is of a store"},
    "fulfillment": {
        "stock_movements": "is of a SKU",
        "codes": "are of a pool",
        "sealed_codes": "are of a pool, and sealed",
        "code_claims": "is an order that waits",
    },
}
"""Tables with such a key that stay as they are, and why. Whatever else has one is erased."""

STAYS = {
    "attempts": {"status", "currency", "provider", "reference", "code"},
    "refunds": {"refund", "status", "currency", "provider", "reference", "reason", "actor", "code"},
    "email_attempts": {"message"},
    "delivery_attempts": {"message", "endpoint", "event"},
}
"""Of rows that stay without what is personal: our own ids and words."""


class Database:
    def __init__(self, engine: AsyncEngine, service: str) -> None:
        self.engine, self.service = engine, service
        self.marked: list[str] = []

    async def mark(self, but: set[str]) -> None:
        """A row for each of the two orders in every table that has an order's key."""
        async with self.engine.begin() as connection:
            columns = await columns_of(connection)
            for table, found in columns.items():
                if table in but or not {name for name, *_ in found} & {*KEYS}:
                    continue
                self.marked.append(table)
                for order in (ORDER, OTHER):
                    await insert_marked(connection, table, found, order)

    async def found(self, order: str) -> list[str]:
        """The tables in which a row of the order has the mark."""
        async with self.engine.connect() as connection:
            places = []
            for table, columns in (await columns_of(connection)).items():
                own = [name for name, *_ in columns if name in KEYS]
                if not own:
                    continue
                rows = (await connection.execute(sa.text(f"select * from {table}"))).mappings().all()
                stays = STAYS.get(table, set())
                places += [
                    table
                    for row in rows
                    if order in (row[name] for name in own)
                    and _has_mark([value for name, value in row.items() if name not in stays])
                ]
        return sorted(set(places))


async def columns_of(connection: AsyncConnection) -> dict[str, list[tuple[str, str, bool]]]:
    """By table: name, type, and whether it is given by itself. Partitions are left out."""
    query = """select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
            a.attidentity <> '' or a.attgenerated <> '' or (a.atthasdef and a.atttypid = 'xid8'::regtype) as given
        from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition and a.attnum > 0
            and not a.attisdropped order by 1, a.attnum"""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for row in await connection.execute(sa.text(query)):
        found.setdefault(row.table, []).append((row.name, row.type, row.given))
    return found


async def insert_marked(
    connection: AsyncConnection, table: str, columns: list[tuple[str, str, bool]], order: str
) -> None:
    values: dict[str, Any] = {}
    for name, type, given in columns:
        if name in KEYS:
            values[name] = order
        elif not given:
            values[name] = _value(type)
    own = {"feed_entries": {"key": "northwind~staff"}, "role_grants": {"key": f"northwind/{MARK}/{order}"}}
    values |= own.get(table, {})
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f":{name}" for name in values)
    await connection.execute(sa.text(f"insert into {table} ({names}) values ({marks})"), values)


def _value(type: str) -> Any:
    if type.startswith("timestamp"):
        return BEFORE
    values: dict[str, Any] = {
        "text": f"{MARK}-{uuid4()}",
        "bytea": f"{MARK}-{uuid4()}".encode(),
        "text[]": [MARK],
        "jsonb": f'{{"name": "{MARK}"}}',
        "uuid": uuid4(),
        "boolean": False,
        "date": BEFORE.date(),
    }
    return values.get(type) if type in values else next(_numbers)


def _has_mark(values: Sequence[Any]) -> bool:
    return any(MARK.encode() in (each if isinstance(each, bytes) else str(each).encode()) for each in values)


@pytest.mark.parametrize("service", OWNERS)
async def test_an_owner_keeps_no_mark_of_an_erased_order(service: str, new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, service, url)
    engine = new_engine(url)
    storage, statements = OWNERS[service]
    passes = {*PASSES} - ({"operations"} if service == "notifications" else set())
    states = {state.table.name for state in storage.states}
    database = Database(engine, service)
    try:
        await database.mark(states | passes | {*KEPT.get(service, {})} | {"erasures"})
        assert len(database.marked) >= 4
        assert await database.found(ORDER) == sorted(database.marked)
        async with engine.begin() as connection:
            await connection.execute(
                sa.text("insert into erasures (key, id, at) values (:key, :id, :at)"),
                {"key": ORDER, "id": uuid4(), "at": NOW},
            )
        erasing = Erasing(engine, statements, WEEK)
        assert not await erasing.erase_new()
        assert await database.found(ORDER) == []
        assert await database.found(OTHER) == sorted(database.marked)

        late = Database(engine, service)
        await late.mark(states | passes | {*KEPT.get(service, {})} | {"erasures", "outbox_sent"})
        await erasing.erase_new()
        assert await database.found(ORDER) != [], "it is erased once at once"
        await erasing.upkeep(NOW)
        assert await database.found(ORDER) == []
    finally:
        await engine.dispose()


async def test_what_cannot_be_told_of_money_waits_for_staff(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "payments", url)
    engine = new_engine(url)
    told = {"payments.events.v1": "payment.refunded", "orders.events.v1": "order.erased"}
    insert = sa.text("""insert into undeliverable (id, topic, key, headers, body, created_at, reason)
        values (:id, :topic, :key, :headers, '', :at, 'too large')""")
    insert_erasure = sa.text("insert into erasures (key, id, at) values (:key, :id, :at)")
    try:
        async with engine.begin() as connection:
            for topic, type in {**told, "deliveries.status.v1": "delivery.status"}.items():
                headers = f'[["ce_type", "{type}"]]'
                row = {"id": next(_numbers), "topic": topic, "key": ORDER, "headers": headers, "at": BEFORE}
                await connection.execute(insert, row)
            await connection.execute(insert_erasure, {"key": ORDER, "id": uuid4(), "at": NOW})
        erasing = Erasing(engine, services.payments.storage.ERASED, WEEK)
        await erasing.erase_new()
        await erasing.upkeep(NOW)
        async with engine.connect() as connection:
            left = (await connection.execute(sa.text("select topic from undeliverable"))).scalars().all()
        assert {*left} == {*told}
    finally:
        await engine.dispose()


async def test_staff_keep_no_mark_of_an_erased_order(new_database: NewDatabase) -> None:
    url = await new_database()
    await asyncio.to_thread(migrate, "staff", url)
    engine = new_engine(url)
    shown = {table.table.name for table in read_models.shown}
    shown |= {part.table.name for table in read_models.shown for part in table.parts}
    database = Database(engine, "staff")
    try:
        await database.mark(
            shown | ({*PASSES} - {"parked"}) | {"saved_views", "outbox_sent"}
        )  # staff send nothing of orders
        assert {"events", "job_orders", "parked", "undeliverable"} <= {*database.marked}
        async with engine.begin() as connection:
            await connection.execute(
                sa.text("insert into orders (order_id, store, erased_at) values (:key, 'northwind', :at)"),
                {"key": ORDER, "at": NOW},
            )
        await _make_export(engine, "northwind", "other")
        await ErasedOrders(engine, WEEK).upkeep(NOW)
        assert await database.found(ORDER) == ["job_orders"], "its id stays, of a job that is gone soon"
        assert await database.found(OTHER) == sorted(database.marked)
        async with engine.connect() as connection:
            left = (await connection.execute(sa.text("select job from job_parts"))).scalars().all()
        assert left == ["other"], "files with orders of the store are gone"
    finally:
        await engine.dispose()


async def _make_export(engine: AsyncEngine, *stores: str) -> None:
    async with engine.begin() as connection:
        columns = (await columns_of(connection))["jobs"]
        for store in stores:
            values = {name: _value(type) for name, type, given in columns if not given}
            values |= {"id": store, "stores": [store], "file": "orders.csv", "ended_at": BEFORE}
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            await connection.execute(sa.text(f"insert into jobs ({names}) values ({marks})"), values)
            part = {"job": store, "data": MARK.encode()}
            await connection.execute(sa.text("insert into job_parts (job, number, data) values (:job, 1, :data)"), part)


def test_every_service_is_looked_at() -> None:
    assert {*OWNERS, "staff"} == {*SERVICES}
