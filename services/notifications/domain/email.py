"""The outcomes of emails, and sending lost ones again.

pending ──► sent | failed | unknown         failed, unknown ──(mail.resend)──► pending
   ▲ └ in doubt, a few times ┘  │           unknown ──(mail.settle)──► sent | failed
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.notifications.domain.change import NotificationChange
from services.notifications.domain.notification_log import (
    Email,
    EmailState,
    InDoubt,
    NotificationLog,
    notification_logs,
)
from services.notifications.domain.operations import RepetitionDue, SendEmail
from services.notifications.domain.records import EmailAttempt
from services.notifications.domain.words import for_staff
from shared.contracts.notifications import EmailFailed, EmailResent, EmailSettled, ResendMails, SettleMail
from shared.core import Context, Decision, Problem, Refused
from shared.core.fast_dataclasses import replace

REPEATED_AFTER = (timedelta(seconds=10), timedelta(minutes=10), timedelta(hours=2))
"""An email in doubt is sent again this often under its Message-ID: a customer would rather get an email twice than
never, but a server that accepts every email and answers too late must not send it all day."""
TOO_OLD = timedelta(hours=24)
"""An email about an older fact is only sent again by staff."""
SENT = {"state": "sent", "code": None, "text": None, "call": None, "in_doubt": None}
"""What an email needs until it is sent is not kept longer."""


@notification_logs.answers(SendEmail.Done)
def sent(log: NotificationLog, call: SendEmail, outcome: SendEmail.Done, context: Context) -> Decision[NotificationLog]:
    change = NotificationChange(log, context)
    end_round(change, call, at=context.at, **SENT)
    return change.decision()


@notification_logs.answers(SendEmail.Failed)
def failed(
    log: NotificationLog, call: SendEmail, outcome: SendEmail.Failed, context: Context
) -> Decision[NotificationLog]:
    return lost(log, call, outcome.code, outcome.text, context)


@notification_logs.answers(SendEmail.Unresolved)
def unresolved(
    log: NotificationLog, call: SendEmail, outcome: SendEmail.Unresolved, context: Context
) -> Decision[NotificationLog]:
    """If no attempt got as far as an error, a worker died during the call: that says nothing about the mail server, and
    does not count."""
    change = NotificationChange(log, context)
    in_doubt = log.email(call.message_id).in_doubt or InDoubt(since=context.at)
    counts = bool(context.attempts)
    if context.at - call.at >= TOO_OLD or (counts and in_doubt.times == len(REPEATED_AFTER)):
        return lost(log, call, "unresolved", outcome.text, context)
    if not counts:
        end_round(change, call)
        change.request(call)
        return change.decision()
    due = context.at + REPEATED_AFTER[in_doubt.times]
    in_doubt = replace(in_doubt, times=in_doubt.times + 1, next_try=due)
    end_round(change, call, text=outcome.text[:2000], call=call, in_doubt=in_doubt)
    change.timer(due, RepetitionDue(call.message_id), name=call.message_id)
    return change.decision()


@notification_logs.on(RepetitionDue)
def repetition_due(log: NotificationLog, timer: RepetitionDue, context: Context) -> Decision[NotificationLog]:
    change, email = NotificationChange(log, context), log.find_email(timer.message)
    if email and email.call and email.in_doubt and email.in_doubt.next_try:
        change.update_email(email, in_doubt=replace(email.in_doubt, next_try=None))
        change.request(email.call)
    return change.decision()


@notification_logs.on(ResendMails)
def resend(log: NotificationLog, command: ResendMails, context: Context) -> Decision[NotificationLog] | Refused:
    """Under the same Message-IDs: a customer who did get an email can tell that it is the same."""
    problems = [problem for id in command.messages if (problem := why_not_lost(log.find_email(id), id))]
    if problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems[:20]), tuple(problems))
    lost = [(email, email.call) for email in log.emails if email.is_lost and email.call]
    chosen = [(email, call) for email, call in lost if not command.messages or email.id in command.messages]
    if not chosen:
        return Refused("nothing_to_resend", "The order has no lost emails.")
    change = NotificationChange(log, context)
    for email, call in chosen:
        change.publish(EmailResent(message=email.id, template=email.template, audience=email.audience))
        change.request(call)
        change.update_email(email, state="pending", at=None, code=None, text=None, call=None)
    return change.decision()


@notification_logs.on(SettleMail)
def settle(log: NotificationLog, command: SettleMail, context: Context) -> Decision[NotificationLog] | Refused:
    """An unknown email was sent or not; a failed one can only have been sent after all."""
    email = log.find_email(command.message)
    if email is None:
        return Refused("unknown_mail", f"The order has no email {command.message}.")
    if not email.is_lost or (email.state == "failed" and command.outcome == "not_sent"):
        return Refused("nothing_to_settle", f"The email's outcome is known: it is {email.state}.")
    change = NotificationChange(log, context)
    if command.outcome == "sent":
        change.update_email(email, at=context.at, **SENT)
    else:
        text = f"{context.actor}: {command.reason}"
        change.update_email(email, state="failed", at=context.at, code="settled", text=text)
    change.publish(
        EmailSettled(
            message=email.id,
            template=email.template,
            audience=email.audience,
            outcome=command.outcome,
            reason=command.reason,
        )
    )
    return change.decision()


def lost(log: NotificationLog, call: SendEmail, code: str, text: str, context: Context) -> Decision[NotificationLog]:
    change, code, text = NotificationChange(log, context), code[:200], text[:2000]
    state: EmailState = "unknown" if code == "unresolved" else "failed"
    email = end_round(change, call, state=state, at=context.at, code=code, text=text, call=call, in_doubt=None)
    failed = EmailFailed(message=email.id, template=email.template, audience=email.audience, code=code, text=text)
    change.publish(failed)
    title = for_staff(log).gettext(
        "Email not sent: order %(number)s, %(template)s", number=log.number, template=email.template
    )
    change.notify_staff("email_failed", title, text)
    return change.decision()


def end_round(change: NotificationChange, call: SendEmail, /, **fields: Any) -> Email:
    """Count the round's calls, keep their errors, and change the email."""
    context, id = change.context, call.message_id
    change.record(*(EmailAttempt(context.key, context.new_id(), id, a.at, a.error) for a in context.attempts))
    email = change.state.email(id)
    return change.update_email(email, attempts=email.attempts + context.calls, **fields)


def why_not_lost(email: Email | None, id: str) -> Problem | None:
    if email is None:
        return Problem(field="messages", code="unknown_mail", text=f"The order has no email {id}.")
    if email.is_lost:
        return None
    return Problem(field="messages", code="not_lost", text=f"Email {id} is {email.state}, not lost.")
