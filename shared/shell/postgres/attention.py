"""What waits for staff in every service's database, and all that waits in one of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.plurals import counted
from shared.shell.ports.attention import Attention, AttentionList, AttentionReader
from shared.shell.ports.rows import NEWER
from shared.shell.postgres.oldest import oldest
from shared.shell.service.service import Service

LATE = "5 minutes"
IN_DOUBT = "15 minutes"
"""Calls without an answer are made again by themselves; after so long staff may know more."""
DATA_EXCEPTION = "22"
"""Begins the SQLSTATE of an error in what a row says."""
UNLIKE = (TypeError, ValueError, LookupError, AttributeError)
"""Raised by what makes an entry of a row in which something is missing."""
REASON = 200
"""Characters of an error that are shown."""

_PARKED = """
    select key, min(parked_at) as since, count(*) as total,
        (array_agg(kind order by id) filter (where reason <> 'behind'))[1] as kind,
        (array_agg(error order by id) filter (where reason <> 'behind'))[1] as error,
        (array_agg(reason order by id) filter (where reason <> 'behind'))[1] as reason
    from parked group by key
"""
_UNDELIVERABLE = """
    select id, topic, key, refused_at as since, reason,
        (select count(*) from undeliverable b where b.topic = u.topic and b.key = u.key) as total
    from undeliverable u where reason <> ''
"""
_PAUSED = "select name, paused_at as since, reason from destinations"
_LATE_TIMERS = f"""
    select kind, min(due) as since, count(*) as total from timers
    where due < clock_timestamp() - interval '{LATE}' group by kind
"""
_IN_DOUBT = f"""
    select key, kind, requested_at as since, attempts, error from operations
    where in_doubt and requested_at < clock_timestamp() - interval '{IN_DOUBT}'
        and coalesce(leased_until, '-infinity') < clock_timestamp()
"""


_WHY = {NEWER: "waits for a newer build"}


async def attention(connection: AsyncConnection, service: Service) -> AttentionList:
    """Everything of a service that waits for staff, the oldest first. Raises SQLAlchemyError."""
    found = [
        *await _parked(connection, service.name),
        *await _undeliverable(connection, service.name),
        *await _paused(connection, service.name),
        *await _late_timers(connection),
        *await _in_doubt(connection, service.name),
    ]
    unreadable = []
    for what, read in service.attention.items():
        entries = await _read(connection, read)
        if entries is None:
            unreadable.append(what)
        else:
            found += entries
    return AttentionList(sorted(found, key=lambda entry: entry.since), unreadable)


async def _read(connection: AsyncConnection, read: AttentionReader) -> Sequence[Attention] | None:
    """None where a row has another shape: of a newer build, or damaged. Its data is not shown."""
    try:
        return await read(connection)
    except sa.exc.DBAPIError as error:
        if not str(getattr(error.orig, "sqlstate", "")).startswith(DATA_EXCEPTION):
            raise
        await connection.rollback()
    except UNLIKE:
        pass
    return None


async def _parked(connection: AsyncConnection, service: str) -> list[Attention]:
    def entry(row: Any) -> Attention:
        why = f"{row.kind or 'a message'} {_WHY.get(row.reason, 'could not be handled')}: {(row.error or '')[:REASON]}"
        command = f"orderbus parked show {shlex.quote(row.key)} --service {service}"
        return Attention("parked", row.key, row.since, why, command, row.total)

    return await oldest(connection, _PARKED, entry)


async def _undeliverable(connection: AsyncConnection, service: str) -> list[Attention]:
    def entry(row: Any) -> Attention:
        why = f"Kafka refuses record {row.id} for {row.topic}: {row.reason[:REASON]}"
        command = f"orderbus undeliverable show {service} {row.id}"
        return Attention("undeliverable", row.key, row.since, why, command, row.total)

    return await oldest(connection, _UNDELIVERABLE, entry)


async def _paused(connection: AsyncConnection, service: str) -> list[Attention]:
    def entry(row: Any) -> Attention:
        command = f"orderbus resume {service} {shlex.quote(row.name)}"
        return Attention("paused", row.name, row.since, f"Calls are paused: {row.reason[:REASON]}", command)

    return await oldest(connection, _PAUSED, entry)


async def _late_timers(connection: AsyncConnection) -> list[Attention]:
    reason = "Due, but not handled: no worker is running, or this version cannot read them"

    def entry(row: Any) -> Attention:
        return Attention("late timers", row.kind, row.since, reason, "orderbus doctor", row.total)

    return await oldest(connection, _LATE_TIMERS, entry)


async def _in_doubt(connection: AsyncConnection, service: str) -> list[Attention]:
    def entry(row: Any) -> Attention:
        why = f"{row.kind} has no known outcome after {counted(row.attempts, 'attempt')}: {row.error[:REASON]}"
        command = f"orderbus waiting {shlex.quote(row.key)} --service {service}"
        return Attention("in doubt", row.key, row.since, why, command)

    return await oldest(connection, _IN_DOUBT, entry)
