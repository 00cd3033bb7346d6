"""What is read of an order: its records, as they are or as they were, and its archived events."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import sqlalchemy as sa
from pydantic import BeforeValidator, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.domain.archive import EVENTS, RECORDS, EventRow
from services.staff.domain.timeline.messages import FACTS
from shared.contracts import checkout, fulfillment, notifications, payments

PREFIX = "ORD-"
PARTS: Mapping[str, str] = {
    checkout.STATUS.name: "order",
    payments.STATUS.name: "payment",
    fulfillment.STATUS.name: "deliveries",
    notifications.STATUS.name: "messages",
}
"""What a status record is of, by its topic."""
EARLIER = 20
"""Records that are looked at for one time: their times are those of their senders' clocks, which may differ."""


@dataclass(frozen=True, slots=True)
class FoundOrder:
    order_id: str
    store: str
    records: Mapping[str, Any]
    """By part; parts that no record tells are missing."""

    @property
    def revisions(self) -> dict[str, int]:
        return {part: record["revision"] for part, record in self.records.items()}


_FIND = sa.text("""
    select o.order_id, o.store, r.body as "order", p.body as payment, d.body as deliveries, m.body as messages
    from orders o
    left join order_records r using (order_id)
    left join payment_records p using (order_id)
    left join delivery_records d using (order_id)
    left join message_records m using (order_id)
    where o.order_id = :name or o.number = :number
    order by (o.order_id = :name) = :by_id desc limit 1
""")


async def find_order(connection: AsyncConnection, name: str) -> FoundOrder | None:
    """By id or number, which people write in any case, with or without `ORD-`. What is written like a number is one."""
    upper = name.strip().upper()
    number = upper if upper.startswith(PREFIX) else PREFIX + upper
    values = {"name": name, "number": number, "by_id": not upper.startswith(PREFIX)}
    row = (await connection.execute(_FIND, values)).one_or_none()
    if row is None:
        return None
    records = {part: getattr(row, part) for part in PARTS.values()}
    return FoundOrder(row.order_id, row.store, {part: orjson.loads(body) for part, body in records.items() if body})


_AS_OF = sa.text("""
    select t.topic, e.body from unnest(cast(:topics as text[])) as t (topic) cross join lateral (
        select body from events
        where key = :key and topic = t.topic and at <= :at and body <> ''::bytea order by at desc limit :most
    ) e
""")


async def records_at(connection: AsyncConnection, key: str, at: datetime) -> Mapping[str, Any]:
    """The records of an order that were the latest at a time: by part, the highest revision that was told by then."""
    values = {"topics": [topic.name for topic in RECORDS], "key": key, "at": at, "most": EARLIER}
    found: dict[str, Any] = {}
    for row in await connection.execute(_AS_OF, values):
        part, record = PARTS[row.topic], orjson.loads(row.body)
        if part not in found or found[part]["revision"] < record["revision"]:
            found[part] = record
    return found


# Events

Place = tuple[datetime, int, str]
"""Time, number and id: by which events and entries are in order."""
_PLACE = '(at, sequence, cast(id as text) collate "C")'
_EVENTS = "select * from events where key = :key and topic = any(cast(:topics as text[]))"


async def find_events(
    connection: AsyncConnection, key: str, limit: int, after: Place | None, *, newest_first: bool
) -> Sequence[EventRow]:
    """A page; one more than `limit` when there are more."""
    values: dict[str, Any] = {"key": key, "topics": [topic.name for topic in EVENTS], "limit": limit + 1}
    beyond, order = "", "desc" if newest_first else "asc"
    if after:
        beyond = f" and {_PLACE} {'<' if newest_first else '>'} (:at, :sequence, :id)"
        values |= {"at": after[0], "sequence": after[1], "id": after[2]}
    sort = f'at {order}, sequence {order}, cast(id as text) collate "C" {order}'
    rows = await connection.execute(sa.text(f"{_EVENTS}{beyond} order by {sort} limit :limit"), values)
    return _events(rows)


async def find_message_facts(connection: AsyncConnection, key: str, limit: int = 2000) -> Sequence[EventRow]:
    """How emails and webhook deliveries ended, where facts tell."""
    values = {"key": key, "topics": [notifications.EVENTS.name], "types": [*FACTS], "limit": limit}
    statement = sa.text(f"{_EVENTS} and type = any(cast(:types as text[])) order by at desc limit :limit")
    return _events(await connection.execute(statement, values))


def _events(rows: Iterable[sa.Row[Any]]) -> list[EventRow]:
    return [EventRow(**{**row._mapping, "body": bytes(row.body)}) for row in rows]


# Cursors


def write_cursor(place: Place) -> str:
    at, sequence, id = place
    return base64.urlsafe_b64encode(f"{at.isoformat()} {sequence} {id}".encode()).decode()


def read_cursor(cursor: str) -> Place:
    """Raises ValueError for what `write_cursor` did not write."""
    try:
        at, sequence, id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ", 2)
    except (binascii.Error, UnicodeError):
        raise ValueError("not a cursor") from None
    moment, number = datetime.fromisoformat(at), int(sequence)
    if moment.tzinfo is None or not id or "\x00" in id or not 0 <= number < 2**63:
        raise ValueError("not a cursor")
    try:
        return moment.astimezone(UTC), number, id
    except OverflowError:
        raise ValueError("not a cursor") from None


def _given(given: object) -> object:
    try:
        return read_cursor(given) if isinstance(given, str) else given
    except ValueError:
        raise ValueError("must be the `next` of an earlier page") from None


Cursor = Annotated[Place, BeforeValidator(_given), WithJsonSchema({"type": "string"})]
"""The `next` of an earlier page, as a parameter."""
