"""The invariants of an order's notifications: checked by tests, the simulation and `orderbus check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from services.notifications.domain.email_draft import TEMPLATES
from services.notifications.domain.endpoint import Endpoints
from services.notifications.domain.notification_log import Email, NotificationLog, WebhookDelivery
from services.notifications.domain.operations import PostWebhook, RepetitionDue, SendEmail
from services.notifications.domain.webhook_event import subscriptions
from shared.core import NO_WORK, Work

SAME_TIME = timedelta(seconds=5)
"""An endpoint registered this shortly before a fact may or may not get its events."""
CLOCK_SKEW = timedelta(minutes=1)
"""By which the clocks of two workers may differ."""


def broken(
    log: NotificationLog, endpoints: Endpoints | None, *, at_rest: bool = False, work: Work = NO_WORK
) -> Iterator[str]:
    """Each rule that an order's notifications break, as a sentence. `at_rest`: nothing but `work` should be in
    progress."""
    yield from _wrong_emails(log)
    yield from _wrong_deliveries(log, endpoints)
    yield from _ended_early(log)
    yield from _without_reason(log)
    ids = Counter(message.id for message in log.messages)
    yield from (f"message id {id} is used {times} times" for id, times in ids.items() if times > 1)
    if at_rest:
        pending = [message for message in log.messages if message.state == "pending"]
        yield from (f"{_name(message)} is pending" for message in pending if not _is_sent(message, work))


def _is_sent(message: Email | WebhookDelivery, work: Work) -> bool:
    """Whether something is under way that may send it."""
    kinds = (SendEmail, RepetitionDue) if isinstance(message, Email) else (PostWebhook,)
    return work.to_come("notifications", kinds, message.id)


def _wrong_emails(log: NotificationLog) -> Iterator[str]:
    found = Counter((email.fact, email.template) for email in log.emails)
    due = Counter((fact.name, template) for fact in log.facts for template in TEMPLATES.get(fact.kind, ()))
    yield from (f"email {template} ({fact}) is missing" for fact, template in due - found)
    yield from (f"email {template} ({fact}) was sent more than once" for fact, template in found - due)


def _wrong_deliveries(log: NotificationLog, endpoints: Endpoints | None) -> Iterator[str]:
    found = Counter((delivery.fact, delivery.event, delivery.endpoint) for delivery in log.deliveries)
    for fact in log.facts:
        for event, endpoint in subscriptions(fact, endpoints):
            if endpoint.since <= fact.at - SAME_TIME and (fact.name, event, endpoint.id) not in found:
                yield f"{event} ({fact.name}) to endpoint {endpoint.id} is missing"
    yield from (f"{event} ({fact}) is delivered twice to {to}" for (fact, event, to), n in found.items() if n > 1)


def _ended_early(log: NotificationLog) -> Iterator[str]:
    """What timed out was really tried, until its time was over."""
    facts = {fact.name: fact.at for fact in log.facts}
    timed_out: list[tuple[Email | WebhookDelivery, timedelta | None]] = [
        *(
            (email, SendEmail.give_up_after)
            for email in log.emails
            if email.state == "failed" and email.code == "gave_up"
        ),
        *((delivery, PostWebhook.give_up_after) for delivery in log.deliveries if delivery.state == "exhausted"),
    ]
    for one, time in timed_out:
        if not one.attempts:
            yield f"{_name(one)} timed out without one attempt"
        elif one.at is None or time is None or one.at - facts[one.fact] < time - CLOCK_SKEW:
            yield f"{_name(one)} timed out before its time"


def _without_reason(log: NotificationLog) -> Iterator[str]:
    """What is lost or in doubt says why, and an email can be sent again."""
    if log.erased_at:
        return
    for email in log.emails:
        if (email.is_lost or email.in_doubt) and not (email.text and email.call):
            yield f"{_name(email)} is {email.state}, but does not say why or cannot be sent again"
    for delivery in log.deliveries:
        if delivery.is_lost and not delivery.text:
            yield f"{_name(delivery)} is {delivery.state} without a reason"


def _name(one: Email | WebhookDelivery) -> str:
    if isinstance(one, Email):
        return f"email {one.template} ({one.fact})"
    return f"{one.event} ({one.fact}) to endpoint {one.endpoint}"
