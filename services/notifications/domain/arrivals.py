"""What became of webhook deliveries, and the replay of those that did not arrive."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifications.domain import webhooks
from services.notifications.domain.feed import Note, entry
from services.notifications.domain.operations import PostWebhook, WebhookDeliveryAttempt
from services.notifications.domain.state import NOT_DELIVERED, NotificationLog, WebhookDelivery, WebhookDeliveryState
from services.notifications.domain.threads import threads
from shared.contracts.notifications import (
    PauseWebhook,
    ReplayWebhooks,
    WebhookDelivered,
    WebhookExhausted,
    WebhooksReplayed,
)
from shared.core import Context, Decision, Refused
from shared.core.fast_dataclasses import replace

Answer = Decision[NotificationLog] | Refused


NOT_SENT: dict[str, WebhookDeliveryState] = {"paused": "paused", "removed": "removed"}
"""The gateway's codes for an endpoint that was not asked at all."""


@threads.on_old(PostWebhook.Done)
def delivered(thread: NotificationLog | None, outcome: PostWebhook.Done, context: Context) -> Answer:
    operation = _posting_of(context)
    changed = _with_posting(thread, operation.message_id, "delivered", context.calls, context)
    event = WebhookDelivered(
        message=operation.message_id,
        endpoint=operation.endpoint,
        event=operation.event,
        attempts=_attempts(changed, operation.message_id),
    )
    log = _log(context, operation, delivered=f"HTTP {outcome.status}")
    return Decision(changed, events=[event], records=log)


@threads.on_old(PostWebhook.Failed, PostWebhook.Unresolved)
def not_delivered(
    thread: NotificationLog | None, outcome: PostWebhook.Failed | PostWebhook.Unresolved, context: Context
) -> Answer:
    operation = _posting_of(context)
    code = outcome.code if isinstance(outcome, PostWebhook.Failed) else "unresolved"
    log = _log(context, operation)
    if code in NOT_SENT:
        changed = _with_posting(thread, operation.message_id, NOT_SENT[code], context.calls - 1, context, outcome.text)
        return Decision(changed, records=log)
    gone = code == "gone"
    if gone:  # the answer itself; earlier tries are in the log already
        log = [*log, _attempt(context, operation, "HTTP 410")]
    state: WebhookDeliveryState = "paused" if gone else "exhausted"
    changed = _with_posting(thread, operation.message_id, state, context.calls, context, outcome.text)
    event = WebhookExhausted(
        message=operation.message_id,
        endpoint=operation.endpoint,
        event=operation.event,
        attempts=_attempts(changed, operation.message_id),
        text=outcome.text[:2000],
    )
    title = f"Webhook {operation.endpoint} did not take {operation.event}"
    note = Note("staff", "webhook_exhausted", title, outcome.text[:2000])
    alerts = [entry(changed, note, context)] if changed else []
    pause = PauseWebhook(endpoint=operation.endpoint, reason="It answered 410 Gone.")
    return Decision(
        changed, events=[event], records=[*log, *alerts], commands=[(operation.store, pause)] if gone else []
    )


@threads.on_old(ReplayWebhooks)
def replay(thread: NotificationLog | None, message: ReplayWebhooks, context: Context) -> Answer:
    """Post again, under the same ids, what was exhausted or held back."""
    if thread is None:
        return Refused("unknown_order", "Notifications knows no such order.")
    wanted = set(message.messages or ())
    again = [
        posting
        for posting in thread.postings
        if posting.state in NOT_DELIVERED
        and message.endpoint in (None, posting.endpoint)
        and (not wanted or posting.id in wanted)
    ]
    if not again:
        return Refused("nothing_to_replay", "No such webhook delivery of this order is exhausted or paused.")
    ids = {posting.id for posting in again}
    postings = tuple(replace(p, state="pending", at=None, text=None) if p.id in ids else p for p in thread.postings)
    return Decision(
        replace(thread, postings=postings),
        events=[WebhooksReplayed(messages=tuple(posting.id for posting in again))],
        operations=[webhooks.post(thread, posting) for posting in again],
    )


def _posting_of(context: Context) -> PostWebhook:
    assert isinstance(context.operation, PostWebhook)
    return context.operation


def _with_posting(
    thread: NotificationLog | None,
    id: str,
    state: WebhookDeliveryState,
    attempts: int,
    context: Context,
    text: str = "",
) -> NotificationLog | None:
    if thread is None:
        return None

    def changed(posting: WebhookDelivery) -> WebhookDelivery:
        why = text[:2000] or None
        return replace(posting, state=state, attempts=posting.attempts + attempts, at=context.at, text=why)

    return replace(thread, postings=tuple(changed(p) if p.id == id else p for p in thread.postings))


def _attempts(thread: NotificationLog | None, identity: str) -> int:
    return next((p.attempts for p in thread.postings if p.id == identity), 0) if thread else 0


def _log(context: Context, operation: PostWebhook, delivered: str = "") -> Sequence[WebhookDeliveryAttempt]:
    """The round's attempts: those that did not succeed, and the one that did."""
    tries = [
        WebhookDeliveryAttempt(
            context.key,
            context.new_id(),
            operation.message_id,
            operation.endpoint,
            operation.event,
            attempt.at,
            False,
            attempt.error,
        )
        for attempt in context.attempts
    ]
    return [*tries, _attempt(context, operation, delivered, success=True)] if delivered else tries


def _attempt(context: Context, operation: PostWebhook, result: str, *, success: bool = False) -> WebhookDeliveryAttempt:
    message, endpoint, event = operation.message_id, operation.endpoint, operation.event
    return WebhookDeliveryAttempt(context.key, context.new_id(), message, endpoint, event, context.at, success, result)
