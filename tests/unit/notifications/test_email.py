"""Emails that are lost or in doubt: what is kept, and how they are sent after all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifications.domain.email import REPEATED_AFTER
from services.notifications.domain.notification_log import Email, EmailState
from services.notifications.domain.operations import SendEmail
from services.notifications.domain.records import EmailAttempt
from shared.contracts.notifications import EmailFailed, EmailResent, EmailSettled, ResendMails, SettleMail
from tests.unit.notifications.examples import OrderScenario, paid_order

NO_ANSWER = SendEmail.Unresolved("The email was sent, but the mail server's answer was lost.")


def confirmation(order: OrderScenario) -> Email:
    return order.state.emails[0]


def lost(state: EmailState = "failed") -> OrderScenario:
    """A paid order whose confirmation was lost."""
    order = paid_order()
    order.let_time_pass(timedelta(hours=25))  # too old to be repeated automatically
    outcome = NO_ANSWER if state == "unknown" else SendEmail.Failed("gave_up", "HTTP")
    order.answer(order.emails[0], outcome, after=["451", "451"])
    assert confirmation(order).state == state
    return order


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_a_lost_email_says_why_when_and_after_how_many_attempts(state: EmailState) -> None:
    order = lost(state)
    email = confirmation(order)

    assert (email.attempts, email.at, bool(email.text)) == (2, order.at, True)
    assert [(one.message, one.result) for one in order.all.of(EmailAttempt)] == [(email.id, "451")] * 2
    code = "unresolved" if state == "unknown" else "gave_up"
    assert [event.code for event in order.all.of(EmailFailed)] == [code]


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_a_lost_email_is_resent_unchanged_under_its_message_id(state: EmailState) -> None:
    order = lost(state).hear(ResendMails())

    assert order.requested == order.emails[:1]
    assert [type(event) for event in order.published] == [EmailResent]
    order.answer(order.emails[0], SendEmail.Done())
    email = confirmation(order)
    assert (email.state, email.attempts, email.text, email.call) == ("sent", 3, None, None)


def test_only_lost_emails_are_resent() -> None:
    order = lost()
    order.answer(order.emails[1], SendEmail.Done())
    sent = order.state.emails[1].id

    refused = order.refuses(ResendMails(messages=(sent, "<other@x>")))
    assert [problem.code for problem in refused.problems] == ["not_lost", "unknown_mail"]
    assert len(order.hear(ResendMails(messages=(confirmation(order).id,))).requested) == 1
    assert order.refuses(ResendMails()).code == "nothing_to_resend"
    assert OrderScenario().refuses(ResendMails()).code == "unknown_order"


def test_an_email_in_doubt_is_repeated_a_few_times_and_then_left_to_staff() -> None:
    order = paid_order()
    email = order.emails[0]
    for wait in REPEATED_AFTER:
        order.answer(email, NO_ANSWER, after=["no answer"])
        due, kept = order.at + wait, confirmation(order)
        assert [timer.due for timer in order.timers] == [due]
        assert kept.in_doubt and (kept.state, kept.in_doubt.next_try, kept.text) == ("pending", due, NO_ANSWER.text)
        assert order.let_time_pass(wait).requested == [email]
    order.answer(email, NO_ANSWER, after=["no answer"])

    assert confirmation(order).state == "unknown" and order.emails.count(email) == 4


def test_a_worker_that_died_during_a_call_says_nothing_about_the_mail_server() -> None:
    """The email is repeated at once, however often that happens."""
    order = paid_order()
    for _ in range(10):
        order.answer(order.emails[0], NO_ANSWER)
        assert order.requested == order.emails[:1] and not order.timers
    assert (confirmation(order).state, confirmation(order).in_doubt) == ("pending", None)


def test_a_timer_that_comes_twice_repeats_nothing_twice() -> None:
    order = paid_order()
    (timer,) = order.answer(order.emails[0], NO_ANSWER, after=["no answer"]).timers

    assert len(order.hear(timer.message).requested) == 1
    assert order.hear(timer.message).requested == []


@pytest.mark.parametrize("outcome", ["sent", "not_sent"])
def test_an_unknown_email_can_be_settled_manually(outcome: str) -> None:
    order = lost("unknown")
    command = {"message": confirmation(order).id, "outcome": outcome, "reason": "It is in the server's log."}
    (event,) = order.hear(SettleMail.model_validate(command)).all.of(EmailSettled)

    assert event.reason == "It is in the server's log."
    assert confirmation(order).state == ("sent" if outcome == "sent" else "failed")
    assert (order.offer(ResendMails()) is None) == (outcome == "not_sent")


def test_a_known_outcome_cannot_be_settled() -> None:
    order = lost("failed")
    id = confirmation(order).id
    assert order.refuses(SettleMail(message=id, outcome="not_sent", reason="x")).code == "nothing_to_settle"
    assert order.refuses(SettleMail(message="<no@x>", outcome="sent", reason="x")).code == "unknown_mail"
    order.hear(SettleMail(message=id, outcome="sent", reason="Ada has read it."))
    assert confirmation(order).state == "sent"
    assert OrderScenario().refuses(SettleMail(message=id, outcome="sent", reason="x")).code == "unknown_order"
