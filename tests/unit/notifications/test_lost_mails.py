"""Mails that are lost or in doubt: what is remembered, and how they go out after all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifications.domain.mail_outcomes import SEND_AGAIN_AFTER
from services.notifications.domain.operations import FindLost, MailAttempt, SendAgain, SendEmail
from services.notifications.domain.state import Mail, MailState
from services.notifications.gateways.lost import lost_of
from shared.contracts.notifications import (
    EmailFailed,
    EmailResent,
    EmailSettled,
    ReplayLostWebhooks,
    ReplayWebhooks,
    ResendLostMails,
    ResendMails,
    SettleMail,
)
from shared.core import Decision, Refused
from tests.unit.notifications.conversation import START, STORE, Conversation, paid_order

NO_ANSWER = SendEmail.Unresolved("the mail server was given the mail, and its answer never came")


def confirmation(order: Conversation) -> Mail:
    assert order.thread
    return order.thread.mails[0]


def lost(state: MailState = "failed") -> Conversation:
    """A paid order whose confirmation was lost."""
    order = paid_order()
    order.at += timedelta(hours=25)  # what it tells of is too old to be sent again by itself
    order.came(order.mails()[0], NO_ANSWER if state == "unknown" else SendEmail.Failed("gave_up", "HTTP"), "451", "451")
    assert confirmation(order).state == state
    return order


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_a_lost_mail_says_why_when_and_after_how_many_tries(state: MailState) -> None:
    order = lost(state)
    mail = confirmation(order)

    assert (mail.attempts, mail.at, bool(mail.text)) == (2, order.at, True)
    tries = [record for record in order.records if isinstance(record, MailAttempt)]
    assert [(one.message, one.result) for one in tries] == [(mail.id, "451")] * 2
    assert [event.code for event in order.events if isinstance(event, EmailFailed)] == [
        "unresolved" if state == "unknown" else "gave_up"
    ]


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_a_lost_mail_is_sent_again_as_it_was_under_its_message_id(state: MailState) -> None:
    order = lost(state)
    decision = order.told(ResendMails())

    assert decision.operations == order.mails()[:1]
    assert [type(event) for event in decision.events] == [EmailResent]
    order.came(order.mails()[-1], SendEmail.Done())
    mail = confirmation(order)
    assert (mail.state, mail.attempts, mail.text, mail.content) == ("sent", 3, None, None)


def test_only_what_is_lost_is_sent_again() -> None:
    order = lost()
    order.came(order.mails()[1], SendEmail.Done())
    assert order.thread
    sent = order.thread.mails[1].id

    refused = order.answer(ResendMails(messages=(sent, "<other@x>")))
    assert isinstance(refused, Refused) and [p.code for p in refused.problems] == ["not_lost", "unknown_mail"]
    assert len(order.told(ResendMails(messages=(confirmation(order).id,))).operations) == 1
    nothing = order.answer(ResendMails())
    assert isinstance(nothing, Refused) and nothing.code == "nothing_to_resend"
    assert isinstance(Conversation().answer(ResendMails()), Refused)


def test_a_mail_whose_answer_never_came_is_sent_again_a_few_times_and_then_left_to_people() -> None:
    order = paid_order()
    copies = 1
    for wait in SEND_AGAIN_AFTER:
        decision = order.came(order.mails()[-1] if copies > 1 else order.mails()[0], NO_ANSWER, "no answer")
        (timer,) = decision.timers
        assert timer.due == order.at + wait and timer.message == SendAgain(confirmation(order).id)
        mail = confirmation(order)
        assert (mail.state, mail.next, mail.text) == ("pending", timer.due, NO_ANSWER.text)
        assert order.told(timer.message).operations == order.mails()[:1]
        copies += 1
    order.came(order.mails()[-1], NO_ANSWER, "no answer")

    assert confirmation(order).state == "unknown" and copies == 4


def test_a_worker_that_died_over_a_mail_says_nothing_about_the_mail_server() -> None:
    """It is sent again at once, however often that happens."""
    order = paid_order()
    for _ in range(10):
        decision = order.came(order.mails()[0], NO_ANSWER)
        assert decision.operations == order.mails()[:1] and not decision.timers
    assert (confirmation(order).state, confirmation(order).doubts) == ("pending", 0)


def test_a_timer_that_comes_late_sends_nothing_twice() -> None:
    order = paid_order()
    (timer,) = order.came(order.mails()[0], NO_ANSWER, "no answer").timers
    assert len(order.told(timer.message).operations) == 1
    assert order.told(timer.message).operations == ()


@pytest.mark.parametrize("outcome", ["sent", "not_sent"])
def test_a_person_says_what_became_of_an_unknown_mail(outcome: str) -> None:
    order = lost("unknown")
    command = SettleMail.model_validate(
        {"message": confirmation(order).id, "outcome": outcome, "reason": "It is in the server's log."}
    )
    (event,) = order.told(command).events

    assert isinstance(event, EmailSettled) and event.reason == "It is in the server's log."
    assert confirmation(order).state == ("sent" if outcome == "sent" else "failed")
    again = order.answer(ResendMails())
    assert isinstance(again, Decision if outcome == "not_sent" else Refused)


def test_what_is_known_is_not_settled() -> None:
    order = lost("failed")
    id = confirmation(order).id
    known = order.answer(SettleMail(message=id, outcome="not_sent", reason="x"))
    assert isinstance(known, Refused) and known.code == "nothing_to_settle"
    assert isinstance(order.answer(SettleMail(message="<no@x>", outcome="sent", reason="x")), Refused)
    order.told(SettleMail(message=id, outcome="sent", reason="Ada has read it."))
    assert confirmation(order).state == "sent"
    assert isinstance(Conversation().answer(SettleMail(message=id, outcome="sent", reason="x")), Refused)


# All of a store and a period


def test_all_lost_mails_of_a_period_are_looked_for_and_every_order_is_told() -> None:
    order = Conversation()
    decision = order.store(ResendLostMails(since=START))
    assert isinstance(decision, Decision)
    assert decision.operations == [FindLost(STORE.id, "mails", START, order.at)]

    page = FindLost.Done((("o-1", ("<1@x>",)), ("o-2", ("<2@x>", "<3@x>"))), next="o-2")
    decision = order.found(decision.operations[0], page)
    assert decision.commands == [
        ("o-1", ResendMails(messages=("<1@x>",))),
        ("o-2", ResendMails(messages=("<2@x>",))),
        ("o-2", ResendMails(messages=("<3@x>",))),
    ]
    (following,) = decision.operations
    assert isinstance(following, FindLost) and following.after == "o-2"
    assert order.found(following, FindLost.Done(())).operations == []


def test_a_mail_that_a_person_has_sent_again_meanwhile_keeps_no_other_from_being_sent() -> None:
    order = lost()
    order.came(order.mails()[1], SendEmail.Failed("gave_up", "451"), "451")
    assert order.thread
    ids = tuple(mail.id for mail in order.thread.mails)
    order.told(ResendMails(messages=ids[:1]))
    decision = order.store(ResendLostMails(since=START))
    assert isinstance(decision, Decision)
    for _, command in order.found(decision.operations[0], FindLost.Done((("o-1", ids),))).commands:
        order.answer(command)
    assert [mail.state for mail in order.thread.mails] == ["pending", "pending"]


def test_webhook_deliveries_of_one_endpoint_and_a_period_are_replayed() -> None:
    order = Conversation()
    until = START + timedelta(days=1)
    decision = order.store(ReplayLostWebhooks(since=START, until=until, endpoint="crm"))
    assert isinstance(decision, Decision)
    (wanted,) = decision.operations
    assert wanted == FindLost(STORE.id, "webhooks", START, until, "crm")
    decision = order.found(wanted, FindLost.Done((("o-1", ("msg_1",)),)))
    assert decision.commands == [("o-1", ReplayWebhooks(messages=("msg_1",)))]


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    refused = Conversation().store(ResendLostMails(since=START, until=START))
    assert isinstance(refused, Refused) and refused.code == "empty_period"


def test_the_period_is_when_a_mail_was_lost_its_end_not_counted() -> None:
    order = lost()
    at, id = order.at, confirmation(order).id
    assert order.thread

    def of(since: timedelta, until: timedelta) -> list[str]:
        assert order.thread
        return list(lost_of(order.thread, FindLost(STORE.id, "mails", at + since, at + until)))

    second = timedelta(seconds=1)
    assert of(timedelta(), second) == [id]
    assert of(-second, timedelta()) == [] and of(second, 2 * second) == []
