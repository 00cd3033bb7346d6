"""Refunds, whole and in part, and those that a bank returns (path 5)."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contracts.checkout import CancelOrder, OrderCompleted, OrderItemsDelivered, OrderRefunded, OrderRefundFailed
from shared.contracts.fulfillment import ItemFailed, StockReserved
from shared.contracts.payments import PaymentRefundFailed, PaymentSurplusRefunded, RefundedLine
from shared.contracts.values import DeliveryStatus, OrderStatus, PaymentStatus
from shared.core.fast_dataclasses import replace
from tests.unit.checkout.examples import (
    OPENED,
    OrderScenario,
    captured,
    delivered,
    paid_order,
    refunded,
    store,
    submission,
)

WHOLE = (RefundedLine(item="1", amount=1000, whole=True), RefundedLine(item="2", amount=2500, whole=True))
FIRST_ITEM = RefundedLine(item="1", amount=1000, whole=True)


def test_a_refund_of_the_whole_amount_refunds_the_order() -> None:
    order = paid_order("course", "game").given(delivered("1", under_way=1), delivered("2"))

    (event,) = order.hear(refunded(3500, of=3500)).facts
    assert isinstance(event, OrderRefunded)
    assert (event.whole, event.items) == (True, ("1", "2"))
    assert order.state.status is OrderStatus.REFUNDED
    assert [item.refunded for item in order.record().items] == [1000, 2500]


def test_a_partial_refund_names_the_items_that_are_fully_refunded() -> None:
    order = paid_order("course", "game").given(delivered("1"), delivered("2"))
    lines = (FIRST_ITEM, RefundedLine(item="2", amount=500, whole=False))

    (event,) = order.hear(refunded(1500, of=3500, items=lines)).facts
    assert isinstance(event, OrderRefunded)
    assert (event.whole, event.items, event.refunded) == (False, ("1",), 1500)
    assert order.state.status is OrderStatus.COMPLETED
    assert order.record().payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert [item.refunded for item in order.record().items] == [1000, 500]


def test_two_partial_refunds_make_a_full_one() -> None:
    order = paid_order("course", "game").given(refunded(1500, of=3500), refunded(2000, of=3500, so_far=1500))

    (event,) = order.facts
    assert isinstance(event, OrderRefunded)
    assert event.whole
    assert order.state.status is OrderStatus.REFUNDED


def test_a_refund_of_a_second_capture_is_not_the_orders() -> None:
    order = paid_order("course")

    assert order.hear(captured(1000, attempt=2)).facts == []
    assert order.hear(refunded(1000, of=2000)).facts == []
    assert order.state.refunded == 0
    assert order.record().payment_status is PaymentStatus.PAID


def test_the_refund_of_a_duplicate_charge_only_adds_a_timeline_entry() -> None:
    order = paid_order("course").hear(PaymentSurplusRefunded(refund="r-9", attempt=2, amount=1000, currency="USD"))

    assert order.published == []
    assert order.timeline[-1].what == "payment.surplus_refunded"


def test_a_refund_that_the_bank_returns_is_no_longer_counted() -> None:
    order = paid_order("course", "game")
    order.given(refunded(1000, of=3500, items=(FIRST_ITEM,)), refunded(2500, of=3500, so_far=1000))
    assert order.state.status is OrderStatus.REFUNDED

    order.hear(PaymentRefundFailed(refund="r-3500", amount=2500, code="account_closed", text="The account is closed."))
    (event,) = order.facts
    assert isinstance(event, OrderRefundFailed)
    assert (event.amount, event.refunded, event.text) == (2500, 1000, "The account is closed.")
    assert order.record().refunded == 1000
    assert [item.refunded for item in order.record().items] == [1000, 0]
    assert order.record().payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert order.record().message == "A refund of 25.00 USD failed."
    assert "account is closed" in order.entry("payment.refund_failed").text

    order.hear(refunded(2500, of=3500, so_far=1000))
    assert order.record().payment_status is PaymentStatus.REFUNDED


def test_a_refund_that_is_made_after_all_is_no_longer_told_as_failed() -> None:
    failed = PaymentRefundFailed(refund="r-1", amount=3500, code="made_at_provider", text="re_1 was made before.")
    order = paid_order("course", "game").given(CancelOrder(), failed, refunded(1000, of=3500))
    assert order.record().message == "A refund of 35.00 USD failed."

    order.hear(refunded(2500, of=3500, so_far=1000))

    assert order.record().payment_status is PaymentStatus.REFUNDED
    assert order.record().message is None


def test_lines_never_count_more_than_is_refunded() -> None:
    """A refund of no item in particular came back, after one of all the rest."""
    order = paid_order("course", "game").given(refunded(1750, of=3500), refunded(1750, of=3500, so_far=1750))
    assert [item.refunded for item in order.record().items] == [1000, 2500]
    first = order.state.refunds[0].id
    order.hear(PaymentRefundFailed(refund=first, amount=1750, code="x", text="Returned.", returned=True))
    assert [item.refunded for item in order.record().items] == [500, 1250]
    assert not any(line.refunded_whole for line in order.state.lines)


def test_refunds_that_all_come_back_leave_no_line_below_zero() -> None:
    """The second one had been of all the rest, and the lines were cut when the first came back."""
    order = paid_order("course", "game").given(refunded(1750, of=3500), refunded(1750, of=3500, so_far=1750))
    for refund in order.state.refunds:
        order.hear(PaymentRefundFailed(refund=refund.id, amount=1750, code="x", text="Returned.", returned=True))
    assert (order.record().refunded, [item.refunded for item in order.record().items]) == (0, [0, 0])


def test_an_order_whose_failed_item_is_refunded_completes() -> None:
    order = paid_order("course", "game")
    order.given(delivered("1"), ItemFailed(item="2", code="forbidden", text="Give the bot the right."))

    order.hear(refunded(2500, of=3500, items=(RefundedLine(item="2", amount=2500, whole=True),)))
    assert [type(event) for event in order.facts] == [OrderRefunded, OrderCompleted]


def test_an_item_that_was_refunded_before_it_arrived_is_not_handed_over() -> None:
    order = paid_order("course", "game").given(refunded(1000, of=3500, items=(FIRST_ITEM,)))

    assert order.hear(delivered("1")).facts == []
    assert order.state.lines[0].delivery is DeliveryStatus.PENDING


def test_an_item_whose_refund_the_bank_returned_is_handed_over() -> None:
    refund = refunded(1000, of=3500, items=(FIRST_ITEM,))
    returned = PaymentRefundFailed(refund=refund.refund, amount=1000, code="returned", text="The account is closed.")
    order = paid_order("course", "game").given(refund, returned)

    assert [type(fact) for fact in order.hear(delivered("1")).facts] == [OrderItemsDelivered]


def test_a_refunds_choices_are_passed_on_and_told() -> None:
    order = paid_order("course", "game").given(delivered("1"), delivered("2"))

    (event,) = order.hear(refunded(1000, of=3500, items=(FIRST_ITEM,), remove_access=(), restock=())).facts
    assert isinstance(event, OrderRefunded)
    assert (event.remove_access, event.restock, event.remove_offer_access) == ((), (), False)
    assert (
        order.entry("payment.refunded").text
        == "10.00 USD refunded. Access was left to Course. Not put back in stock: Course."
    )


def test_an_older_build_of_payments_says_nothing_of_choices() -> None:
    order = paid_order("course", "game")
    (event,) = order.hear(refunded(1000, of=3500, items=(FIRST_ITEM,))).facts
    assert isinstance(event, OrderRefunded)
    assert (event.remove_access, event.restock) == (None, None)
    assert order.entry("payment.refunded").text == "10.00 USD refunded."


def partly_refunded(*, shown_as_refunded: bool) -> OrderScenario:
    order = OrderScenario().hear(store(show_partial_refund_as_refunded=shown_as_refunded), "northwind")
    order.given(OPENED, submission("course", "game"), StockReserved(), captured(3500), delivered("1"), delivered("2"))
    return order.hear(refunded(1000, of=3500, items=(FIRST_ITEM,)))


def test_a_store_can_have_a_partly_refunded_order_shown_as_refunded() -> None:
    order = partly_refunded(shown_as_refunded=True)
    assert (order.record().status, order.record().display_status) == (OrderStatus.COMPLETED, OrderStatus.REFUNDED)

    order.hear(PaymentRefundFailed(refund="r-1000", amount=1000, code="x", text="Returned.", returned=True))
    assert order.record().display_status is None
    order.hear(refunded(3500, of=3500))
    assert (order.record().status, order.record().display_status) == (OrderStatus.REFUNDED, None)


def test_otherwise_it_is_shown_as_what_it_is() -> None:
    assert partly_refunded(shown_as_refunded=False).record().display_status is None


def test_a_failed_order_is_shown_as_failed() -> None:
    order = partly_refunded(shown_as_refunded=True)
    failed = replace(order.state, status=OrderStatus.FAILED)
    assert failed.display_status is OrderStatus.FAILED


def test_what_the_customer_keeps_of_a_refunded_item_is_still_handed_over() -> None:
    """The item and its refund may be reported in either order."""
    refund = refunded(1000, of=3500, items=(FIRST_ITEM,), remove_access=())
    for first, second in ((refund, delivered("1", under_way=1)), (delivered("1", under_way=1), refund)):
        order = paid_order("course", "game").given(first, second).hear(delivered("2"))
        (handed,) = (event for event in order.facts if isinstance(event, OrderItemsDelivered))
        assert [item.item for item in handed.items] == ["1", "2"]


def test_an_order_whose_access_was_left_is_still_fulfilled() -> None:
    order = paid_order("course").given(delivered("1"))
    order.hear(refunded(1000, of=1000, items=(FIRST_ITEM,), remove_access=()))
    assert (order.record().status, order.record().fulfilment_status) == (OrderStatus.REFUNDED, "fulfilled")


def test_access_that_an_earlier_refund_left_stays_so_when_the_rest_is_refunded() -> None:
    order = paid_order("course", "game").given(delivered("1"), delivered("2"))
    order.given(refunded(1000, of=3500, items=(FIRST_ITEM,), remove_access=()))
    second = RefundedLine(item="2", amount=2500, whole=True)
    order.hear(refunded(2500, of=3500, so_far=1000, items=(second,), remove_access=("2",)))
    assert [line.access_left for line in order.state.lines] == [True, False]


def test_what_is_kept_of_a_wholly_refunded_order_is_handed_over_before_it_closes() -> None:
    order = paid_order("course", "game").given(delivered("1", under_way=1), delivered("order", under_way=1))
    handed, event = order.hear(refunded(3500, of=3500, items=WHOLE, remove_access=(), restock=())).facts
    assert isinstance(handed, OrderItemsDelivered)
    assert [item.item for item in handed.items] == ["1", "order"]
    assert isinstance(event, OrderRefunded)
    assert order.state.status is OrderStatus.REFUNDED


@pytest.mark.parametrize(
    ("choices", "kept"),
    [
        ({}, None),
        ({"remove_access": ("1", "2")}, ["order"]),
        ({"remove_access": ("1", "2"), "remove_offer_access": True}, None),
        ({"remove_access": ("2",), "remove_offer_access": True}, ["1"]),
    ],
)
def test_nothing_is_handed_over_whose_access_is_removed(choices: dict[str, Any], kept: list[str] | None) -> None:
    order = paid_order("course", "game").given(delivered("1", under_way=1), delivered("order", under_way=1))
    *handed, event = order.hear(refunded(3500, of=3500, items=WHOLE, **choices)).facts
    assert isinstance(event, OrderRefunded)
    assert [[item.item for item in it.items] for it in handed if isinstance(it, OrderItemsDelivered)] == (
        [kept] if kept else []
    )


@pytest.mark.parametrize(("amount", "removed"), [(1000, False), (3500, True)])
def test_an_older_build_of_payments_leaves_it_to_the_whole_refund_what_comes_with_the_order(
    amount: int, removed: bool
) -> None:
    order = paid_order("course", "game").hear(refunded(amount, of=3500))
    assert [event.remove_offer_access for event in order.facts if isinstance(event, OrderRefunded)] == [removed]


@pytest.mark.parametrize("captured_in_all", [3000, 3500, 4000, 4500, 9000])
@pytest.mark.parametrize("first", ["items", "beyond"])
def test_a_refund_of_items_counts_whatever_was_captured(captured_in_all: int, first: str) -> None:
    """A settled charge that the provider then reported with another amount. What is more than the order's is apart."""
    order, so_far, beyond = paid_order("course", "game"), 0, max(captured_in_all - 3500, 0)
    if first == "beyond" and beyond:
        assert order.hear(refunded(beyond, of=captured_in_all)).facts == []
        so_far = beyond
    item = refunded(1000, of=captured_in_all, so_far=so_far, items=(FIRST_ITEM,))
    (event,) = order.hear(item).facts
    assert isinstance(event, OrderRefunded)
    assert (event.items, event.refunded) == (("1",), max(1000, 4500 - captured_in_all))
    assert order.hear(item).facts == []
    left = min(2500, captured_in_all - 1000)
    second = RefundedLine(item="2", amount=left, whole=True)
    (event,) = order.hear(refunded(left, of=captured_in_all, so_far=so_far + 1000, items=(second,))).facts
    assert isinstance(event, OrderRefunded)
    assert (event.whole, order.state.status, order.state.refunded) == (True, OrderStatus.REFUNDED, 3500)
    if first == "items" and beyond:
        assert order.hear(refunded(beyond, of=captured_in_all, so_far=3500)).facts == []
