"""Customers who have not paid are reminded by email and in their feed; of who can pay no more staff are told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.checkout import OrderFailed, OrderPaymentReminder
from tests.unit.notifications.examples import CUSTOMER, STAFF, bodies, placed_order

UNTIL = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("declined", [True, False])
def test_each_reminder_is_an_email_and_a_feed_entry(declined: bool) -> None:
    order = placed_order()
    for number in (1, 2):
        order.hear(
            OrderPaymentReminder(
                reminder=number,
                amount=2700,
                currency="EUR",
                url="https://pay.example/1",
                until=UNTIL,
                declined=declined,
            )
        )
    first, second = order.emails
    assert first.message_id != second.message_id
    assert first.subject == "Your order ORD-ABCDEFGH12 is not paid yet"
    text, _ = bodies(EmailTemplates().render(first))
    assert "Please pay €27.00 by March\u00a010, 2026, 9:30\u00a0AM UTC" in text and "https://pay.example/1" in text
    assert ("the last payment did not go through" in text) == declined
    entry = order.feed(CUSTOMER)[-1]
    assert (entry.text, entry.link) == (
        "Please pay €27.00 by March\u00a010, 2026, 9:30\u00a0AM UTC.",
        "https://pay.example/1",
    )


def test_of_an_order_that_cannot_be_paid_any_more_staff_are_told_and_the_customer_was_before() -> None:
    order = placed_order()
    order.hear(OrderFailed(reason="Your card was declined. No further try is left.", unpaid=True))

    (alert,) = order.emails
    assert (alert.template, alert.to) == ("order_failed", "staff@northwind.example")
    assert order.feed(STAFF)[-1].text == "Your card was declined. No further try is left."
    assert [entry.kind for entry in order.feed(CUSTOMER)] == ["order_placed"]
