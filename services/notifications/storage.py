"""Notifications' tables, which migrations create; how its states become rows; and what the gateways and HTTP read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications.domain.endpoint import Endpoint, Endpoints, OtherStores, is_store
from services.notifications.domain.feed import customer_recipient
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import endpoint_destination
from services.notifications.domain.records import EmailAttempt, FeedEntry, WebhookDeliveryAttempt
from services.notifications.gateways.lost_messages import LostUnreadable
from services.notifications.gateways.webhook import EndpointsUnreadable
from shared.shell.ports.tables import RecordTable, Search, StateTable, Storage, WrittenByNewer
from shared.shell.postgres.erasure import erasures_of, erasures_table
from shared.shell.postgres.tables import read_state, state_table

S = TypeVar("S")
LOOK_AGAIN = 0.1
"""Seconds."""


class Xid8(sa.types.UserDefinedType[int]):
    """The number of a transaction, which is never used again."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


metadata = sa.MetaData()

notification_logs = state_table(
    "notification_logs",
    metadata,
    sa.Column("number", sa.Text),
    sa.Column("store", sa.Text),
    sa.Column("recipient", sa.Text),
    sa.Column("pending", sa.Integer),
    sa.Column("lost_emails", sa.Integer),
    sa.Column("lost_deliveries", sa.Integer),
)
endpoints = state_table("endpoints", metadata)

