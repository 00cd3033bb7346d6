"""Whatever comes in whatever order: what must hold of an order holds. (`check_step` looks at every decision.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.checkout.domain.decisions import AbandonOver, GraceOver
from services.checkout.domain.invariants import broken
from services.checkout.domain.order import Order
from shared.contracts.checkout import (
    CancelOrder,
    CompleteOrder,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderPaid,
    OrderPaymentRequested,
    OrderPlaced,
    OrderStatusRecord,
)
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemWaiting,
    StockRefused,
    StockReleased,
    StockReserved,
)
from shared.contracts.notifications import EmailSent
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentDeclined,
    PaymentRefundFailed,
    PaymentUnresolved,
    RefundedLine,
)
from shared.contracts.storefront import CheckoutAbandoned, CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import DeliveryStatus, Instructions, OrderStatus
from shared.core import Decision
from tests.unit.checkout.conversation import OPENED, Conversation, captured, refunded, submission

amounts = st.sampled_from([0, 1, 1000, 2500, 3500, 7000])
attempts = st.integers(1, 3)
items = st.sampled_from(["1", "2", "9"])
counts = st.integers(0, 2)
refunds = st.builds(
    lambda amount, of, so_far, lines: refunded(amount, of=of, so_far=so_far, items=tuple(lines)),
    amounts,
    amounts,
    amounts,
    st.lists(st.builds(RefundedLine, item=items, amount=amounts, whole=st.booleans()), max_size=3),
)
checkouts = st.one_of(
    st.just(OPENED),
    st.just(submission()),
    st.just(submission(discount=3500)),
    st.just(submission("gift", payment=PaymentChoice())),
    st.just(CheckoutPaymentRetried(payment=PaymentChoice(token="tok_visa"))),
    st.just(CheckoutAbandoned()),
)
commands = st.sampled_from([CancelOrder(), CompleteOrder(), AbandonOver(), GraceOver()])
money = st.one_of(
    st.builds(captured, amounts, attempts),
    st.builds(captured, st.just(3500), attempts, st.sampled_from(["USD", "JPY"])),
    st.builds(PaymentDeclined, attempt=attempts, code=st.just("declined"), text=st.just("No.")),
    st.builds(PaymentActionRequired, attempt=attempts, url=st.just("https://bank.example")),
    st.builds(PaymentUnresolved, attempt=attempts, text=st.just("Time-out.")),
    st.builds(PaymentCancelled, attempt=attempts),
    refunds,
    st.builds(
        PaymentRefundFailed,
        refund=st.sampled_from(["r-1", "r-1000", "r-3500"]),
        amount=amounts,
        code=st.just("x"),
        text=st.just("y"),
    ),
)
deliveries = st.one_of(
    st.builds(ItemDelivered, item=items, instructions=st.just(Instructions(kind="code", code="A")), under_way=counts),
    st.builds(ItemWaiting, item=items, code=st.just("x"), text=st.just("y"), under_way=counts),
    st.builds(ItemFailed, item=items, code=st.just("x"), text=st.just("y"), under_way=counts),
    st.builds(ItemRetried, item=items),
    st.builds(ItemRevoked, item=items, under_way=counts),
    st.builds(ItemRevocationFailed, item=items, code=st.just("x"), text=st.just("y")),
)
rest = st.sampled_from(
    [
        StockReserved(),
        StockRefused(skus=("game",)),
        StockReleased(skus={"game": 1}),
        EmailSent(message="m", template="t", audience="customer"),
    ]
)
anything = st.one_of(checkouts, commands, money, deliveries, rest)
PRELUDES: Sequence[Sequence[object]] = (
    (),
    (OPENED, submission()),
    (OPENED, submission(), StockReserved()),
    (submission(), StockReserved(), captured(3500)),
    (submission("gift", payment=PaymentChoice()), StockReserved()),
)


def settled(order: Order) -> bool:
    over = (DeliveryStatus.DELIVERED, DeliveryStatus.REVOKED)
    return all(line.delivery in over or line.refunded_whole for line in order.lines)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(PRELUDES), st.lists(anything, max_size=14))
def test_no_sequence_of_messages_breaks_an_order(prelude: Sequence[object], messages: Sequence[object]) -> None:
    order = Conversation()
    for message in (*prelude, *messages):
        answer = order.answer(message)
        completed = [e for e in answer.events if isinstance(e, OrderCompleted)] if isinstance(answer, Decision) else []
        assert all(event.by_hand or settled(order.order) for event in completed)
    for kind in (OrderPlaced, OrderPaid, OrderCompleted, OrderCancelled, OrderExpired):
        assert len(order.all(kind)) <= 1, kind
    assert len(order.all(OrderCancelled)) + len(order.all(OrderExpired)) <= 1
    check_history(order)


def check_history(order: Conversation) -> None:
    records = order.all(OrderStatusRecord)
    assert [record.revision for record in records] == list(range(1, len(records) + 1))
    requests = order.all(OrderPaymentRequested)
    assert [request.attempt for request in requests] == list(range(1, len(requests) + 1))
    if requests:
        assert {request.amount for request in requests} == {order.order.purchased}
    if order.all(OrderPaid):
        assert order.order.paid == order.order.purchased
    if order.state and order.order.status is OrderStatus.PENDING_PAYMENT:
        assert "GraceOver" in order.timers, "an unpaid order always has an end"
    if order.state and order.order.status is OrderStatus.CREATED:
        assert "AbandonOver" in order.timers


@settings(max_examples=100, deadline=None)
@given(st.lists(anything, max_size=10))
def test_facts_about_an_unknown_order_make_no_order(messages: Sequence[object]) -> None:
    order = Conversation()
    for message in messages:
        if order.state is None:
            order.answer(message)
            assert (order.state is None) == (not order.events)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["course", "game", "atlas", "gift"]), min_size=1, max_size=6), st.data())
def test_an_order_whose_items_all_arrive_completes_and_tells_everything_once(
    skus: Sequence[str], data: st.DataObject
) -> None:
    """Items arrive in any order; the customer hears of each exactly once."""
    order = Conversation()
    order.tell(submission(*skus))
    order.tell(StockReserved())
    if order.order.purchased:
        order.tell(captured(order.order.purchased))
    arrivals = data.draw(st.permutations([line.item.item for line in order.order.lines]))
    for left, item in zip(range(len(arrivals) - 1, -1, -1), arrivals, strict=True):
        under_way = data.draw(st.sampled_from([left, 0]))
        order.tell(ItemDelivered(item=item, instructions=Instructions(kind="manual", note=item), under_way=under_way))
    assert order.order.status is OrderStatus.COMPLETED
    told = [item.item for event in order.events if event.type == "order.items_delivered" for item in event.items]  # type: ignore[attr-defined]
    assert sorted(told) == sorted(arrivals)
    assert broken(order.order, at_rest=True) == []


def test_what_is_left_hanging_is_named() -> None:
    order = Conversation()
    order.tell(submission())
    assert broken(order.order, at_rest=True) == ["the stock question is answered at rest"]
    order.tell(StockReserved())
    assert broken(order.order, at_rest=True) == ["no charge is under way at rest"]
    order.tell(captured(3500))
    assert broken(order.order, at_rest=True) == ["no item of a paid order is forgotten"]
    order.tell(CancelOrder())
    assert broken(order.order, at_rest=True) == ["the money of a cancelled or expired order went back"]


def test_a_damaged_order_is_named() -> None:
    order = Conversation()
    order.tell(submission())
    assert broken(replace(order.order, paid=9999)) == ["refunded ≤ paid ≤ purchased ≤ total"]
    assert broken(replace(order.order, deadline=None)) == ["an order that waits for payment has an end"]
