"""Notifications' tables, how its states become rows, and what the gateways and HTTP read. Migrations create them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications.domain.feed import recipient_of
from services.notifications.domain.operations import FeedEntry, MailAttempt, WebhookDeliveryAttempt
from services.notifications.domain.state import Endpoint, Endpoints, NotificationLog
from services.notifications.gateways.lost import LostUnreadable
from services.notifications.gateways.webhook import EndpointsUnreadable
from shared.core import codec
from shared.shell.ports.tables import RecordTable, StateTable, Storage
from shared.shell.postgres.tables import state_table

metadata = sa.MetaData()

threads = state_table(
    "threads",
    metadata,
    sa.Column("number", sa.Text),
    sa.Column("store", sa.Text),
    sa.Column("recipient", sa.Text),
    sa.Column("pending", sa.Integer),
    sa.Column("lost_mails", sa.Integer),
    sa.Column("lost_postings", sa.Integer),
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
    # The reader's own marks, set by HTTP; nothing else follows from them.
    sa.Column("read_at", sa.DateTime(timezone=True)),
    sa.Column("archived_at", sa.DateTime(timezone=True)),
)
mail_attempts = sa.Table(
    "mail_attempts",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("result", sa.Text, nullable=False),
)
posting_attempts = sa.Table(
    "posting_attempts",
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


def thread_columns(thread: NotificationLog) -> Mapping[str, Any]:
    return {
        "number": thread.number,
        "store": thread.store.id,
        "recipient": recipient_of(thread.store.id, thread.customer),
        "pending": thread.pending(),
        "lost_mails": thread.lost_mails(),
        "lost_postings": thread.lost_postings(),
    }


storage = Storage(
    metadata=metadata,
    states=[
        StateTable(Endpoints, endpoints, store=lambda key, known: key),
        StateTable(NotificationLog, threads, thread_columns, lambda key, thread: thread.store.id),
    ],
    records=[
        RecordTable(FeedEntry, feed_entries),
        RecordTable(MailAttempt, mail_attempts),
        RecordTable(WebhookDeliveryAttempt, posting_attempts),
    ],
)


async def read_thread(engine: AsyncEngine, order: str) -> NotificationLog | None:
    thread: NotificationLog | None = await _read(engine, threads, NotificationLog, order)
    return thread


async def read_endpoints(engine: AsyncEngine, store: str) -> Endpoints:
    return await _read(engine, endpoints, Endpoints, store) or Endpoints()


async def _read(engine: AsyncEngine, table: sa.Table, kind: type[Any], key: str) -> Any:
    async with engine.connect() as connection:
        query = sa.select(sa.cast(table.c.data, sa.Text)).where(table.c.key == key)
        data = (await connection.execute(query)).scalar_one_or_none()
    return None if data is None else codec.load(kind, data)


class StoredEndpoints:
    """The gateway's endpoint book: rows of ours, remembered for a moment, since every posting asks."""

    FRESH = 1.0
    """Seconds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, Endpoints]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def find(self, store: str, endpoint: str) -> Endpoint | None:
        async with self._reading.setdefault(store, asyncio.Lock()):
            read_at, known = self._known.get(store, (0.0, Endpoints()))
            if not read_at or time.monotonic() - read_at > self.FRESH:
                try:
                    known = await read_endpoints(self._engine, store)
                except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
                    raise EndpointsUnreadable from error
                self._known[store] = (time.monotonic(), known)
        return known.find(endpoint)


class StoredLost:
    """The orders that lost something: rows of ours, found by a partial index."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, store: str, column: str, after: str, limit: int) -> list[tuple[str, NotificationLog]]:
        query = (
            sa.select(threads.c.key, sa.cast(threads.c.data, sa.Text))
            .where(threads.c.store == store, threads.c[column] > 0, threads.c.key > after)
            .order_by(threads.c.key)
            .limit(limit)
        )
        try:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        except (sa.exc.SQLAlchemyError, OSError, TimeoutError) as error:
            raise LostUnreadable(type(error).__name__) from error
        return [(key, codec.load(NotificationLog, data)) for key, data in rows]
