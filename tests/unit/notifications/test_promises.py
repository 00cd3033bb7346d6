"""Whatever happens to an order in whatever sequence: everybody is told once, and nothing stays open (invariant 7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.notifications.domain import webhooks
from services.notifications.domain.invariants import broken
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.notifications.domain.state import Endpoints, NotificationLog
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
from shared.core import Outcome, codec
from tests.unit.notifications.conversation import ALL_EVENTS, PAID, Conversation, hook, paid_order, placed

UNTIL = datetime(2026, 3, 10, tzinfo=UTC)


def parcel(kind: Any) -> DeliveredItem:
    return DeliveredItem(item="1", product="Field Atlas", quantity=1, instructions=Instructions(kind=kind, code="x"))


facts = st.one_of(
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
    st.builds(hook, st.sampled_from(["crm", "books"]), st.lists(st.sampled_from(ALL_EVENTS), min_size=1, unique=True)),
    st.sampled_from(["crm", "books"]).map(lambda endpoint: PauseWebhook(endpoint=endpoint)),
    st.sampled_from(["crm", "books"]).map(lambda endpoint: ResumeWebhook(endpoint=endpoint)),
    st.sampled_from(["crm", "books"]).map(lambda endpoint: RemoveWebhook(endpoint=endpoint)),
)
outcomes: st.SearchStrategy[Outcome] = st.sampled_from(
    [
        PostWebhook.Done(200),
        PostWebhook.Failed("gave_up", "HTTP 500"),
        PostWebhook.Failed("gone", "HTTP 410"),
        PostWebhook.Failed("removed", "removed"),
        PostWebhook.Unresolved("no answer"),
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(facts, max_size=14), st.data())
def test_every_matching_endpoint_gets_every_event_once_and_every_mail_goes_out_once(
    told: list[Any], data: st.DataObject
) -> None:
    order = Conversation(hook("crm"), hook("books", ["order.received"]))
    for message in told:
        before = order.thread
        decision = order.told(message)
        posted = [(o.event, o.endpoint) for o in decision.operations if isinstance(o, PostWebhook)]
        new = decision.state.facts[len(before.facts) if before else 0 :] if decision.state else ()
        assert posted == [(event, e.id) for fact in new for event, e in webhooks.due(fact, order.endpoints)]
    ids = [post.message_id for post in order.posts()] + [mail.message_id for mail in order.mails()]
    assert len(ids) == len(set(ids))
    _bring_to_rest(order, data)
    assert order.thread is None or list(broken(order.thread, order.endpoints, at_rest=True)) == []


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(facts, store_commands, st.just(ReplayWebhooks())), max_size=16), st.data())
def test_promises_hold_while_endpoints_come_pause_and_go(told: list[Any], data: st.DataObject) -> None:
    order = Conversation(hook("crm"))
    for message in told:
        if isinstance(message, PauseWebhook | ResumeWebhook | RemoveWebhook | type(hook())):
            order.store(message)
        else:
            order.answer(message)
        if order.thread:
            assert list(broken(order.thread, order.endpoints)) == []
            assert codec.load(NotificationLog, codec.dump(order.thread)) == order.thread
        if order.endpoints:
            assert codec.load(Endpoints, codec.dump(order.endpoints)) == order.endpoints
    _bring_to_rest(order, data)
    assert order.thread is None or list(broken(order.thread, order.endpoints, at_rest=True)) == []


def _bring_to_rest(order: Conversation, data: st.DataObject) -> None:
    order.at += timedelta(days=3)
    for operation in order.operations:
        if isinstance(operation, SendEmail):
            ends = [SendEmail.Done(), SendEmail.Failed("x", "y"), SendEmail.Unresolved("no answer")]
            _end_mail(order, operation, data.draw(st.sampled_from(ends)))
        else:
            order.came(operation, data.draw(outcomes), "HTTP 500")


def _end_mail(order: Conversation, operation: SendEmail, outcome: Outcome) -> None:
    """Also through all repetitions of a mail that stays in doubt."""
    decision = order.came(operation, outcome, "451")
    while decision.timers:
        order.told(decision.timers[0].message)
        decision = order.came(operation, outcome, "451")


def test_operations_survive_the_queue() -> None:
    order = paid_order(hook())
    for operation in order.operations:
        assert codec.load(type(operation), codec.dump(operation)) == operation


def test_plain_pydantic_reads_a_thread_back_too() -> None:
    thread = paid_order(hook()).thread
    assert thread
    adapter = TypeAdapter(NotificationLog)
    assert adapter.validate_json(adapter.dump_json(thread)) == thread


def test_a_posting_or_mail_that_is_missing_doubled_or_pending_is_named() -> None:
    order = paid_order(hook("crm", ["order.received"]))
    thread = order.thread
    assert thread and order.endpoints
    assert list(broken(thread, order.endpoints, at_rest=True)) == [
        "mail order_confirmation (paid) is still pending",
        "mail new_order (paid) is still pending",
        "order.received (paid) to endpoint crm is still pending",
    ]
    absent = replace(thread, postings=(), mails=thread.mails[1:])
    assert list(broken(absent, order.endpoints)) == [
        "mail order_confirmation (paid) is absent",
        "order.received (paid) to endpoint crm is absent",
    ]
    doubled = replace(thread, postings=thread.postings * 2)
    assert any("posted twice" in text for text in broken(doubled, order.endpoints))


def test_what_is_given_up_without_tries_or_early_or_without_a_reason_is_named() -> None:
    order = paid_order(hook("crm", ["order.received"]))
    (post,) = order.posts()
    order.came(post, PostWebhook.Failed("gave_up", "not posted: the endpoint does not answer"))
    order.came(order.mails()[0], SendEmail.Failed("gave_up", "451"), "451")
    assert order.thread and list(broken(order.thread, order.endpoints)) == [
        "mail order_confirmation (paid) was given up before its time",
        "order.received (paid) to endpoint crm was given up without one try",
    ]
    silent = replace(order.thread, postings=tuple(replace(p, text=None) for p in order.thread.postings))
    assert any("without a reason" in text for text in broken(silent, order.endpoints))
    gone = replace(order.thread, mails=tuple(replace(m, content=None) for m in order.thread.mails))
    assert any("cannot be sent again" in text for text in broken(gone, order.endpoints))


def test_an_endpoint_is_not_owed_what_happened_before_it_came() -> None:
    order = paid_order()
    order.at += timedelta(minutes=1)
    order.store(hook())
    assert order.thread and list(broken(order.thread, order.endpoints)) == []
