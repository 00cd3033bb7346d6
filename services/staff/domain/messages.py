"""Emails and webhook deliveries, from `message.status`."""

from __future__ import annotations

from datetime import datetime

from services.staff.domain.projection import PROJECTION, facets
from shared.contracts.notifications import EmailStatus, MessageStatusRecord, WebhookStatus
from shared.core.projection import About, Row, Shown

LOST_EMAIL = frozenset({"failed", "unknown"})
LOST_WEBHOOK = frozenset({"exhausted", "paused"})


class MessagesRow(Row):
    """The messages' part of an order's row."""

    order_id: str
    messages_revision: int = 0
    lost_emails: int = 0
    lost_webhooks: int = 0
    """Exhausted, or paused with their endpoint."""
    messages_updated_at: datetime | None = None
    message_facets: tuple[str, ...] = ()


class MessageRow(Row):
    """An email, or a webhook delivery. Neither its text nor who it was sent to."""

    order_id: str
    channel: str
    """`email` or `webhook`."""
    id: str
    """The Message-ID or `webhook-id`."""
    store: str
    fact: str
    """What it is about: `paid`, `refunded:<refund>`."""
    name: str
    """The email's template, or the webhook's event."""
    audience: str | None
    """Whom an email is for: `customer`, `staff`."""
    endpoint: str | None
    """Where a webhook goes."""
    state: str
    attempts: int
    at: datetime | None
    """When its state became final."""
    code: str | None
    text: str
    in_doubt: bool


class MessagesRecordRow(Row):
    """The record as it was sent."""

    order_id: str
    body: bytes


@PROJECTION.shows(MessageStatusRecord, blank=MessagesRow)
def messages(record: MessageStatusRecord, about: About) -> Shown:
    key = about.key
    emails = sum(email.state in LOST_EMAIL for email in record.emails)
    webhooks = sum(webhook.state in LOST_WEBHOOK for webhook in record.webhooks)
    row = MessagesRow(
        order_id=key,
        messages_revision=record.revision,
        lost_emails=emails,
        lost_webhooks=webhooks,
        messages_updated_at=record.updated_at,
        message_facets=facets(emails="lost" if emails else None, webhooks="lost" if webhooks else None),
    )
    rows: list[Row] = [_email(record, key, email) for email in record.emails]
    rows += [_webhook(record, key, webhook) for webhook in record.webhooks]
    return Shown(row, [*rows, MessagesRecordRow(key, about.body)])


def _email(record: MessageStatusRecord, key: str, email: EmailStatus) -> MessageRow:
    return MessageRow(
        order_id=key,
        channel="email",
        id=email.message,
        store=record.store,
        fact=email.fact,
        name=email.template,
        audience=email.audience,
        endpoint=None,
        state=email.state,
        attempts=email.attempts,
        at=email.at,
        code=email.code,
        text=email.text,
        in_doubt=email.in_doubt,
    )


def _webhook(record: MessageStatusRecord, key: str, webhook: WebhookStatus) -> MessageRow:
    return MessageRow(
        order_id=key,
        channel="webhook",
        id=webhook.message,
        store=record.store,
        fact=webhook.fact,
        name=webhook.event,
        audience=None,
        endpoint=webhook.endpoint,
        state=webhook.state,
        attempts=webhook.attempts,
        at=webhook.at,
        code=None,
        text=webhook.text,
        in_doubt=False,
    )
