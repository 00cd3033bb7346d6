"""An order's notifications and a store's lost messages, for staff."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifications.answers import LostMessage, OrderNotifications
from services.notifications.domain.feed import customer_recipient, staff_recipient
from services.notifications.domain.lost_messages import lost_in
from services.notifications.domain.notification_log import Email, NotificationLog, WebhookDelivery
from services.notifications.domain.operations import FindLost
from services.notifications.storage import StoredLost, delivery_attempts, email_attempts, read_notification_log
from shared.shell.http.access import RequestHandler
from shared.shell.http.declaration import Declaration, DeclaredResponse, Holds, Json, Query
from shared.shell.http.problems import json_response, not_found
from shared.shell.http.requests import UtcMoment, Words, query_in
from shared.shell.http.web import READ_REFUSED
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.tables import WrittenByNewer
from shared.shell.postgres.tables import read_state
from shared.shell.postgres.waiting import waiting

PAGE = 200
"""Orders of one page of lost messages."""

Attempts = Mapping[str, Sequence[Mapping[str, Any]]]
"""By message id, in order."""


class LostQuery(Query):
    what: Literal["mails", "webhooks"] = "mails"
    """`mails` or `webhooks`. Missing: both."""
    since: UtcMoment | None = None
    """The beginning of the period."""
    until: UtcMoment | None = None
    """Its end, which does not belong to it. Missing: now."""
    endpoint: Words | None = None
    """Only what was lost of this webhook endpoint."""
    after: Words = ""
    """The `next` of the previous page."""


@dataclass(frozen=True, slots=True)
class LostPage:
    """A page of emails and webhook deliveries that were lost."""

    lost: Annotated[list[Json], Holds(list[LostMessage])]
    """An order whose messages only a newer build can read is one entry, with `newer`."""
    next: str | None
    """The `after` of the next page; null on the last one."""


NOTIFICATIONS = Declaration(
    "An order's emails, webhook deliveries and feeds", (DeclaredResponse(OrderNotifications),), refused=READ_REFUSED
)
LOST = Declaration("A store's lost emails or webhook deliveries", (DeclaredResponse(LostPage),), query=LostQuery)


def order_notifications(api: HttpApi) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        log = await read_notification_log(api.engine, key)
        if log is None:
            raise not_found("order")
        calls = {str(one.operation.get("message_id")): one.as_json() for one in await waiting(api.engine, key)}
        async with api.engine.connect() as connection:
            attempts = await _attempts(connection, key)
        return json_response(
            {
                "order": key,
                "number": log.number,
                "store": log.store.id,
                "feeds": {
                    "customer": customer_recipient(log.store.id, log.customer),
                    "staff": staff_recipient(log.store.id),
                },
                "facts": [{"name": fact.name, "at": fact.at} for fact in log.facts],
                "mails": [email_view(email, attempts, calls.get(email.id)) for email in log.emails],
                "webhooks": [delivery_view(one, attempts, calls.get(one.id)) for one in log.deliveries],
            }
        )

    return handle


def lost_messages(api: HttpApi) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        query, store = query_in(request, LostQuery), request.match_info["store"]
        period = FindLost(
            store=store,
            what="emails" if query.what == "mails" else "deliveries",
            since=query.since or datetime.min.replace(tzinfo=UTC),
            until=query.until or datetime.max.replace(tzinfo=UTC),
            endpoint=query.endpoint,
        )
        rows = await StoredLost(api.engine).rows(store, f"lost_{period.what}", query.after, PAGE)
        lost = [{"order": row.key, "number": row.number, **view} for row in rows for view in _lost_of(row, period)]
        following = rows[-1].key if len(rows) == PAGE else None
        return json_response(LostPage(lost, following))

    return handle


def _lost_of(row: sa.Row[Any], period: FindLost) -> list[dict[str, Any]]:
    try:
        log = read_state(NotificationLog, row.data)
    except WrittenByNewer:
        return [{"newer": True}]
    ids = set(lost_in(log, period))
    emails = [email_view(one, {}) for one in log.emails if one.id in ids]
    return emails + [delivery_view(one, {}) for one in log.deliveries if one.id in ids]


def email_view(email: Email, attempts: Attempts, call: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`call`: as `Waiting.as_json` shows it. An email in doubt waits for a timer and has no call."""
    if call is None and email.in_doubt and email.in_doubt.next_try:
        since, next_try = email.in_doubt.since, email.in_doubt.next_try
        call = {"since": since, "attempts": email.attempts, "error": email.text, "next_try": next_try}
    return {
        "message": email.id,
        "fact": email.fact,
        "template": email.template,
        "audience": email.audience,
        "state": email.state,
        "attempts": email.attempts,
        "at": email.at,
        "code": email.code,
        "text": email.text,
        "waiting": call,
        "log": attempts.get(email.id, ()),
    }


def delivery_view(
    delivery: WebhookDelivery, attempts: Attempts, call: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "message": delivery.id,
        "fact": delivery.fact,
        "event": delivery.event,
        "endpoint": delivery.endpoint,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "at": delivery.at,
        "text": delivery.text,
        "waiting": call,
        "log": attempts.get(delivery.id, ()),
    }


async def _attempts(connection: AsyncConnection, key: str) -> Attempts:
    """Every attempt of rounds that have ended."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for table in (email_attempts, delivery_attempts):
        query = sa.select(table).where(table.c.key == key).order_by(table.c.message, table.c.at, table.c.id)
        for row in (await connection.execute(query)).mappings():
            delivered = row.get("delivered", False)
            found[row["message"]].append({"at": row["at"], "delivered": delivered, "result": row["result"]})
    return found
