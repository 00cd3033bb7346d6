"""What waits for staff in every service's database, and all that waits in one of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.shell.ports.attention import MOST, Attention
from shared.shell.ports.rows import NEWER
from shared.shell.service.service import Service

LATE = "5 minutes"
IN_DOUBT = "15 minutes"
"""Calls without an answer are made again by themselves; after so long staff may know more."""
REASON = 200
"""Characters of an error that are shown."""

_PARKED = """
    select key, min(parked_at) as since, count(*) as total,
        (array_agg(kind order by id) filter (where reason <> 'behind'))[1] as kind,
        (array_agg(error order by id) filter (where reason <> 'behind'))[1] as error,
        (array_agg(reason order by id) filter (where reason <> 'behind'))[1] as reason
    from parked group by key order by since limit :most
"""
_UNDELIVERABLE = """
    select id, topic, key, refused_at as since, reason,
        (select count(*) from undeliverable b where b.topic = u.topic and b.key = u.key) as total
    from undeliverable u where reason <> '' order by refused_at limit :most
"""
_PAUSED = "select name, paused_at as since, reason from destinations order by paused_at limit :most"
_LATE_TIMERS = f"""
    select kind, min(due) as since, count(*) as total from timers
    where due < clock_timestamp() - interval '{LATE}' group by kind order by since limit :most
"""
_IN_DOUBT = f"""
    select key, kind, requested_at as since, attempts, error from operations
    where in_doubt and requested_at < clock_timestamp() - interval '{IN_DOUBT}'
        and coalesce(leased_until, '-infinity') < clock_timestamp()
    order by requested_at limit :most
"""


_WHY = {NEWER: "waits for a newer build"}


async def attention(connection: AsyncConnection, service: Service) -> list[Attention]:
    """Everything of a service that waits for staff, the oldest first. Raises SQLAlchemyError."""
    found = [
        *await _parked(connection, service.name),
        *await _undeliverable(connection, service.name),
        *await _paused(connection, service.name),
        *await _late_timers(connection),
        *await _in_doubt(connection, service.name),
    ]
    for read in service.attention:
        found += await read(connection)
    return sorted(found, key=lambda entry: entry.since)


async def _parked(connection: AsyncConnection, service: str) -> list[Attention]:
    return [
        Attention(
            "parked",
            row.key,
            row.since,
            f"{row.kind or 'a message'} {_WHY.get(row.reason, 'could not be handled')}: {(row.error or '')[:REASON]}",
            f"orderbus parked show {shlex.quote(row.key)} --service {service}",
            row.total,
        )
        for row in await _rows(connection, _PARKED)
    ]


async def _undeliverable(connection: AsyncConnection, service: str) -> list[Attention]:
    return [
        Attention(
            "undeliverable",
            row.key,
            row.since,
            f"Kafka refuses record {row.id} for {row.topic}: {row.reason[:REASON]}",
            f"orderbus undeliverable show {service} {row.id}",
            row.total,
        )
        for row in await _rows(connection, _UNDELIVERABLE)
    ]


async def _paused(connection: AsyncConnection, service: str) -> list[Attention]:
    return [
        Attention(
            "paused",
            row.name,
            row.since,
            f"Calls are paused: {row.reason[:REASON]}",
            f"orderbus resume {service} {shlex.quote(row.name)}",
        )
        for row in await _rows(connection, _PAUSED)
    ]


async def _late_timers(connection: AsyncConnection) -> list[Attention]:
    reason = "Due, but not handled: no worker is running, or this version cannot read them"
    return [
        Attention("late timers", row.kind, row.since, reason, "orderbus doctor", row.total)
        for row in await _rows(connection, _LATE_TIMERS)
    ]


async def _in_doubt(connection: AsyncConnection, service: str) -> list[Attention]:
    return [
        Attention(
            "in doubt",
            row.key,
            row.since,
            f"{row.kind} has no known outcome after {row.attempts} attempts: {row.error[:REASON]}",
            f"orderbus waiting {shlex.quote(row.key)} --service {service}",
        )
        for row in await _rows(connection, _IN_DOUBT)
    ]


async def _rows(connection: AsyncConnection, statement: str) -> Sequence[Any]:
    return (await connection.execute(sa.text(statement), {"most": MOST})).all()
