"""What is said of orders that are given or free, and of those that staff completed."""

from __future__ import annotations

import json
from dataclasses import replace

from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import PostWebhook
from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.checkout import OrderCompleted, OrderPaid
from shared.contracts.notifications import ReplayWebhooks
from tests.unit.notifications.examples import CUSTOMER, PAID, STAFF, OrderScenario, bodies, placed, webhook

SHOWN = ("order.created", "order.received", "order.completed")


def test_of_an_order_that_is_given_or_free_no_reader_hears_of_a_payment() -> None:
    order = OrderScenario().hear(placed()).hear(OrderPaid(amount=0, currency="EUR"))
    confirmation, alert = order.emails
    for shown in bodies(EmailTemplates().render(confirmation)):
        assert "There is nothing to pay for order ORD-ABCDEFGH12." in shown and "payment" not in shown
    for shown in bodies(EmailTemplates().render(alert)):
        assert "Order ORD-ABCDEFGH12 of Ada Lovelace" in shown and "paid" not in shown
    assert alert.subject == "New order ORD-ABCDEFGH12: €0.00"
    assert order.feed(CUSTOMER)[-1].text == "There is nothing to pay."
    assert order.feed(STAFF)[-1].text == "€0.00 from Ada Lovelace."


def test_what_staff_completed_need_not_be_delivered() -> None:
    order = OrderScenario().hear(placed()).hear(PAID).hear(OrderCompleted(by_hand=True))
    assert (order.feed(CUSTOMER)[-1].title, order.feed(CUSTOMER)[-1].text) == (
        "Order ORD-ABCDEFGH12 is complete",
        "",
    )


def test_webhooks_say_what_was_paid_until_then_also_when_they_are_posted_again() -> None:
    order = OrderScenario(webhook()).hear(placed()).hear(OrderPaid(amount=0, currency="EUR")).hear(OrderCompleted())
    other = OrderScenario(webhook()).hear(placed()).hear(PAID)

    def paid(posts: list[PostWebhook]) -> dict[str, str]:
        return {post.event: json.loads(post.payload)["data"].get("paid") for post in posts if post.event in SHOWN}

    assert paid(order.posts()) == {"order.created": "0.00", "order.received": "0.00", "order.completed": "0.00"}
    assert paid(other.posts()) == {"order.created": "0.00", "order.received": "27.00"}
    created = other.posts()[0]
    other.answer(created, PostWebhook.Failed("gave_up", "HTTP 500"), after=["HTTP 500"] * 10)
    assert other.hear(ReplayWebhooks()).requested == [created]


def test_of_an_order_that_an_older_build_was_told_is_paid_they_do_not_say_it() -> None:
    order = OrderScenario(webhook()).hear(placed()).hear(PAID)
    order.put(NotificationLog, order.key, replace(order.state, amount_paid=None))
    order.hear(OrderCompleted())
    assert "paid" not in json.loads(order.posts()[-1].payload)["data"]
