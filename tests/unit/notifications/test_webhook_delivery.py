"""Webhook deliveries: which events go to which endpoints, their payload and their outcomes."""

from __future__ import annotations

import json

import pytest

from services.notifications.domain.invariants import broken
from services.notifications.domain.operations import PostWebhook
from services.notifications.domain.records import WebhookDeliveryAttempt
from shared.contracts.checkout import (
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryResumed,
    OrderExpired,
    OrderFailed,
    OrderRefunded,
    OrderRefundFailed,
)
from shared.contracts.notifications import (
    MessageStatusRecord,
    PauseWebhook,
    ReplayWebhooks,
    ResumeWebhook,
    WebhookExhausted,
)
from shared.contracts.values import OrderStatus
from shared.core import Sent
from tests.unit.notifications.examples import (
    ATLAS,
    DELIVERY,
    PAID,
    STAFF,
    STORE,
    OrderScenario,
    paid_order,
    placed,
    placed_order,
    webhook,
)


def test_each_endpoint_gets_exactly_the_events_it_subscribes_to() -> None:
    order = paid_order(webhook("crm"), webhook("books", ["order.received", "order.completed"]))
    order.hear(OrderCompleted())

    assert [post.event for post in order.posts("books")] == ["order.received", "order.completed"]
    assert [post.event for post in order.posts("crm")] == [
        "order.created",
        "order.updated",
        "order.received",
        "order.updated",
        "order.completed",
        "order.updated",
    ]


def test_the_payload_is_as_documented() -> None:
    received = next(post for post in paid_order(webhook()).posts() if post.event == "order.received")
    payload = json.loads(received.payload)

    assert payload == {
        "event": "order.received",
        "timestamp": "2026-03-03T14:08:00.000000Z",
        "data": {
            "order_number": "ORD-ABCDEFGH12",
            "customer_email": "ada@example.com",
            "status": "processing",
            "total": "27.00",
            "paid": "27.00",
            "currency": "EUR",
            "items": [{"product_name": "Field Atlas", "quantity": 2, "price": "15.00"}],
        },
    }


def test_webhooks_list_the_products_only() -> None:
    order = OrderScenario(webhook()).hear(placed(items=(ATLAS, DELIVERY)))
    items = json.loads(order.posts()[0].payload)["data"]["items"]
    assert [item["product_name"] for item in items] == ["Field Atlas"]


@pytest.mark.parametrize(("currency", "total", "price"), [("JPY", "2700", "1500"), ("KWD", "2.700", "1.500")])
def test_amounts_have_their_currencys_decimals(currency: str, total: str, price: str) -> None:
    order = OrderScenario(webhook()).given(placed(currency=currency))

    data = json.loads(order.posts()[0].payload)["data"]
    assert (data["total"], data["items"][0]["price"]) == (total, price)


@pytest.mark.parametrize(
    ("fact", "events"),
    [
        (OrderCancelled(), ["order.updated"]),
        (OrderExpired(was=OrderStatus.PENDING_PAYMENT), ["order.updated"]),
        (OrderFailed(reason="x"), ["order.updated"]),
        (
            OrderRefunded(refund="r", amount=1, currency="EUR", refunded=1, whole=False),
            ["order.refunded", "order.updated"],
        ),
    ],
)
def test_every_change_of_status_is_an_update(fact: object, events: list[str]) -> None:
    order = paid_order(webhook()).hear(fact)

    assert [post.event for post in order.last.of(PostWebhook)] == events


def refunded(status: OrderStatus | None = None, *, whole: bool = False) -> OrderRefunded:
    return OrderRefunded(refund="r", amount=150, currency="EUR", refunded=150, whole=whole, status=status)


NOT_REFUNDED = OrderRefundFailed(
    refund="r", amount=150, currency="EUR", refunded=0, code="c", text="t", status=OrderStatus.COMPLETED
)


@pytest.mark.parametrize(
    ("fact", "status"),
    [
        (OrderCompleted(), "completed"),
        (OrderCancelled(), "cancelled"),
        (OrderExpired(was=OrderStatus.PENDING_PAYMENT), "expired"),
        (OrderFailed(reason="x"), "failed"),
        (refunded(OrderStatus.PROCESSING), "processing"),
        (refunded(OrderStatus.REFUNDED, whole=True), "refunded"),
        (NOT_REFUNDED, "completed"),
        (refunded(whole=True), None),
    ],
)
def test_every_event_has_the_orders_status(fact: object, status: str | None) -> None:
    """Of what an older build tells it is not always known."""
    endpoint = webhook("crm", ["order.updated", "order.refund_failed"])
    posts = paid_order(endpoint).hear(fact).last.of(PostWebhook)
    assert {json.loads(post.payload)["data"].get("status") for post in posts} == {status}


