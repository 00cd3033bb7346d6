"""The record on `messages.status.v1`: told when something has arrived, or goes wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifications.domain.email import REPEATED_AFTER
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.notifications.domain.status_record import MOST, last_record, status_record
from shared.contracts.checkout import OrderCompleted, OrderFailed
from shared.contracts.envelope import MAX_BODY, encode
from shared.contracts.notifications import MessageStatusRecord, PauseWebhook, ReplayWebhooks, ResendMails, ResumeWebhook
from shared.core import Operation
from shared.core.fast_dataclasses import replace
from tests.unit.notifications.examples import PAID, STORE, OrderScenario, paid_order, placed_order, webhook

NO_ANSWER = SendEmail.Unresolved("the answer was lost")


def told(order: OrderScenario) -> list[MessageStatusRecord]:
    return order.all.of(MessageStatusRecord)


def arrive(order: OrderScenario, *calls: Operation) -> None:
    for call in calls:
        order.answer(call, SendEmail.Done() if isinstance(call, SendEmail) else PostWebhook.Done(204))


def test_it_is_told_with_each_email_and_delivery_that_arrives() -> None:
    order = paid_order(webhook())
    first, *others = order.all.requested
    assert told(order) == []
    arrive(order, *others)
    assert len(told(order)) == len(others)

    arrive(order, first)

    record = told(order)[-1]
    assert record == last_record(order.state) == order.published[-1]
    assert (record.number, record.store, record.revision, record.updated_at) == (
        order.state.number,
        STORE.id,
        len(others) + 1,
        order.at,
    )
    assert [(one.message, one.fact, one.template, one.state) for one in record.emails] == [
        (email.message_id, "paid", email.template, "sent") for email in order.emails
    ]
    assert [(one.event, one.endpoint, one.state, one.attempts) for one in record.webhooks] == [
        (post.event, "crm", "delivered", 1) for post in order.posts()
    ]


def test_a_webhook_that_is_not_answered_keeps_no_email_out_of_the_record() -> None:
    """It is tried for three days."""
    order = paid_order(webhook())
    arrive(order, *order.emails)

    record = told(order)[-1]
    assert [one.state for one in record.emails] == ["sent", "sent"]
    assert {one.state for one in record.webhooks} == {"pending"}


def test_what_is_sent_later_brings_a_newer_record_with_all_of_it() -> None:
    order = placed_order(webhook())
    arrive(order, *order.posts())
    revision = told(order)[-1].revision
    order.hear(PAID)
    assert told(order)[-1].revision == revision

    arrive(order, *order.emails, *order.posts()[2:])

    assert told(order)[-1].revision == revision + 4
    assert len(told(order)[-1].webhooks) == 4 and len(told(order)[-1].emails) == 2


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(SendEmail.Failed("smtp_550", "No such mailbox."), "failed"), (NO_ANSWER, "pending")],
    ids=["failed", "in doubt"],
)
def test_an_email_that_is_lost_or_in_doubt_is_told_at_once(
    outcome: SendEmail.Failed | SendEmail.Unresolved, state: str
) -> None:
    order = paid_order(webhook())
    lost, other = order.emails
    order.answer(lost, outcome, after=["no answer"])

    (record,) = told(order)
    assert (record.emails[0].state, record.emails[0].in_doubt) == (state, state == "pending")
    assert record.emails[0].text == outcome.text and record.emails[1].state == "pending"
    arrive(order, other, order.posts()[0])
    assert [one.emails[0].state for one in told(order)] == [state] * 3


def test_an_email_that_stays_in_doubt_is_told_again_when_it_is_left_to_staff() -> None:
    order = paid_order()
    order.answer(order.emails[1], SendEmail.Done())
    for wait in REPEATED_AFTER:
        order.answer(order.emails[0], NO_ANSWER, after=["no answer"]).let_time_pass(wait)
    order.answer(order.emails[0], NO_ANSWER, after=["no answer"])

    assert [(one.emails[0].state, one.emails[0].in_doubt) for one in told(order)[1:]] == [
        ("pending", True),
        ("unknown", False),
    ]


def test_what_is_sent_again_is_told_with_its_outcome() -> None:
    order = paid_order(webhook("crm", ["order.created"]))
    post = order.posts()[0]
    order.answer(order.emails[0], SendEmail.Failed("smtp_550", "No such mailbox."))
    order.answer(post, PostWebhook.Unresolved("HTTP 500"))
    arrive(order, order.emails[1])
    revisions = len(told(order))
    order.hear(ResendMails()).hear(ReplayWebhooks())
    assert len(told(order)) == revisions

    arrive(order, order.emails[0], post)

    assert len(told(order)) == revisions + 2
    assert [one.state for one in told(order)[-1].emails] == ["sent", "sent"]
    assert [one.state for one in told(order)[-1].webhooks] == ["delivered"]


def test_a_delivery_to_a_paused_endpoint_is_told_at_once() -> None:
    order = placed_order(webhook("crm", ["order.received", "order.completed"]))
    order.hear(PauseWebhook(endpoint="crm", reason="maintenance"), STORE.id).hear(PAID)

    (record,) = told(order)
    assert [(one.state, one.text) for one in record.webhooks] == [("paused", "maintenance")]
    order.hear(ResumeWebhook(endpoint="crm"), STORE.id).hear(OrderCompleted())
    assert told(order) == [record]


def test_what_a_worker_of_an_older_build_lost_is_told_with_the_next_change() -> None:
    """It knows of no records; those that it does not know it keeps as they were."""
    order = paid_order(webhook())
    arrive(order, *order.emails, *order.posts())
    before = len(told(order))
    order.hear(OrderFailed(reason="The platform is down."))
    later = order.emails[2:]
    log, at = order.state, order.at + timedelta(seconds=1)
    lost = replace(log.email(later[0].message_id), state="failed", at=at, code="smtp_550", text="x", call=later[0])
    order.put(
        NotificationLog, "o-1", replace(log, emails=tuple(lost if one.id == lost.id else one for one in log.emails))
    )

    arrive(order, later[1])

    assert len(told(order)) == before + 1 and told(order)[-1].emails[2].state == "failed"


def test_an_order_of_which_nothing_was_told_has_no_record_to_send_again() -> None:
    assert last_record(paid_order().state) is None


def test_a_record_of_very_many_fits_into_a_message_and_says_how_many_are_left_out() -> None:
    order = paid_order(webhook())
    order.answer(order.posts()[0], PostWebhook.Failed("gave_up", "Nothing. " * 200), after=["HTTP 500"] * 9)
    arrive(order, *order.emails, *order.posts()[1:])
    log = order.state
    many = tuple(
        replace(log.deliveries[-1], id=f"msg_{number}", state="paused", text="é" * 2000) for number in range(MOST - 1)
    )

    record = status_record(replace(log, deliveries=(*log.deliveries, *many)))

    assert record.left_out == len(log.messages) - 1  # all but the first delivery
    assert len(record.webhooks) == MOST and record.webhooks[0].state == "exhausted"
    assert len(encode(record)) < MAX_BODY


def test_neither_addresses_nor_texts_of_emails_are_in_a_record() -> None:
    order = paid_order()
    order.answer(order.emails[0], SendEmail.Failed("smtp_550", "The mail server answered 550."))
    arrive(order, order.emails[1])
    body = encode(told(order)[-1])
    assert b"ada@example.com" not in body and b"Ada" not in body and b"Field Atlas" not in body
