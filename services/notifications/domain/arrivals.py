"""What became of mails and webhooks, and the replay of those that did not arrive."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifications.domain import webhooks
from services.notifications.domain.feed import Note, entry
from services.notifications.domain.operations import PostingAttempt, PostWebhook, SendEmail
from services.notifications.domain.state import MailState, Posting, PostingState, Thread
from services.notifications.domain.threads import threads
from shared.contracts.notifications import (
    EmailFailed,
    EmailSent,
    PauseEndpoint,
    ReplayWebhooks,
    WebhookDelivered,
    WebhookExhausted,
)
from shared.shell.core import Context, Decision, Refused
from shared.swift import replace

Answer = Decision[Thread] | Refused


# Mails


@threads.on(SendEmail.Done)
def sent(thread: Thread | None, outcome: SendEmail.Done, context: Context) -> Answer:
    operation = _mail_of(context)
    event = EmailSent(message=operation.message_id, template=operation.template, audience=operation.audience)
    return Decision(_with_mail(thread, operation.message_id, "sent"), events=[event])


@threads.on(SendEmail.Failed, SendEmail.Unresolved)
def not_sent(thread: Thread | None, outcome: SendEmail.Failed | SendEmail.Unresolved, context: Context) -> Answer:
    operation = _mail_of(context)
    code = outcome.code if isinstance(outcome, SendEmail.Failed) else "unresolved"
    event = EmailFailed(
        message=operation.message_id,
        template=operation.template,
        audience=operation.audience,
        code=code[:200],
        text=outcome.text[:2000],
    )
    changed = _with_mail(thread, operation.message_id, "failed")
    title = f"A mail did not go out: order {operation.data.get('number', context.key)}, {operation.template}"
    notes = [Note("staff", "email_failed", title, outcome.text[:2000])] if changed else []
    return Decision(changed, events=[event], records=[entry(changed, note, context) for note in notes if changed])


def _mail_of(context: Context) -> SendEmail:
    assert isinstance(context.operation, SendEmail)
    return context.operation


def _with_mail(thread: Thread | None, identity: str, state: MailState) -> Thread | None:
    if thread is None:
        return None
    return replace(thread, mails=tuple(replace(m, state=state) if m.id == identity else m for m in thread.mails))


# Webhooks

NOT_SENT: dict[str, PostingState] = {"paused": "paused", "removed": "removed"}
"""The gateway's codes for an endpoint that was not asked at all."""


@threads.on(PostWebhook.Done)
def delivered(thread: Thread | None, outcome: PostWebhook.Done, context: Context) -> Answer:
    operation = _posting_of(context)
    changed = _with_posting(thread, operation.message_id, "delivered", len(context.attempts) + 1)
    event = WebhookDelivered(
        message=operation.message_id,
        endpoint=operation.endpoint,
        event=operation.event,
        attempts=_attempts(changed, operation.message_id),
    )
    log = _log(context, operation, delivered=f"HTTP {outcome.status}")
    return Decision(changed, events=[event], records=log)


@threads.on(PostWebhook.Failed, PostWebhook.Unresolved)
def not_delivered(
    thread: Thread | None, outcome: PostWebhook.Failed | PostWebhook.Unresolved, context: Context
) -> Answer:
    operation = _posting_of(context)
    code = outcome.code if isinstance(outcome, PostWebhook.Failed) else "unresolved"
    log = _log(context, operation)
    if code in NOT_SENT:
        changed = _with_posting(thread, operation.message_id, NOT_SENT[code], len(context.attempts))
        return Decision(changed, records=log)
    gone = code == "gone"
    if gone:  # the answer itself; earlier tries are in the log already
        log = [*log, _attempt(context, operation, "HTTP 410")]
    changed = _with_posting(thread, operation.message_id, "paused" if gone else "exhausted", len(log))
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
    pause = PauseEndpoint(endpoint=operation.endpoint, reason="It answered 410 Gone.")
    return Decision(changed, events=[event], records=[*log, *alerts], sends=[(operation.store, pause)] if gone else [])


@threads.on(ReplayWebhooks)
def replay(thread: Thread | None, message: ReplayWebhooks, context: Context) -> Answer:
    """Post again, under the same ids, what was exhausted or held back."""
    if thread is None:
        return Refused("unknown_order", "Notifications knows no such order.")
    again = [
        posting
        for posting in thread.postings
        if posting.state in ("exhausted", "paused") and message.endpoint in (None, posting.endpoint)
    ]
    if not again:
        return Refused("nothing_to_replay", "No webhook delivery of this order is exhausted or paused.")
    ids = {posting.id for posting in again}
    postings = tuple(replace(p, state="pending") if p.id in ids else p for p in thread.postings)
    return Decision(
        replace(thread, postings=postings), operations=[webhooks.post(thread, posting) for posting in again]
    )


def _posting_of(context: Context) -> PostWebhook:
    assert isinstance(context.operation, PostWebhook)
    return context.operation


def _with_posting(thread: Thread | None, identity: str, state: PostingState, attempts: int) -> Thread | None:
    if thread is None:
        return None

    def changed(posting: Posting) -> Posting:
        return replace(posting, state=state, attempts=posting.attempts + attempts)

    return replace(thread, postings=tuple(changed(p) if p.id == identity else p for p in thread.postings))


def _attempts(thread: Thread | None, identity: str) -> int:
    return next((p.attempts for p in thread.postings if p.id == identity), 0) if thread else 0


def _log(context: Context, operation: PostWebhook, delivered: str = "") -> Sequence[PostingAttempt]:
    """The round's attempts: those that did not succeed, and the one that did."""
    tries = [
        PostingAttempt(
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


def _attempt(context: Context, operation: PostWebhook, result: str, *, success: bool = False) -> PostingAttempt:
    message, endpoint, event = operation.message_id, operation.endpoint, operation.event
    return PostingAttempt(context.key, context.new_id(), message, endpoint, event, context.at, success, result)
