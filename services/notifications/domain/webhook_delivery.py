"""The outcomes of webhook deliveries, and replaying those that were not delivered.

pending ──► delivered | exhausted | paused | removed        exhausted, paused ──(webhook.replay)──► pending
"""

from __future__ import annotations

from datetime import datetime

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.notification_log import (
    NotificationLog,
    WebhookDelivery,
    WebhookDeliveryState,
    notification_logs,
)
from services.notifications.domain.operations import PostWebhook
from services.notifications.domain.records import WebhookDeliveryAttempt
from services.notifications.domain.words import for_staff
from shared.contracts.notifications import (
    PauseWebhook,
    ReplayWebhooks,
    WebhookExhausted,
    WebhooksReplayed,
)
from shared.core import Context, Decision, FailedOutcome, Refused, UnresolvedOutcome

NOTHING_TO_REPLAY = Refused("nothing_to_replay", "The order has no such webhook delivery that is exhausted or paused.")
STILL_TRIED = Refused(
    "nothing_to_replay",
    "Nothing is exhausted or paused. What an endpoint has not accepted is tried again by itself, for three days; "
    "`orderbus waiting` says when. Sent besides, it could arrive twice.",
)
NOT_CALLED: dict[str, WebhookDeliveryState] = {"paused": "paused", "removed": "removed"}
"""The gateway's codes for an endpoint that was not called."""


@notification_logs.answers(PostWebhook.Done)
def delivered(
    log: NotificationLog, post: PostWebhook, outcome: PostWebhook.Done, context: Context
) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    record_errors(change, post)
    record_attempt(change, post, context.at, f"HTTP {outcome.status}", delivered=True)
    end_round(change, post, "delivered", context.calls)
    return change.decision()


@notification_logs.answers(PostWebhook.Failed, PostWebhook.Unresolved)
def not_delivered(
    log: NotificationLog, post: PostWebhook, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[NotificationLog]:
    change, text = NotificationChange(log, context), outcome.text[:2000]
    code = outcome.code if isinstance(outcome, FailedOutcome) else "unresolved"
    record_errors(change, post)
    if code in NOT_CALLED:
        end_round(change, post, NOT_CALLED[code], context.calls - 1, text)
        return change.decision()
    if code == "gone":
        record_attempt(change, post, context.at, "HTTP 410")
        change.send(post.store, PauseWebhook(endpoint=post.endpoint, reason="It answered 410 Gone."))
    delivery = end_round(change, post, "paused" if code == "gone" else "exhausted", context.calls, text)
    change.publish(
        WebhookExhausted(
            message=delivery.id, endpoint=delivery.endpoint, event=delivery.event, attempts=delivery.attempts, text=text
        )
    )
    title = for_staff(log).gettext(
        "Webhook %(endpoint)s did not accept %(event)s", endpoint=post.endpoint, event=post.event
    )
    change.notify_staff("webhook_exhausted", title, text)
    return change.decision()


@notification_logs.on(ReplayWebhooks)
def replay(log: NotificationLog, command: ReplayWebhooks, context: Context) -> Decision[NotificationLog] | Refused:
    """Send exhausted and paused deliveries again, under the same ids."""
    messages = set(command.messages or ())
    named = [
        delivery
        for delivery in log.deliveries
        if command.endpoint in (None, delivery.endpoint) and (not messages or delivery.id in messages)
    ]
    chosen = [delivery for delivery in named if delivery.is_lost]
    if not chosen:
        return STILL_TRIED if any(delivery.state == "pending" for delivery in named) else NOTHING_TO_REPLAY
    change = NotificationChange(log, context)
    change.publish(WebhooksReplayed(messages=tuple(delivery.id for delivery in chosen)))
    for delivery in chosen:
        change.post_delivery(change.update_delivery(delivery, state="pending", at=None, text=None))
    return change.decision()


def end_round(
    change: NotificationChange, post: PostWebhook, state: WebhookDeliveryState, calls: int, text: str = ""
) -> WebhookDelivery:
    delivery = change.state.delivery(post.message_id)
    attempts, at = delivery.attempts + calls, change.context.at
    return change.update_delivery(delivery, state=state, attempts=attempts, at=at, text=text or None)


def record_errors(change: NotificationChange, post: PostWebhook) -> None:
    """The round's calls that did not succeed."""
    for attempt in change.context.attempts:
        record_attempt(change, post, attempt.at, attempt.error)


def record_attempt(
    change: NotificationChange, post: PostWebhook, at: datetime, result: str, *, delivered: bool = False
) -> None:
    key, id = change.context.key, change.context.new_id()
    change.record(WebhookDeliveryAttempt(key, id, post.message_id, post.endpoint, post.event, at, delivered, result))
