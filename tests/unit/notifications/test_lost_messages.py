"""Sending again what a store lost in a period."""

from __future__ import annotations

from datetime import timedelta

from services.notifications.domain.lost_messages import lost_in
from services.notifications.domain.operations import FindLost, SendEmail
from shared.contracts.notifications import ReplayLostWebhooks, ReplayWebhooks, ResendLostMails, ResendMails
from shared.core import Sent
from tests.unit.notifications.examples import START, STORE, OrderScenario, paid_order


def test_lost_emails_of_a_period_are_found_and_every_order_resends_its_own() -> None:
    store = OrderScenario().hear(ResendLostMails(since=START), STORE.id)
    assert store.requested == [FindLost(STORE.id, "emails", START, store.at)]

    page = FindLost.Done((("o-1", ("<1@x>",)), ("o-2", ("<2@x>", "<3@x>"))), next="o-2")
    assert store.answer(FindLost, page).sent == [
        Sent("o-1", ResendMails(messages=("<1@x>",))),
        Sent("o-2", ResendMails(messages=("<2@x>",))),
        Sent("o-2", ResendMails(messages=("<3@x>",))),
    ]
    assert store.operation(FindLost).after == "o-2"
    assert store.answer(FindLost, FindLost.Done(())).requested == []


def test_an_email_resent_by_staff_meanwhile_does_not_prevent_the_others() -> None:
    order = paid_order()
    for email in order.emails:
        order.answer(email, SendEmail.Failed("gave_up", "451"), after=["451"])
    ids = tuple(email.message_id for email in order.emails)
    order.hear(ResendMails(messages=ids[:1])).hear(ResendLostMails(since=START), STORE.id)
    order.answer(FindLost, FindLost.Done((("o-1", ids),)))

    assert [email.state for email in order.state.emails] == ["pending", "pending"]


def test_webhook_deliveries_of_one_endpoint_and_a_period_are_replayed() -> None:
    until = START + timedelta(days=1)
    store = OrderScenario().hear(ReplayLostWebhooks(since=START, until=until, endpoint="crm"), STORE.id)

    assert store.requested == [FindLost(STORE.id, "deliveries", START, until, "crm")]
    store.answer(FindLost, FindLost.Done((("o-1", ("msg_1",)),)))
    assert store.sent == [Sent("o-1", ReplayWebhooks(messages=("msg_1",)))]


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    assert OrderScenario().refuses(ResendLostMails(since=START, until=START), STORE.id).code == "empty_period"


def test_the_end_of_the_period_is_not_part_of_it() -> None:
    order = paid_order()
    order.answer(order.emails[0], SendEmail.Failed("smtp_550", "No such mailbox."))
    at, id, second = order.at, order.emails[0].message_id, timedelta(seconds=1)

    def between(since: timedelta, until: timedelta) -> list[str]:
        return list(lost_in(order.state, FindLost(STORE.id, "emails", at + since, at + until)))

    assert between(timedelta(), second) == [id]
    assert between(-second, timedelta()) == [] and between(second, 2 * second) == []
