"""What became of mails, and sending again those that were lost.

pending ──► sent | failed | unknown         failed, unknown ──(mail.resend)──► pending
   ▲  └ in doubt, a few times ┘ │           unknown ──(mail.settle)──► sent | failed
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.notifications.domain.feed import Note, entry
from services.notifications.domain.operations import MailAttempt, SendAgain, SendEmail
from services.notifications.domain.state import LOST, Mail, MailContent, NotificationLog
from services.notifications.domain.threads import threads
from shared.contracts.notifications import EmailFailed, EmailResent, EmailSent, EmailSettled, ResendMails, SettleMail
from shared.core import Context, Decision, Problem, Refused, Timer
from shared.core.fast_dataclasses import replace

Answer = Decision[NotificationLog] | Refused

SEND_AGAIN_AFTER = (timedelta(seconds=10), timedelta(minutes=10), timedelta(hours=2))
"""A mail whose answer never came is sent again this often under its Message-ID: a customer would rather read a mail
twice than never, but a server that takes every mail and answers too late must not send it all day."""
TOO_OLD = timedelta(hours=24)
"""What it tells of is older: only a person sends it again."""

UNKNOWN_ORDER = Refused("unknown_order", "Notifications knows no such order.")


@threads.on_old(SendEmail.Done)
def sent(thread: NotificationLog | None, outcome: SendEmail.Done, context: Context) -> Answer:
    operation = _operation(context)
    event = EmailSent(message=operation.message_id, template=operation.template, audience=operation.audience)
    mail = _find(thread, operation.message_id)
    if thread is None or mail is None:
        return Decision(thread, events=[event])
    done = replace(_at_rest(mail, context), state="sent", attempts=mail.attempts + context.calls)
    return Decision(_with(thread, done), events=[event], records=_log(context, operation))


@threads.on_old(SendEmail.Failed)
def failed(thread: NotificationLog | None, outcome: SendEmail.Failed, context: Context) -> Answer:
    return _lost(thread, outcome.code, outcome.text, context)


@threads.on_old(SendEmail.Unresolved)
def in_doubt(thread: NotificationLog | None, outcome: SendEmail.Unresolved, context: Context) -> Answer:
    """Nobody knows whether it was sent. Where no try got as far as an error, a worker died over it: that says nothing
    about the mail server, and does not count."""
    operation = _operation(context)
    mail = _find(thread, operation.message_id)
    counts = bool(context.attempts)
    if (
        thread is None
        or mail is None
        or context.at - operation.at >= TOO_OLD
        or (counts and mail.doubts == len(SEND_AGAIN_AFTER))
    ):
        return _lost(thread, "unresolved", outcome.text, context)
    if not counts:
        begun = replace(mail, attempts=mail.attempts + context.calls)
        return Decision(_with(thread, begun), operations=[operation])
    due = context.at + SEND_AGAIN_AFTER[mail.doubts]
    waiting = replace(
        mail,
        doubts=mail.doubts + 1,
        attempts=mail.attempts + context.calls,
        text=outcome.text[:2000],
        content=_content(operation),
        since=mail.since or context.at,
        next=due,
    )
    timer = Timer(due, SendAgain(mail.id), name=mail.id)
    return Decision(_with(thread, waiting), timers=[timer], records=_log(context, operation))


@threads.on_old(SendAgain)
def send_again(thread: NotificationLog | None, message: SendAgain, context: Context) -> Answer:
    mail = _find(thread, message.message)
    if thread is None or mail is None or mail.state != "pending" or mail.next is None:
        return Decision(thread)
    return Decision(_with(thread, replace(mail, next=None)), operations=[_again(mail)])


@threads.on_old(ResendMails)
def resend(thread: NotificationLog | None, command: ResendMails, context: Context) -> Answer:
    """Under the same Message-IDs: who got the mail after all can tell that it is the same."""
    if thread is None:
        return UNKNOWN_ORDER
    problems = [problem for id in command.messages if (problem := _why_not_lost(_find(thread, id), id))]
    if problems:
        return Refused(problems[0].code, "; ".join(problem.text for problem in problems[:20]), tuple(problems))
    wanted = set(command.messages)
    lost = [mail for mail in thread.mails if mail.state in LOST and (not wanted or mail.id in wanted)]
    if not lost:
        return Refused("nothing_to_resend", "No mail of this order is lost.")
    changed = thread
    for mail in lost:
        changed = _with(
            changed, replace(mail, state="pending", doubts=0, since=None, at=None, code=None, text=None, content=None)
        )
    return Decision(
        changed,
        events=[EmailResent(message=mail.id, template=mail.template, audience=mail.audience) for mail in lost],
        operations=[_again(mail) for mail in lost],
    )


@threads.on_old(SettleMail)
def settle(thread: NotificationLog | None, command: SettleMail, context: Context) -> Answer:
    """Of an unknown mail both can be said; of a failed one, that it went out after all."""
    if thread is None:
        return UNKNOWN_ORDER
    mail = _find(thread, command.message)
    if mail is None:
        return Refused("unknown_mail", f"The order has no mail {command.message}.")
    if mail.state not in LOST or (mail.state == "failed" and command.outcome == "not_sent"):
        return Refused("nothing_to_settle", f"The mail is {mail.state}: that is known for certain.")
    if command.outcome == "sent":
        changed = replace(_at_rest(mail, context), state="sent")
    else:
        text = f"{context.actor}: {command.reason}"
        changed = replace(mail, state="failed", at=context.at, code="settled", text=text)
    event = EmailSettled(
        message=mail.id,
        template=mail.template,
        audience=mail.audience,
        outcome=command.outcome,
        reason=command.reason,
    )
    return Decision(_with(thread, changed), events=[event])


def _lost(thread: NotificationLog | None, code: str, text: str, context: Context) -> Decision[NotificationLog]:
    operation = _operation(context)
    event = EmailFailed(
        message=operation.message_id,
        template=operation.template,
        audience=operation.audience,
        code=code[:200],
        text=text[:2000],
    )
    mail = _find(thread, operation.message_id)
    if thread is None or mail is None:
        return Decision(thread, events=[event])
    lost = replace(
        mail,
        state="unknown" if code == "unresolved" else "failed",
        attempts=mail.attempts + context.calls,
        at=context.at,
        code=code[:200],
        text=text[:2000],
        content=_content(operation),
        next=None,
    )
    title = f"A mail did not go out: order {thread.number}, {operation.template}"
    alert = entry(thread, Note("staff", "email_failed", title, text[:2000]), context)
    return Decision(_with(thread, lost), events=[event], records=[*_log(context, operation), alert])


def _why_not_lost(mail: Mail | None, id: str) -> Problem | None:
    if mail is None:
        return Problem(field="messages", code="unknown_mail", text=f"the order has no mail {id}")
    if mail.state in LOST:
        return None
    return Problem(field="messages", code="not_lost", text=f"mail {id} is {mail.state}, not lost")


def _operation(context: Context) -> SendEmail:
    assert isinstance(context.operation, SendEmail)
    return context.operation


def _find(thread: NotificationLog | None, id: str) -> Mail | None:
    return next((mail for mail in thread.mails if mail.id == id), None) if thread else None


def _with(thread: NotificationLog, changed: Mail) -> NotificationLog:
    return replace(thread, mails=tuple(changed if mail.id == changed.id else mail for mail in thread.mails))


def _at_rest(mail: Mail, context: Context) -> Mail:
    return replace(mail, at=context.at, code=None, text=None, content=None, since=None, next=None)


def _content(operation: SendEmail) -> MailContent:
    return MailContent(
        to=operation.to,
        sender=operation.sender,
        sender_name=operation.sender_name,
        reply_to=operation.reply_to,
        subject=operation.subject,
        at=operation.at,
        data=operation.data,
    )


def _again(mail: Mail) -> SendEmail:
    assert mail.content is not None, f"the content of mail {mail.id} was not kept"
    content = mail.content
    return SendEmail(
        message_id=mail.id,
        template=mail.template,
        audience=mail.audience,
        to=content.to,
        sender=content.sender,
        sender_name=content.sender_name,
        reply_to=content.reply_to,
        subject=content.subject,
        at=content.at,
        data=content.data,
    )


def _log(context: Context, operation: SendEmail) -> Sequence[MailAttempt]:
    return [
        MailAttempt(context.key, context.new_id(), operation.message_id, attempt.at, attempt.error)
        for attempt in context.attempts
    ]
