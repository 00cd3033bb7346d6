"""Endpoints, what is posted to them, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from services.notifications.domain.invariants import broken
from services.notifications.domain.operations import PostWebhook, WebhookDeliveryAttempt
from shared.contracts.checkout import (
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryResumed,
    OrderExpired,
    OrderFailed,
    OrderRefunded,
)
from shared.contracts.notifications import (
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhooks,
    ResumeWebhook,
    WebhookDelivered,
    WebhookExhausted,
)
from shared.contracts.values import OrderStatus
from shared.core import Decision, Refused
from tests.unit.notifications.conversation import PAID, STORE, Conversation, hook, paid_order, placed


def test_an_order_posts_exactly_what_each_endpoint_asked_for() -> None:
    order = paid_order(hook("crm"), hook("books", ["order.received", "order.completed"]))
    order.told(OrderCompleted())

    assert [post.event for post in order.posts("books")] == ["order.received", "order.completed"]
    assert [post.event for post in order.posts("crm")] == [
        "order.created",
        "order.updated",
        "order.received",
        "order.updated",
        "order.completed",
        "order.updated",
    ]


def test_the_payload_is_exactly_what_receivers_were_promised() -> None:
    received = next(post for post in paid_order(hook()).posts() if post.event == "order.received")
    payload = json.loads(received.payload)

    assert payload == {
        "event": "order.received",
        "timestamp": "2026-03-03T14:08:00Z",
        "data": {
            "order_number": "ORD-ABCDEFGH12",
            "customer_email": "ada@example.com",
            "total": "27.00",
            "currency": "EUR",
            "items": [{"product_name": "Field Atlas", "quantity": 2, "price": "15.00"}],
        },
    }


@pytest.mark.parametrize(("currency", "total", "price"), [("JPY", "2700", "1500"), ("KWD", "2.700", "1.500")])
def test_amounts_have_their_currencys_decimals(currency: str, total: str, price: str) -> None:
    order = Conversation(hook())
    order.told(placed(currency=currency))

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
    order = paid_order(hook())
    decision = order.told(fact)

    assert [o.event for o in decision.operations if isinstance(o, PostWebhook)] == events


def test_going_on_is_an_update_only_after_a_failure() -> None:
    order = paid_order(hook())
    assert not order.told(OrderDeliveryResumed(item="1")).operations
    order.told(OrderFailed(reason="x"))
    assert len(order.told(OrderDeliveryResumed(item="1")).operations) == 1


def test_a_secret_is_in_no_operation_and_in_no_repr() -> None:
    order = paid_order(hook())
    assert "whsec_" not in repr(order.operations) and "whsec_" not in repr(order.endpoints)


def test_a_delivery_is_logged_attempt_by_attempt() -> None:
    order = paid_order(hook())
    post = order.posts()[0]
    order.came(post, PostWebhook.Done(204), "HTTP 500", "no answer within 10 s")

    assert order.events == [
        WebhookDelivered(message=post.message_id, endpoint="crm", event="order.created", attempts=3)
    ]
    log = [record for record in order.records if isinstance(record, WebhookDeliveryAttempt)]
    assert [(line.result, line.delivered) for line in log] == [
        ("HTTP 500", False),
        ("no answer within 10 s", False),
        ("HTTP 204", True),
    ]


def test_an_exhausted_delivery_alerts_staff_and_a_replay_posts_the_same_bytes_under_the_same_id() -> None:
    order = paid_order(hook())
    post = order.posts()[0]
    order.came(post, PostWebhook.Failed("gave_up", "HTTP 500"), *["HTTP 500"] * 10)

    assert [event.attempts for event in order.events if isinstance(event, WebhookExhausted)] == [10]
    assert order.feed("northwind~staff")[-1].kind == "webhook_exhausted"
    assert order.told(ReplayWebhooks()).operations == [post]

    order.came(post, PostWebhook.Done(200))
    assert [event.attempts for event in order.events if isinstance(event, WebhookDelivered)] == [11]


def test_a_replay_of_one_endpoint_leaves_the_others_alone() -> None:
    order = paid_order(hook("a", ["order.created"]), hook("b", ["order.created"]))
    for post in order.posts():
        order.came(post, PostWebhook.Unresolved("no answer"))

    assert order.told(ReplayWebhooks(endpoint="b")).operations == order.posts("b")[:1]


def test_there_is_not_always_something_to_replay() -> None:
    nothing, unknown = paid_order(hook()).answer(ReplayWebhooks()), Conversation().answer(ReplayWebhooks())

    assert isinstance(nothing, Refused) and nothing.code == "nothing_to_replay"
    assert isinstance(unknown, Refused) and unknown.code == "unknown_order"


def test_an_endpoint_that_is_gone_is_paused() -> None:
    order = paid_order(hook())
    decision = order.came(order.posts()[0], PostWebhook.Failed("gone", "HTTP 410"))

    ((key, command),) = decision.commands
    assert (key, command.endpoint) == (STORE.id, "crm")
    assert isinstance(command, PauseWebhook)
    assert order.thread and order.thread.postings[0].state == "paused"


def test_what_happens_while_an_endpoint_is_paused_is_kept_and_can_be_replayed() -> None:
    order = Conversation(hook("crm", ["order.received"]))
    order.told(placed())
    order.store(PauseWebhook(endpoint="crm", reason="moving house"))
    order.told(PAID)

    assert order.posts() == []
    assert order.thread and [p.state for p in order.thread.postings] == ["paused"]
    assert list(broken(order.thread, order.endpoints)) == []

    order.store(ResumeWebhook(endpoint="crm"))
    order.told(ReplayWebhooks())
    assert [post.event for post in order.posts()] == ["order.received"]


def test_postings_under_way_to_an_endpoint_that_was_paused_or_removed_come_to_rest() -> None:
    order = paid_order(hook("crm", ["order.created", "order.received"]))
    first, second = order.posts()
    order.came(first, PostWebhook.Failed("paused", "The endpoint is paused."))
    order.came(second, PostWebhook.Failed("removed", "The endpoint was removed."))

    assert order.thread and [p.state for p in order.thread.postings] == ["paused", "removed"]
    assert order.events == []


def test_endpoints_are_replaced_removed_and_bounded() -> None:
    order = Conversation(hook("crm"), hook("crm", ["order.received"]))
    assert order.endpoints and [e.events for e in order.endpoints.endpoints] == [("order.received",)]

    assert isinstance(order.store(RemoveWebhook(endpoint="crm")), Decision)
    again = order.store(RemoveWebhook(endpoint="crm"))
    assert isinstance(again, Refused) and again.code == "unknown_endpoint"

    for number in range(50):
        order.store(hook(f"e{number}"))
    full = order.store(hook("one-more"))
    assert isinstance(full, Refused) and full.code == "too_many_endpoints"


def test_pausing_twice_changes_nothing_and_an_unknown_endpoint_is_refused() -> None:
    order = Conversation(hook("crm"))
    order.store(PauseWebhook(endpoint="crm"))
    once = order.endpoints
    order.store(PauseWebhook(endpoint="crm"))

    assert order.endpoints is once
    assert isinstance(order.store(ResumeWebhook(endpoint="nobody")), Refused)
