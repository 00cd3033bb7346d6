"""The invariants of an order hold for any messages in any order. (`check_step` checks every decision.)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.checkout.domain.invariants import broken
from services.checkout.domain.order import Order, PaymentOverdue, SubmissionOverdue
from services.checkout.domain.status_record import status_record
from shared.contracts.checkout import (
    CancelOrder,
    CompleteOrder,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderItemsDelivered,
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
    StockReserved,
)
from shared.contracts.order_work import AnswerOrder, NoteOrder, ReopenOrder
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentDeclined,
    PaymentRefundFailed,
    PaymentUnresolved,
    RefundedLine,
)
from shared.contracts.storefront import CheckoutAbandoned, CheckoutAsked, CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import VOID, Instructions, OrderStatus, PaidElsewhere
from shared.core import Task, Work, codec
from tests.unit.checkout.examples import OPENED, OrderScenario, captured, refunded, submission

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
    st.just(submission("course", delivery=2500, tax=10)),
    st.just(submission("gift", payment=PaymentChoice())),
    st.just(CheckoutPaymentRetried(payment=PaymentChoice(token="tok_visa"))),
    st.just(CheckoutAbandoned()),
)
commands = st.sampled_from(
    [
        CancelOrder(),
        CompleteOrder(),
        CompleteOrder(paid=PaidElsewhere(method="cash")),
        CompleteOrder(given=True),
        CompleteOrder(restore_refunded=True),
        CompleteOrder(latest_configuration=True),
        CheckoutAsked(wants="cancel"),
        CheckoutAsked(wants="refund"),
        AnswerOrder(wants="cancel", granted=True),
        AnswerOrder(wants="refund", granted=False),
        NoteOrder(text="A note."),
        ReopenOrder(tries=1),
        SubmissionOverdue(),
        PaymentOverdue(),
    ]
)
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
    ]
)
anything = st.one_of(checkouts, commands, money, deliveries, rest)
PRELUDES: Sequence[Sequence[object]] = (
    (),
    (OPENED, submission()),
    (OPENED, submission(), StockReserved()),
    (submission(), StockReserved(), captured(3500)),
    (submission("gift", payment=PaymentChoice()), StockReserved()),
    (submission("course", delivery=2500), StockReserved(), captured(3500)),
    (submission(), StockReserved(), CompleteOrder(given=True), PaymentCancelled(attempt=1)),
    (submission(), StockReserved(), PaymentCancelled(attempt=1, code="amount_too_small", text="Too small.")),
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(PRELUDES), st.lists(anything, max_size=14))
def test_no_sequence_of_messages_breaks_an_order(prelude: Sequence[object], messages: Sequence[object]) -> None:
    order = OrderScenario()
    for message in (*prelude, *messages):
        order.offer(message)
        for event in order.last.of(OrderCompleted):
            assert event.by_hand or all(line.is_finished for line in order.state.lines)
    for kind in (OrderPlaced, OrderPaid, OrderCompleted):
        assert len(order.all.of(kind)) <= 1, kind
    assert len(order.all.of(OrderCancelled, OrderExpired)) <= 1
    check_history(order)


def check_history(scenario: OrderScenario) -> None:
    records = scenario.all.of(OrderStatusRecord)
    assert [record.revision for record in records] == list(range(1, len(records) + 1))
    requests = scenario.all.of(OrderPaymentRequested)
    assert [request.attempt for request in requests] == list(range(1, len(requests) + 1))
    order = scenario.row(Order)
    if order is None:
        assert not records
        return
    assert {request.amount for request in requests} <= {order.purchased}
    told = {event.amount for event in scenario.all.of(OrderPaid)}
    assert told <= {0 if order.given else order.purchased}
    assert not told or order.paid in told or order.status in VOID, "what is captured after the end is refunded"
    if order.status is OrderStatus.PENDING_PAYMENT or order.payment_failed:
        assert scenario.timer(PaymentOverdue), "an unpaid order always has an end"
    if order.status is OrderStatus.CREATED:
        assert scenario.timer(SubmissionOverdue)


@settings(max_examples=100, deadline=None)
@given(st.lists(anything, max_size=10))
def test_facts_about_an_unknown_order_make_no_order(messages: Sequence[object]) -> None:
    order = OrderScenario()
    for message in messages:
        if order.row(Order) is None:
            order.offer(message)
            assert (order.row(Order) is None) == (not order.published)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["course", "game", "atlas", "gift"]), min_size=1, max_size=6), st.data())
def test_an_order_whose_items_all_arrive_completes_and_every_item_is_sent_once(
    skus: Sequence[str], data: st.DataObject
) -> None:
    """Items arrive in any order."""
    order = OrderScenario(submission(*skus), StockReserved())
    if order.state.purchased:
        order.hear(captured(order.state.purchased))
    arrivals = data.draw(st.permutations([line.item.item for line in order.state.lines]))
    for left, item in zip(range(len(arrivals) - 1, -1, -1), arrivals, strict=True):
        under_way = data.draw(st.sampled_from([left, 0]))
        order.hear(ItemDelivered(item=item, instructions=Instructions(kind="manual", note=item), under_way=under_way))
    assert order.state.status is OrderStatus.COMPLETED
    sent = [item.item for event in order.all.of(OrderItemsDelivered) for item in event.items]
    assert sorted(sent) == sorted(arrivals)
    assert broken(order.state, at_rest=True) == []


def test_an_order_that_is_left_unfinished_is_named() -> None:
    order = OrderScenario(submission())
    assert broken(order.state, at_rest=True) == ["stock is reserved or refused at rest"]
    order.hear(StockReserved())
    assert broken(order.state, at_rest=True) == ["no charge is in progress at rest"]
    order.hear(captured(3500))
    assert broken(order.state, at_rest=True) == ["no item of a paid order is forgotten"]
    order.hear(CancelOrder())
    assert broken(order.state, at_rest=True) == ["a cancelled or expired order is fully refunded"]


def test_a_cancelled_order_keeps_only_what_could_not_be_refunded() -> None:
    """It is owed, not lost: `orderbus payments owed` lists it."""

    def kept(amount: int, *, made: bool) -> list[str]:
        order = OrderScenario(submission()).given(StockReserved(), captured(3500), CancelOrder())
        refund = refunded(3500, of=3500)
        failed = PaymentRefundFailed(refund=refund.refund, amount=amount, code="lost", text="", returned=made)
        order.given(*((refund, failed) if made else (failed,)))
        assert (order.state.refunded, order.state.failed_refunds) == (0, amount)
        return broken(order.state, at_rest=True)

    assert kept(3500, made=True) == kept(3500, made=False) == []
    assert kept(3499, made=False) == ["a cancelled or expired order is fully refunded"]


def test_a_rule_is_excused_only_by_what_it_waits_for() -> None:
    """An order that waits for payment has a timer for days; its customer gets mails and its store gets webhooks."""
    idle = Work(
        frozenset({Task("checkout", "PaymentOverdue"), Task("notifications", "PostWebhook")}),
        frozenset({"notifications"}),
    )
    charging, parked = Work(frozenset({Task("payments", "ChargeCard")})), Work(parked=frozenset({"payments"}))
    delivering = Work(frozenset({Task("fulfillment", "TakeCode")}))
    order = OrderScenario(submission())
    for reached, rule, works in (
        (None, "stock is reserved or refused at rest", [Work(parked=frozenset({"fulfillment"}))]),
        (StockReserved(), "no charge is in progress at rest", [charging, parked]),
        (captured(3500), "no item of a paid order is forgotten", [delivering]),
        (CancelOrder(), "a cancelled or expired order is fully refunded", [charging, parked]),
    ):
        if reached:
            order.hear(reached)
        assert broken(order.state, at_rest=True, work=idle) == [rule]
        for work in works:
            assert broken(order.state, at_rest=True, work=work) == []
    assert broken(order.state, at_rest=True, work=delivering) == ["a cancelled or expired order is fully refunded"]


def test_a_damaged_order_is_named() -> None:
    order = OrderScenario(submission()).state
    assert broken(replace(order, paid=9999)) == ["refunded ≤ paid ≤ purchased ≤ total"]
    assert broken(replace(order, deadline=None)) == ["an order that waits for payment has an end"]


def test_lines_whose_sums_are_damaged_are_named() -> None:
    order = OrderScenario(submission(tax=350, discount=70)).state
    first, second = order.lines

    def with_items(**changes: int | None) -> Order:
        return replace(order, lines=(replace(first, item=first.item.model_copy(update=changes)), second))

    own, taxes = "each line is worth its own tax and discount", "the lines' taxes sum to the tax"
    assert broken(with_items(tax=99)) == [taxes, own]
    assert broken(with_items(discount=21)) == ["the lines' discounts sum to the discount", own]
    assert broken(with_items(tax=None, discount=None)) == [], "placed by an earlier version"


def test_an_order_that_an_earlier_version_placed_is_read_and_goes_on() -> None:
    order = OrderScenario(submission(tax=350, discount=70))
    stored = json.loads(codec.dump(order.state))
    del stored["prices_include_tax"]
    for line in stored["lines"]:
        for name in ("discount", "tax", "tax_rate", "tax_country"):
            line["item"].pop(name, None)

    read = codec.load(Order, json.dumps(stored))
    assert broken(read) == []
    assert [item.purchased for item in status_record(read).items] == [1080, 2700]
