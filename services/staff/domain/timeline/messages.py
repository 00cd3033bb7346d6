"""What notifications tells of an order's emails and webhook deliveries, in words: the facts, and the record of how each
ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from services.staff.domain.archive import EventRow
from services.staff.domain.timeline.entry import (
    SYSTEM,
    OrderWords,
    TimelineEntry,
    Told,
    counted,
    sentences,
    spaced,
    tells,
    told,
)
from shared.contracts import notifications
from shared.contracts.notifications import EmailStatus, MessageStatusRecord, WebhookStatus

SENT, FAILED, SETTLED = "email.sent", "email.failed", "email.settled"
DELIVERED, EXHAUSTED = "webhook.delivered", "webhook.exhausted"
PAUSED, REMOVED = "webhook.paused", "webhook.removed"
FACTS = (SENT, FAILED, SETTLED, DELIVERED, EXHAUSTED)
"""Those that say how an email or webhook delivery ended."""


@tells(notifications.EmailSent)
def sent(event: notifications.EmailSent, order: OrderWords, row: EventRow) -> Told:
    return told(f"{_email(event.audience)} sent: {event.template}.", message=event.message)


@tells(notifications.EmailFailed)
def failed(event: notifications.EmailFailed, order: OrderWords, row: EventRow) -> Told:
    text = f"{_email(event.audience)} failed: {event.template}."
    return told(text, message=event.message, code=event.code, error=event.text)


@tells(notifications.EmailResent)
def resent(event: notifications.EmailResent, order: OrderWords, row: EventRow) -> Told:
    return told(f"{_email(event.audience)} is being sent again: {event.template}.", message=event.message)


@tells(notifications.EmailSettled)
def settled(event: notifications.EmailSettled, order: OrderWords, row: EventRow) -> Told:
    text = f"{_email(event.audience)} settled manually as {spaced(event.outcome)}: {event.template}. {event.reason}"
    return told(text, message=event.message, outcome=event.outcome)


@tells(notifications.WebhookDelivered)
def delivered(event: notifications.WebhookDelivered, order: OrderWords, row: EventRow) -> Told:
    return told(_accepted(event.endpoint, event.event, event.attempts), message=event.message)


@tells(notifications.WebhookExhausted)
def exhausted(event: notifications.WebhookExhausted, order: OrderWords, row: EventRow) -> Told:
    text = f"Webhook {event.endpoint} did not accept {event.event} after {counted(event.attempts, 'attempt')}."
    return told(text, message=event.message, error=event.text)


@tells(notifications.WebhooksReplayed)
def replayed(event: notifications.WebhooksReplayed, order: OrderWords, row: EventRow) -> Told:
    return told(f"Sending {counted(len(event.messages), 'webhook')} again.", messages=[*event.messages])


@tells(notifications.NotificationsRefused)
def refused(event: notifications.NotificationsRefused, order: OrderWords, row: EventRow) -> Told:
    return told(f"{event.command} was refused: {event.text}", code=event.code)


def _email(audience: str) -> str:
    return f"Email to {'the customer' if audience == 'customer' else 'staff'}"


def _accepted(endpoint: str, event: str, attempts: int) -> str:
    return f"Webhook {endpoint} accepted {event} on attempt {attempts}."


# The record

Known = Collection[tuple[str, str]]
"""Message and type of facts that the archive has."""


def ended(record: MessageStatusRecord, known: Known) -> Iterator[TimelineEntry]:
    """An entry for each email and webhook delivery that has ended, unless a fact tells it."""
    for email in record.emails:
        if made := _email_ended(email, known):
            yield made
    for webhook in record.webhooks:
        if made := _webhook_ended(webhook, known):
            yield made


def _email_ended(email: EmailStatus, known: Known) -> TimelineEntry | None:
    what = {"sent": SENT, "failed": FAILED, "unknown": FAILED}.get(email.state)
    if what is None or (email.message, what) in known:
        return None
    text = f"{_email(email.audience)} {'sent' if what == SENT else 'failed'}: {email.template}."
    return _entry(email, what, sentences(text, email.text), code=email.code)


def _webhook_ended(webhook: WebhookStatus, known: Known) -> TimelineEntry | None:
    about = f"Webhook {webhook.endpoint}"
    match webhook.state:
        case "delivered":
            what, text = DELIVERED, _accepted(webhook.endpoint, webhook.event, webhook.attempts)
        case "exhausted":
            after = counted(webhook.attempts, "attempt")
            what, text = EXHAUSTED, sentences(f"{about} did not accept {webhook.event} after {after}", webhook.text)
        case "paused":
            what, text = PAUSED, f"{about} is paused: {webhook.event} is not sent."
        case "removed":
            what, text = REMOVED, f"{about} was removed: {webhook.event} is not sent."
        case _:
            return None
    return None if (webhook.message, what) in known else _entry(webhook, what, text)


def _entry(one: EmailStatus | WebhookStatus, what: str, text: str, **detail: Any) -> TimelineEntry | None:
    if one.at is None:
        return None
    words = told(text, message=one.message, attempts=one.attempts, **detail)
    return TimelineEntry(one.message, one.at, SYSTEM, "notifications", what, words.text, words.detail)
