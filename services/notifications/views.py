"""What was told about an order, and what a store lost, for staff."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifications.domain.feed import recipient_of, staff_of
from services.notifications.domain.operations import FindLost
from services.notifications.domain.state import Mail, WebhookDelivery
from services.notifications.gateways.lost import lost_of
from services.notifications.storage import StoredLost, mail_attempts, posting_attempts, read_thread
from shared.shell.http.web import RequestHandler, bad_request, json_response, not_found
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres.waiting import waiting

PAGE = 200
"""Orders of one page of what was lost."""

Log = Mapping[str, Sequence[Mapping[str, Any]]]
"""Tries by message id, in order."""


def order_notifications(edge: HttpApi) -> RequestHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        thread = await read_thread(edge.engine, key)
        if thread is None:
            raise not_found("order")
        waits = {str(one.operation.get("message_id")): one.as_json() for one in await waiting(edge.engine, key)}
        async with edge.engine.connect() as connection:
            log = await _log(connection, key)
        return json_response(
            {
                "order": key,
                "number": thread.number,
                "store": thread.store.id,
                "feeds": {
                    "customer": recipient_of(thread.store.id, thread.customer),
                    "staff": staff_of(thread.store.id),
                },
                "facts": [{"name": fact.name, "at": fact.at} for fact in thread.facts],
                "mails": [mail_view(mail, log, waits.get(mail.id)) for mail in thread.mails],
                "webhooks": [posting_view(one, log, waits.get(one.id)) for one in thread.postings],
            }
        )

    return handle


def lost_messages(edge: HttpApi) -> RequestHandler:
    """What a store lost: `?what=mails` or `webhooks`, `?since=`, `?until=` (ISO 8601 with a zone), `?endpoint=`,
    `?after=<next>`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        query, store = request.query, request.match_info["store"]
        what = query.get("what", "mails")
        if what not in ("mails", "webhooks"):
            raise bad_request("what is `mails` or `webhooks`.")
        wanted = FindLost(
            store=store,
            what="mails" if what == "mails" else "webhooks",
            since=_moment(query.get("since"), datetime.min.replace(tzinfo=UTC)),
            until=_moment(query.get("until"), datetime.max.replace(tzinfo=UTC)),
            endpoint=query.get("endpoint"),
        )
        column = f"lost_{'mails' if what == 'mails' else 'postings'}"
        threads = await StoredLost(edge.engine).page(store, column, query.get("after", ""), PAGE)
        lost: list[dict[str, Any]] = []
        for key, thread in threads:
            ids = set(lost_of(thread, wanted))
            views = [mail_view(m, {}) for m in thread.mails if m.id in ids]
            views += [posting_view(p, {}) for p in thread.postings if p.id in ids]
            lost += [{"order": key, "number": thread.number, **view} for view in views]
        following = threads[-1][0] if len(threads) == PAGE else None
        return json_response({"lost": lost, "next": following})

    return handle


def mail_view(mail: Mail, log: Log, waits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`waits`: its call, as `Waiting.as_json` shows it. A mail in doubt waits for a timer, and has no call."""
    if waits is None and mail.next:
        waits = {"since": mail.since, "attempts": mail.attempts, "error": mail.text, "next_try": mail.next}
    return {
        "message": mail.id,
        "fact": mail.fact,
        "template": mail.template,
        "audience": mail.audience,
        "state": mail.state,
        "attempts": mail.attempts,
        "at": mail.at,
        "code": mail.code,
        "text": mail.text,
        "waiting": waits,
        "log": log.get(mail.id, ()),
    }


def posting_view(posting: WebhookDelivery, log: Log, waits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "message": posting.id,
        "fact": posting.fact,
        "event": posting.event,
        "endpoint": posting.endpoint,
        "state": posting.state,
        "attempts": posting.attempts,
        "at": posting.at,
        "text": posting.text,
        "waiting": waits,
        "log": log.get(posting.id, ()),
    }


async def _log(connection: AsyncConnection, key: str) -> Log:
    """Every try of rounds that have ended."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for table in (mail_attempts, posting_attempts):
        query = sa.select(table).where(table.c.key == key).order_by(table.c.message, table.c.at, table.c.id)
        for row in (await connection.execute(query)).mappings():
            well = row.get("delivered", False)
            found[row["message"]].append({"at": row["at"], "delivered": well, "result": row["result"]})
    return found


def _moment(given: str | None, otherwise: datetime) -> datetime:
    if not given:
        return otherwise
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise bad_request("A time is written as 2026-03-03T14:05:00Z.") from None
    if moment.tzinfo is None:
        raise bad_request("A time needs its zone: 2026-03-03T14:05:00Z.")
    return moment
