"""Emails and webhook deliveries that are lost, paused endpoints, and what staff have not read."""

from __future__ import annotations

import shlex

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.shell.ports.attention import MOST, Attention

_LOST_EMAILS = """
    select l.store, e.value ->> 'state' as state, count(*) as total, min((e.value ->> 'at')::timestamptz) as since,
        min(l.number) as number, mode() within group (order by e.value ->> 'code') as code
    from notification_logs l, jsonb_array_elements(l.data -> 'emails') e
    where l.lost_emails > 0 and e.value ->> 'state' in ('failed', 'unknown')
    group by l.store, state order by since limit :most
"""
_LOST_DELIVERIES = """
    select l.store, d.value ->> 'endpoint' as endpoint, d.value ->> 'state' as state, count(*) as total,
        min((d.value ->> 'at')::timestamptz) as since, min(d.value ->> 'text') as text
    from notification_logs l, jsonb_array_elements(l.data -> 'deliveries') d
    where l.lost_deliveries > 0 and d.value ->> 'state' in ('exhausted', 'paused')
    group by l.store, endpoint, state order by since limit :most
"""
_PAUSED_ENDPOINTS = """
    select s.key as store, e.value ->> 'id' as endpoint, e.value ->> 'reason' as reason, s.changed_at as since
    from endpoints s, jsonb_array_elements(s.data -> 'endpoints') e
    where e.value ->> 'paused' = 'true' order by since limit :most
"""
_UNREAD = """
    select key, count(*) as total, min(at) as since, count(*) filter (where kind = 'new_order') as orders
    from feed_entries where read_at is null and archived_at is null and key like '%~staff'
    group by key order by since limit :most
"""


async def lost_emails(connection: AsyncConnection) -> list[Attention]:
    """By store: a mail server that was away for an hour loses thousands."""
    found = []
    for row in await connection.execute(sa.text(_LOST_EMAILS), {"most": MOST}):
        store, since = shlex.quote(row.store), f"{row.since:%Y-%m-%dT%H:%M:%SZ}"
        if row.state == "unknown":
            text = "Emails that may or may not have been sent: look for them in the mail server's log"
            command = f"orderbus settle mail {row.number} sent|not_sent --reason TEXT"
            found.append(Attention("unknown emails", row.store, row.since, text, command, row.total))
        else:
            text = f"Emails were not sent (mostly {row.code or 'without a code'}); `orderbus lost {store}` lists them"
            command = f"orderbus resend --store {store} --since {since}"
            found.append(Attention("lost emails", row.store, row.since, text, command, row.total))
    return found


async def lost_deliveries(connection: AsyncConnection) -> list[Attention]:
    found = []
    for row in await connection.execute(sa.text(_LOST_DELIVERIES), {"most": MOST}):
        store, since = shlex.quote(row.store), f"{row.since:%Y-%m-%dT%H:%M:%SZ}"
        text = f"Webhook deliveries {'ran out of attempts' if row.state == 'exhausted' else 'are paused'}: {row.text}"
        command = f"orderbus replay --store {store} --since {since} --endpoint {shlex.quote(row.endpoint)}"
        subject = f"{row.store}/{row.endpoint}"
        found.append(Attention(f"{row.state} webhooks", subject, row.since, text, command, row.total))
    return found


async def paused_endpoints(connection: AsyncConnection) -> list[Attention]:
    return [
        Attention(
            "paused endpoint",
            f"{row.store}/{row.endpoint}",
            row.since,
            row.reason or "Paused by staff",
            f"orderbus resume-webhook {shlex.quote(row.store)} {shlex.quote(row.endpoint)}",
        )
        for row in await connection.execute(sa.text(_PAUSED_ENDPOINTS), {"most": MOST})
    ]


async def unread_feeds(connection: AsyncConnection) -> list[Attention]:
    """The staff feeds: each store's is one entry."""
    return [
        Attention(
            "staff feed",
            row.key.removesuffix("~staff"),
            row.since,
            f"{row.total} unread entries, {row.orders} of them new orders",
            f"orderbus feed {shlex.quote(row.key.removesuffix('~staff'))}",
            row.total,
            routine=True,
        )
        for row in await connection.execute(sa.text(_UNREAD), {"most": MOST})
    ]


ATTENTION = (lost_emails, lost_deliveries, paused_endpoints, unread_feeds)
