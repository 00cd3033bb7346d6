"""Whatever happens to an order, in whatever sequence: each notification is sent once, and none stays pending."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.notifications.domain.endpoint import endpoints
from services.notifications.domain.invariants import broken
from services.notifications.domain.notification_log import Fact, NotificationLog
from services.notifications.domain.operations import PostWebhook, RepetitionDue, SendEmail
from services.notifications.domain.webhook_event import subscriptions
from shared.contracts.checkout import (
    DeliveredItem,
    OrderCancelled,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderExpired,
    OrderFailed,
    OrderItemsDelivered,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderRefunded,
    OrderRefundFailed,
)
from shared.contracts.notifications import PauseWebhook, RemoveWebhook, ReplayWebhooks, ResumeWebhook
from shared.contracts.values import Instructions, OrderStatus
from shared.core import Outcome, Task, Work
from tests.unit.notifications.examples import ALL_EVENTS, PAID, STORE, OrderScenario, paid_order, placed, webhook

UNTIL = datetime(2026, 3, 10, tzinfo=UTC)


def parcel(kind: Any) -> DeliveredItem:
    return DeliveredItem(item="1", product="Field Atlas", quantity=1, instructions=Instructions(kind=kind, code="x"))


order_events = st.one_of(
    st.just(placed()),
    st.just(PAID),
    st.builds(
        OrderPaymentDeclined,
        attempt=st.integers(1, 2),
        code=st.just("declined"),
        text=st.just("Declined."),
        url=st.just("https://pay.example"),
        until=st.just(UNTIL),
    ),
    st.just(OrderPaymentActionRequired(url="https://bank.example", until=UNTIL)),
    st.lists(st.sampled_from(["shipment", "download", "code"]).map(parcel), max_size=3).map(
        lambda items: OrderItemsDelivered(items=tuple(items))
    ),
    st.just(OrderDeliveryFailed(item="1", product="Field Atlas", code="x", text="y")),
    st.just(OrderDeliveryResumed(item="1")),
    st.just(OrderRefundFailed(refund="r-1", amount=1, currency="EUR", refunded=0, code="x", text="y")),
    st.just(OrderFailed(reason="x")),
    st.just(OrderCompleted()),
    st.sampled_from([OrderCancelled(), OrderCancelled(code="sold_out")]),
    st.just(OrderExpired(was=OrderStatus.PENDING_PAYMENT)),
    st.sampled_from(["r-1", "r-2"]).map(
        lambda refund: OrderRefunded(refund=refund, amount=1, currency="EUR", refunded=1, whole=False)
    ),
)
store_commands = st.one_of(
    st.builds(
        webhook, st.sampled_from(["crm", "books"]), st.lists(st.sampled_from(ALL_EVENTS), min_size=1, unique=True)
    ),
    st.sampled_from(["crm", "books"]).map(lambda endpoint: PauseWebhook(endpoint=endpoint)),
    st.sampled_from(["crm", "books"]).map(lambda endpoint: ResumeWebhook(endpoint=endpoint)),
    st.sampled_from(["crm", "books"]).map(lambda endpoint: RemoveWebhook(endpoint=endpoint)),
)
email_outcomes: st.SearchStrategy[Outcome] = st.sampled_from(
    [SendEmail.Done(), SendEmail.Failed("x", "y"), SendEmail.Unresolved("no answer")]
)
post_outcomes: st.SearchStrategy[Outcome] = st.sampled_from(
    [
        PostWebhook.Done(200),
        PostWebhook.Failed("gave_up", "HTTP 500"),
        PostWebhook.Failed("gone", "HTTP 410"),
        PostWebhook.Failed("removed", "removed"),
        PostWebhook.Unresolved("no answer"),
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(order_events, max_size=14), st.data())
def test_every_subscribed_endpoint_gets_every_event_once_and_every_email_is_sent_once(
    messages: list[Any], data: st.DataObject
) -> None:
    order = OrderScenario(webhook("crm"), webhook("books", ["order.received"]))
    for message in messages:
        known = facts(order)
        posts = order.hear(message).last.of(PostWebhook)
        new = [fact for fact in facts(order) if fact not in known]
        due = [(event, endpoint.id) for fact in new for event, endpoint in subscriptions(fact, order.endpoints)]
        assert [(post.event, post.endpoint) for post in posts] == due
    ids = [*(post.message_id for post in order.posts()), *(email.message_id for email in order.emails)]
    assert len(ids) == len(set(ids))
    bring_to_rest(order, data)
    assert problems(order, at_rest=True) == []


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(order_events, store_commands, st.just(ReplayWebhooks())), max_size=16), st.data())
def test_invariants_hold_while_endpoints_are_registered_paused_and_removed(
    messages: list[Any], data: st.DataObject
) -> None:
    order = OrderScenario(webhook("crm"))
    for message in messages:
        order.offer(message, STORE.id if type(message) in endpoints.handlers else None)
        assert problems(order) == []
    bring_to_rest(order, data)
    assert problems(order, at_rest=True) == []


def facts(order: OrderScenario) -> tuple[Fact, ...]:
    log = order.row(NotificationLog)
    return log.facts if log else ()


def problems(order: OrderScenario, *, at_rest: bool = False) -> list[str]:
    log = order.row(NotificationLog)
    return list(broken(log, order.endpoints, at_rest=at_rest)) if log else []


def bring_to_rest(order: OrderScenario, data: st.DataObject) -> None:
    """Also through the repetitions of emails in doubt."""
    while emails := [call for _, call in order.open if isinstance(call, SendEmail)]:
        for email in emails:
            order.answer(email, data.draw(email_outcomes), after=["451"])
        order.let_time_pass(timedelta(hours=2))
    order.let_time_pass(timedelta(days=3))
    for _, post in [*order.open]:
        order.answer(post, data.draw(post_outcomes), after=["HTTP 500"])


def test_plain_pydantic_reads_a_notification_log_too() -> None:
    log = paid_order(webhook()).state
    adapter = TypeAdapter(NotificationLog)
    assert adapter.validate_json(adapter.dump_json(log)) == log


def test_missing_repeated_and_pending_messages_are_named() -> None:
    order = paid_order(webhook("crm", ["order.received"]))
    assert problems(order, at_rest=True) == [
        "email order_confirmation (paid) is pending",
        "email new_order (paid) is pending",
        "order.received (paid) to endpoint crm is pending",
    ]
    elsewhere = Work(frozenset({Task("payments", "SendEmail")}), frozenset({"fulfillment"}))
    assert len([*broken(order.state, order.endpoints, at_rest=True, work=elsewhere)]) == 3
    missing = replace(order.state, deliveries=(), emails=order.state.emails[1:])
    assert list(broken(missing, order.endpoints)) == [
        "email order_confirmation (paid) is missing",
        "order.received (paid) to endpoint crm is missing",
    ]
    repeated = replace(order.state, deliveries=order.state.deliveries * 2)
    assert any("delivered twice" in text for text in broken(repeated, order.endpoints))


def test_what_is_pending_is_excused_by_its_own_work_only() -> None:
    order = paid_order(webhook("crm", ["order.received"]), webhook("erp", ["order.received"]))
    log, tasks = order.state, [Task("notifications", type(call).__qualname__, call.about()) for _, call in order.open]
    rules = {
        log.emails[0].id: "email order_confirmation (paid) is pending",
        log.emails[1].id: "email new_order (paid) is pending",
        **{one.id: f"order.received (paid) to endpoint {one.endpoint} is pending" for one in log.deliveries},
    }

    def found(tasks: Iterable[Task]) -> list[str]:
        return list(broken(log, order.endpoints, at_rest=True, work=Work(frozenset(tasks))))

    assert found(tasks) == []
    for lost in tasks:
        others = [task for task in tasks if task != lost]
        assert lost.about and found(others) == [rules[lost.about]]
        assert found([*others, Task("notifications", lost.kind)]) == [], "it cannot be read: it may be this one's"
        repetition = Task("notifications", RepetitionDue.__qualname__, RepetitionDue(lost.about).about())
        assert (found([*others, repetition]) == []) == (lost.kind == "SendEmail")


def test_time_outs_without_an_attempt_or_too_early_and_missing_reasons_are_named() -> None:
    order = paid_order(webhook("crm", ["order.received"]))
    order.answer(PostWebhook, PostWebhook.Failed("gave_up", "not posted: the endpoint does not answer"))
    order.answer(order.emails[0], SendEmail.Failed("gave_up", "451"), after=["451"])
    assert problems(order) == [
        "email order_confirmation (paid) timed out before its time",
        "order.received (paid) to endpoint crm timed out without one attempt",
    ]
    log = order.state
    silent = replace(log, deliveries=tuple(replace(delivery, text=None) for delivery in log.deliveries))
    assert any("without a reason" in text for text in broken(silent, order.endpoints))
    gone = replace(log, emails=tuple(replace(email, call=None) for email in log.emails))
    assert any("cannot be sent again" in text for text in broken(gone, order.endpoints))


def test_an_endpoint_does_not_get_what_happened_before_it_was_registered() -> None:
    order = paid_order().hear(webhook(), STORE.id)
    assert problems(order) == []