def test_an_order_begins_as_pending_payment_or_as_a_request() -> None:
    statuses = [
        json.loads(OrderScenario(webhook()).hear(placed(to_approve=to_approve)).posts()[0].payload)["data"]["status"]
        for to_approve in (None, True)
    ]
    assert statuses == ["pending_payment", "received"]


def test_events_of_a_refund_have_its_amount() -> None:
    order = paid_order(webhook()).hear(refunded(OrderStatus.PROCESSING))
    amounts = [json.loads(post.payload)["data"].get("refund_amount") for post in order.posts()]
    assert amounts == [None] * 4 + ["1.50"] * 2


def test_a_resumed_delivery_is_an_update_only_after_a_failure() -> None:
    order = paid_order(webhook())
    assert not order.hear(OrderDeliveryResumed(item="1")).requested
    order.hear(OrderFailed(reason="x"))
    assert len(order.hear(OrderDeliveryResumed(item="1")).requested) == 1


def test_a_secret_is_in_no_operation_and_in_no_repr() -> None:
    order = paid_order(webhook())
    assert "whsec_" not in repr(order.all.requested) and "whsec_" not in repr(order.endpoints)


def test_a_delivery_is_logged_attempt_by_attempt() -> None:
    order = paid_order(webhook())
    post = order.posts()[0]
    order.answer(post, PostWebhook.Done(204), after=["HTTP 500", "no answer within 10 s"])

    assert [type(event) for event in order.published] == [MessageStatusRecord]
    assert order.state.deliveries[0].attempts == 3
    assert [(one.result, one.delivered) for one in order.all.of(WebhookDeliveryAttempt)] == [
        ("HTTP 500", False),
        ("no answer within 10 s", False),
        ("HTTP 204", True),
    ]


def test_an_exhausted_delivery_alerts_staff_and_a_replay_posts_the_same_bytes_under_the_same_id() -> None:
    order = paid_order(webhook())
    post = order.posts()[0]
    order.answer(post, PostWebhook.Failed("gave_up", "HTTP 500"), after=["HTTP 500"] * 10)

    assert [event.attempts for event in order.all.of(WebhookExhausted)] == [10]
    assert order.feed(STAFF)[-1].kind == "webhook_exhausted"
    assert order.hear(ReplayWebhooks()).requested == [post]

    order.answer(post, PostWebhook.Done(200))
    assert (order.state.deliveries[0].state, order.state.deliveries[0].attempts) == ("delivered", 11)


def test_a_replay_of_one_endpoint_leaves_the_others_alone() -> None:
    order = paid_order(webhook("a", ["order.created"]), webhook("b", ["order.created"]))
    for post in order.posts():
        order.answer(post, PostWebhook.Unresolved("no answer"))

    assert order.hear(ReplayWebhooks(endpoint="b")).requested == order.posts("b")[:1]


def test_there_is_not_always_something_to_replay() -> None:
    order = paid_order(webhook())
    waits = order.refuses(ReplayWebhooks())
    assert waits.code == "nothing_to_replay"
    assert "is tried again by itself" in waits.text and "`orderbus waiting` says when" in waits.text
    for post in order.posts():
        order.answer(post, PostWebhook.Done(200))
    assert "has no such webhook delivery" in order.refuses(ReplayWebhooks()).text
    assert OrderScenario().refuses(ReplayWebhooks()).code == "unknown_order"


def test_an_endpoint_that_is_gone_is_paused() -> None:
    order = paid_order(webhook())
    order.answer(order.posts()[0], PostWebhook.Failed("gone", "HTTP 410"))

    assert order.sent == [Sent(STORE.id, PauseWebhook(endpoint="crm", reason="It answered 410 Gone."))]
    assert order.endpoints.endpoints[0].paused
    assert order.state.deliveries[0].state == "paused"


def test_deliveries_to_a_paused_endpoint_are_kept_and_can_be_replayed() -> None:
    order = placed_order(webhook("crm", ["order.received"]))
    order.hear(PauseWebhook(endpoint="crm", reason="maintenance"), STORE.id)
    order.hear(PAID)

    assert order.posts() == []
    assert [delivery.state for delivery in order.state.deliveries] == ["paused"]
    assert list(broken(order.state, order.endpoints)) == []

    order.hear(ResumeWebhook(endpoint="crm"), STORE.id).hear(ReplayWebhooks())
    assert [post.event for post in order.posts()] == ["order.received"]


def test_pending_deliveries_end_when_their_endpoint_is_paused_or_removed() -> None:
    order = paid_order(webhook("crm", ["order.created", "order.received"]))
    first, second = order.posts()
    order.answer(first, PostWebhook.Failed("paused", "The endpoint is paused."))
    order.answer(second, PostWebhook.Failed("removed", "The endpoint was removed."))

    assert [delivery.state for delivery in order.state.deliveries] == ["paused", "removed"]
    assert [type(event) for event in order.all.published] == [MessageStatusRecord] * 2
