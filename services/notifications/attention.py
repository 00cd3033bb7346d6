"""Emails and webhook deliveries that are late or lost, paused endpoints, and what staff have not read."""

from __future__ import annotations

import shlex
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.plurals import counted
from shared.shell.ports.attention import Attention
from shared.shell.postgres.oldest import oldest

LATE = "15 minutes"
_LATE_CALLS = f"""
    select min(requested_at) as since, count(*) as total, destination, mode() within group (order by error) as error
    from operations
    where {{calls}} and error <> '' and requested_at < clock_timestamp() - interval '{LATE}'
        and destination not in (select name from destinations)
    group by destination
"""
_LATE_EMAILS = _LATE_CALLS.format(calls="kind = 'SendEmail' and attempts > 0 and not in_doubt")
_LATE_DELIVERIES = _LATE_CALLS.format(calls="kind = 'PostWebhook'")
_LOST_EMAILS = """
    select l.store, e.value ->> 'state' as state, count(*) as total, min((e.value ->> 'at')::timestamptz) as since,
        min(l.number) as number, mode() within group (order by e.value ->> 'code') as code
    from notification_logs l, jsonb_array_elements(coalesce(l.data -> 'emails', '{}')) e
    where l.lost_emails > 0 and e.value ->> 'state' in ('failed', 'unknown')
    group by l.store, state
"""
_LOST_DELIVERIES = """
    select l.store, d.value ->> 'endpoint' as endpoint, d.value ->> 'state' as state, count(*) as total,
        min((d.value ->> 'at')::timestamptz) as since, min(d.value ->> 'text') as text
    from notification_logs l, jsonb_array_elements(coalesce(l.data -> 'deliveries', '{}')) d
    where l.lost_deliveries > 0 and d.value ->> 'state' in ('exhausted', 'paused')
    group by l.store, endpoint, state
"""
_PAUSED_ENDPOINTS = """
    select s.key as store, e.value ->> 'id' as endpoint, e.value ->> 'reason' as reason, s.changed_at as since
    from endpoints s,
        jsonb_array_elements(case when s.data is null then '[]' else coalesce(s.data -> 'endpoints', '{}') end) e
    where e.value ->> 'paused' = 'true'
"""
"""A row without the list is an error, as one with something else in its place: it has another shape."""
_UNREAD = """
    select key, count(*) as total, min(at) as since, count(*) filter (where kind = 'new_order') as orders
    from feed_entries where read_at is null and archived_at is null and key like '%~staff'
    group by key
"""


async def late_emails(connection: AsyncConnection) -> list[Attention]:
    """Emails that have been tried without success for a while, and that nothing else in the list speaks of."""
    return await oldest(connection, _LATE_EMAILS, _late_emails)


def _late_emails(row: Any) -> Attention:
    text = f"Emails are tried again and again: {row.error}"
    return Attention("late emails", "smtp", row.since, text, "orderbus waiting --service notifications", row.total)


async def late_deliveries(connection: AsyncConnection) -> list[Attention]:
    """By endpoint: one that answers with an error, such as 401, or takes no connection."""
    return await oldest(connection, _LATE_DELIVERIES, _late_deliveries, "destination")


def _late_deliveries(row: Any) -> Attention:
    endpoint = row.destination.removeprefix("webhook:").replace(":", "/", 1)
    text = f"Webhook deliveries are tried again and again: {row.error}"
    return Attention("late webhooks", endpoint, row.since, text, "orderbus waiting --service notifications", row.total)


async def lost_emails(connection: AsyncConnection) -> list[Attention]:
    """By store: a mail server that was away for an hour loses thousands."""
    return await oldest(connection, _LOST_EMAILS, _lost_emails)


def _lost_emails(row: Any) -> Attention:
    store = shlex.quote(row.store)
    if row.state == "unknown":
        text = "Emails that may or may not have been sent: look for them in the mail server's log"
        command = f"orderbus settle mail {row.number} sent|not_sent --reason TEXT"
        return Attention("unknown emails", row.store, row.since, text, command, row.total)
    text = f"Emails were not sent (mostly {row.code or 'without a code'}); `orderbus lost {store}` lists them"
    command = f"orderbus resend --store {store} --since {row.since:%Y-%m-%dT%H:%M:%SZ}"
    return Attention("lost emails", row.store, row.since, text, command, row.total)


async def lost_deliveries(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _LOST_DELIVERIES, _lost_deliveries, "endpoint")


def _lost_deliveries(row: Any) -> Attention:
    text = f"Webhook deliveries {'ran out of attempts' if row.state == 'exhausted' else 'are paused'}: {row.text}"
    which = f"--since {row.since:%Y-%m-%dT%H:%M:%SZ} --endpoint {shlex.quote(row.endpoint)}"
    command = f"orderbus replay --store {shlex.quote(row.store)} {which}"
    return Attention(f"{row.state} webhooks", f"{row.store}/{row.endpoint}", row.since, text, command, row.total)


async def paused_endpoints(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _PAUSED_ENDPOINTS, _paused_endpoint, "endpoint")


def _paused_endpoint(row: Any) -> Attention:
    command = f"orderbus resume-webhook {shlex.quote(row.store)} {shlex.quote(row.endpoint)}"
    why = row.reason or "Paused by staff"
    return Attention("paused endpoint", f"{row.store}/{row.endpoint}", row.since, why, command)


async def unread_feeds(connection: AsyncConnection) -> list[Attention]:
    """The staff feeds: each store's is one entry."""
    return await oldest(connection, _UNREAD, _unread)


def _unread(row: Any) -> Attention:
    store = row.key.removesuffix("~staff")
    orders = f", {counted(row.orders, 'new order')} among them" if row.orders else ""
    text = f"{counted(row.total, 'unread entry', 'unread entries')}{orders}"
    return Attention(
        "staff feed", store, row.since, text, f"orderbus feed {shlex.quote(store)}", row.total, routine=True
    )


ATTENTION = {
    "late emails": late_emails,
    "lost emails": lost_emails,
    "late webhooks": late_deliveries,
    "lost webhooks": lost_deliveries,
    "paused endpoints": paused_endpoints,
    "staff feeds": unread_feeds,
}