feed_entries = sa.Table(
    "feed_entries",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("link", sa.Text),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    # Marks of the reader, set by HTTP; nothing else depends on them.
    sa.Column("read_at", sa.DateTime(timezone=True)),
    sa.Column("archived_at", sa.DateTime(timezone=True)),
    # The transactions that made it, and that changed it last; for those who follow the feed live.
    sa.Column("entered_in", Xid8, nullable=False, server_default=sa.func.pg_current_xact_id()),
    sa.Column("changed_in", Xid8, nullable=False, server_default=sa.func.pg_current_xact_id()),
)
email_attempts = sa.Table(
    "email_attempts",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("result", sa.Text, nullable=False),
)
delivery_attempts = sa.Table(
    "delivery_attempts",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("delivered", sa.Boolean, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
)


def log_columns(log: NotificationLog) -> Mapping[str, Any]:
    return {
        "number": log.number,
        "store": log.store.id,
        "recipient": customer_recipient(log.store.id, log.customer),
        "pending": log.pending(),
        "lost_emails": log.lost_emails(),
        "lost_deliveries": log.lost_deliveries(),
    }


OTHER_STORES = """
    select place from unnest(cast(:store as text[])) with ordinality as asked(store, place)
    where (select true from endpoints where key <> asked.store and data ->> 'known' = 'true' limit 1)
"""
"""Without an index: there are few stores, and it is asked of one only that is not known."""


def is_another(asked: OtherStores, row: Mapping[str, Any]) -> bool:
    """As `OTHER_STORES`."""
    return row["key"] != asked.store and row["data"].get("known") is True


erasures = erasures_table(metadata)
ERASED = (
    "delete from feed_entries f using erased e where f.order_id = e.key",
    "update email_attempts a set result = '' from erased e where a.key = e.key and a.result <> ''",
    "update delivery_attempts a set result = '' from erased e where a.key = e.key and a.result <> ''",
    "delete from operations o using erased e where o.key = e.key and o.requested_at < e.at",
)
"""What is erased besides, with an order (`erasure.py`): also what was still to be sent."""

storage = Storage(
    metadata=metadata,
    states=[
        StateTable(Endpoints, endpoints, store=lambda key, known: key),
        StateTable(NotificationLog, notification_logs, log_columns, lambda key, log: log.store.id),
    ],
    records=[
        RecordTable(FeedEntry, feed_entries),
        RecordTable(EmailAttempt, email_attempts),
        RecordTable(WebhookDeliveryAttempt, delivery_attempts),
        erasures_of(erasures),
    ],
    searches=[Search(OtherStores, endpoints, OTHER_STORES, is_another)],
)


async def read_notification_log(engine: AsyncEngine, order: str) -> NotificationLog | None:
    """Raises WrittenByNewer."""
    return await _read(engine, notification_logs, NotificationLog, order)


async def read_endpoints(engine: AsyncEngine, store: str) -> Endpoints:
    """Raises WrittenByNewer."""
    return await _read(engine, endpoints, Endpoints, store) or Endpoints()


_TRIED_AGAIN = sa.text("""
    select destination, min(requested_at) as since, count(*) as total, mode() within group (order by error) as error
    from operations
    where kind = 'PostWebhook' and error <> '' and destination = any(:destinations)
    group by destination
""")


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """Deliveries to one endpoint that it has not accepted yet."""

    count: int
    since: datetime
    """When the oldest of them was to be sent."""
    error: str
    """What it answers to most of them."""


async def read_tried_again(engine: AsyncEngine, store: str, known: Endpoints) -> dict[str, TriedAgain]:
    """By endpoint."""
    names = {endpoint_destination(store, endpoint.id): endpoint.id for endpoint in known.endpoints}
    async with engine.connect() as connection:
        rows = (await connection.execute(_TRIED_AGAIN, {"destinations": [*names]})).all()
    return {names[row.destination]: TriedAgain(row.total, row.since, row.error) for row in rows}


async def _read(engine: AsyncEngine, table: sa.Table, kind: type[S], key: str) -> S | None:
    async with engine.connect() as connection:
        query = sa.select(sa.cast(table.c.data, sa.Text)).where(table.c.key == key)
        data = (await connection.execute(query)).scalar_one_or_none()
    return None if data is None else read_state(kind, data)


async def told_of(engine: AsyncEngine, store: str, within: float) -> Endpoints:
    """The endpoints of a store. What checkout says of one that was just made takes a moment: it is waited for, if there
    are others already. Raises WrittenByNewer."""
    known = await read_endpoints(engine, store)
    if is_store(known) or not await _knows_others(engine, store):
        return known
    until = time.monotonic() + within
    while not is_store(known) and time.monotonic() < until:
        await asyncio.sleep(LOOK_AGAIN)
        known = await read_endpoints(engine, store)
    return known


async def _knows_others(engine: AsyncEngine, store: str) -> bool:
    async with engine.connect() as connection:
        return (await connection.execute(sa.text(OTHER_STORES), {"store": [store]})).first() is not None


class StoredEndpoints:
    """Endpoints for the webhook gateway: read from their rows and kept for a moment, since every attempt needs one.

    That one is removed or paused ends its deliveries, so it is never said of rows that were kept: it may have been
    registered or resumed since."""

    FRESH = 1.0
    """Seconds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, Endpoints]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def find(self, store: str, endpoint: str) -> Endpoint | None:
        async with self._reading.setdefault(store, asyncio.Lock()):
            read_at, known = self._known.get(store, (0.0, Endpoints()))
            if read_at and time.monotonic() - read_at <= self.FRESH:
                found = known.find(endpoint)
                if found is not None and not found.paused:
                    return found
            return (await self._read(store)).find(endpoint)

    async def _read(self, store: str) -> Endpoints:
        try:
            known = await read_endpoints(self._engine, store)
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError, WrittenByNewer) as error:
            raise EndpointsUnreadable from error
        self._known[store] = (time.monotonic(), known)
        return known


class StoredLost:
    """The orders that lost something, by partial indexes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, store: str, column: str, after: str, limit: int) -> list[tuple[str, NotificationLog]]:
        try:
            rows = await self.rows(store, column, after, limit)
            return [(row.key, read_state(NotificationLog, row.data)) for row in rows]
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError, WrittenByNewer) as error:
            raise LostUnreadable(type(error).__name__) from error

    async def rows(self, store: str, column: str, after: str, limit: int) -> Sequence[sa.Row[Any]]:
        """Of (key, number, data)."""
        logs = notification_logs
        query = (
            sa.select(logs.c.key, logs.c.number, sa.cast(logs.c.data, sa.Text).label("data"))
            .where(logs.c.store == store, logs.c[column] > 0, logs.c.key > after)
            .order_by(logs.c.key)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).all()
