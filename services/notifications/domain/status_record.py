"""The record of an order's emails and webhook deliveries on `messages.status.v1`: whole, as they are now."""

from __future__ import annotations

from services.notifications.domain.notification_log import Email, NotificationLog, WebhookDelivery
from shared.contracts.notifications import EmailStatus, MessageStatusRecord, WebhookStatus
from shared.core.quick_models import build

MOST = 500
"""Emails and webhook deliveries of one record, so that it fits into a message."""
MANY, SHORT = 50, 100
"""With more of them, texts have so many characters at most."""


def is_told(before: NotificationLog, after: NotificationLog) -> bool:
    """When something has arrived, is lost or in doubt. What is still pending holds nothing up: a webhook that is not
    answered is tried for days."""
    if after.erased_at != before.erased_at:
        return bool(before.updated_at)
    if after.emails == before.emails and after.deliveries == before.deliveries:
        return False
    known = {one.id: one.state for one in before.messages}
    arrived = any(one.state not in ("pending", known.get(one.id)) for one in after.messages)
    return arrived or _is_news(before, after)


def _is_news(before: NotificationLog, after: NotificationLog) -> bool:
    """Whether something is lost or in doubt that was not told so: it was not before, or a worker of an older build
    decided it, which tells no records."""
    wrong = [(one.id, one.state, since) for one in after.messages if (since := one.wrong_since)]
    if not wrong:
        return False
    told = before.updated_at
    known = {(one.id, one.state) for one in before.messages if one.wrong_since}
    return any(told is None or (id, state) not in known or since > told for id, state, since in wrong)


def last_record(log: NotificationLog) -> MessageStatusRecord | None:
    """What is told last, as it is now; None if nothing was told of it yet."""
    return status_record(log) if log.updated_at else None


def status_record(log: NotificationLog) -> MessageStatusRecord:
    assert log.updated_at is not None
    messages = log.messages
    left_out = _left_out(log) if len(messages) > MOST else frozenset()
    longest = SHORT if len(messages) > MANY else None
    return build(
        MessageStatusRecord,
        number=log.number,
        store=log.store.id,
        revision=log.revision,
        updated_at=log.updated_at,
        emails=tuple(_email(it, longest) for it in log.emails if it.id not in left_out),
        webhooks=tuple(_webhook(it, longest) for it in log.deliveries if it.id not in left_out),
        left_out=len(left_out),
    )


def _left_out(log: NotificationLog) -> frozenset[str]:
    """First what has arrived, then what is lost or pending, each from the earliest fact on."""
    order = {fact.name: number for number, fact in enumerate(log.facts)}
    arrived = ("sent", "delivered", "removed")
    ranked = sorted(log.messages, key=lambda one: (one.state not in arrived, order.get(one.fact, 0)))
    return frozenset(one.id for one in ranked[:-MOST])


def _email(email: Email, longest: int | None) -> EmailStatus:
    return build(
        EmailStatus,
        message=email.id,
        fact=email.fact,
        template=email.template,
        audience=email.audience,
        state=email.state,
        attempts=email.attempts,
        at=email.at,
        code=email.code,
        text=(email.text or "")[:longest],
        in_doubt=email.in_doubt is not None,
    )


def _webhook(delivery: WebhookDelivery, longest: int | None) -> WebhookStatus:
    return build(
        WebhookStatus,
        message=delivery.id,
        fact=delivery.fact,
        event=delivery.event,
        endpoint=delivery.endpoint,
        state=delivery.state,
        attempts=delivery.attempts,
        at=delivery.at,
        text=(delivery.text or "")[:longest],
    )
