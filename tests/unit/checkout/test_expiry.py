"""The time to pay is over while a payment is open: payments looks once more before the order expires."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.checkout.domain.invariants import broken
from services.checkout.domain.order import ChargeState, Order, PaymentOverdue
from shared.contracts.checkout import (
    CancelOrder,
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderPaymentClosing,
    OrderPaymentRequested,
)
from shared.contracts.payments import PaymentActionRequired, PaymentCancelled, PaymentDeclined, PaymentUnresolved
from shared.contracts.storefront import CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core import Ref
from tests.unit.checkout.examples import VISA, OrderScenario, captured, placed_order, reserved_order

AGAIN = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_mastercard"))
CONFIRM = PaymentActionRequired(attempt=1, url="https://bank.example/3ds")
UNKNOWN = PaymentUnresolved(attempt=1, text="Time-out.")
DECLINED = PaymentDeclined(attempt=1, code="do_not_honor", text="Your card was declined.")
EXPIRED = [OrderExpired(was=OrderStatus.PENDING_PAYMENT)]


def closing_order(*before: object) -> OrderScenario:
    return reserved_order("course").given(*before).let_go_off(PaymentOverdue)


@pytest.mark.parametrize("before", [(), (CONFIRM,), (UNKNOWN,)])
def test_an_order_with_an_open_payment_asks_payments_before_it_expires(before: tuple[object, ...]) -> None:
    order = closing_order(*before)

    assert order.facts == [OrderPaymentClosing(attempt=1)]
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert order.record().pay_url is None
    assert order.record().message == "The time to pay is over. The payment is being checked with the payment provider."


def test_an_order_without_an_open_payment_expires_at_once() -> None:
    assert placed_order("course").let_go_off(PaymentOverdue).facts == EXPIRED
    assert closing_order(DECLINED).facts == EXPIRED
    assert closing_order(CONFIRM, PaymentCancelled(attempt=1)).facts == EXPIRED


@pytest.mark.parametrize("before", [(), (CONFIRM,), (UNKNOWN,)])
@pytest.mark.parametrize("answer", [DECLINED, PaymentCancelled(attempt=1)])
def test_it_expires_when_payments_says_that_it_was_not_paid(before: tuple[object, ...], answer: object) -> None:
    order = closing_order(*before)

    assert order.hear(answer).facts == EXPIRED
    assert order.pending == {}
    assert order.record().message == "Not paid in time."


@pytest.mark.parametrize("before", [(), (CONFIRM,), (UNKNOWN,)])
def test_it_is_paid_when_it_was_paid_meanwhile(before: tuple[object, ...]) -> None:
    order = closing_order(*before)

    assert order.hear(captured(1000)).facts == [OrderPaid(amount=1000, currency="USD", card=VISA)]
    assert order.state.status is OrderStatus.PROCESSING
    assert (order.state.closing, order.pending) == (0, {})


def test_a_capture_just_before_leaves_nothing_to_ask() -> None:
    order = reserved_order("course").hear(captured(1000))

    assert order.hear(PaymentOverdue()).facts == []


def test_the_answer_may_come_twice() -> None:
    order = closing_order().hear(PaymentCancelled(attempt=1))
    assert order.hear(PaymentCancelled(attempt=1)).facts == []
    paid = closing_order().hear(captured(1000))
    assert paid.hear(captured(1000)).facts == []


def test_an_answer_about_another_attempt_closes_nothing() -> None:
    order = closing_order(CONFIRM, AGAIN)
    assert order.facts == [OrderPaymentClosing(attempt=2)]

    assert order.hear(PaymentCancelled(attempt=1)).facts == []
    assert order.hear(captured(1000, attempt=1)).facts == [OrderPaid(amount=1000, currency="USD", card=VISA)]


def test_an_unknown_outcome_keeps_the_order_waiting_until_it_is_known() -> None:
    order = closing_order()

    assert order.hear(UNKNOWN).facts == []
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert order.hear(DECLINED).facts == EXPIRED


def test_the_customer_is_not_sent_to_the_bank_any_more() -> None:
    order = closing_order()

    assert order.hear(CONFIRM).facts == []
    assert order.record().pay_url is None


def test_a_retry_is_refused_once_the_time_is_over() -> None:
    order = closing_order(CONFIRM)
    refused = order.refuses(AGAIN)
    assert (refused.code, refused.text) == ("not_payable", "There is nothing to pay: the time to pay is over.")
    late = reserved_order("course").hear(DECLINED)
    late.at += timedelta(days=8)
    assert late.refuses(AGAIN).code == "not_payable"


def test_a_further_decline_after_the_deadline_expires_the_order_before_its_timer_does() -> None:
    """Checkout was down when the time ended."""
    order = reserved_order("course").given(DECLINED, AGAIN)
    order.at += timedelta(days=8)

    assert order.hear(DECLINED.model_copy(update={"attempt": 2})).facts == EXPIRED
    assert order.pending == {}


def test_it_can_still_be_cancelled() -> None:
    order = closing_order(CONFIRM).hear(CancelOrder())

    assert order.facts == [OrderCancelled()]
    assert (order.state.closing, order.pending) == (0, {})
    assert order.hear(PaymentCancelled(attempt=1)).facts == []


def test_payments_is_asked_again_until_it_answers() -> None:
    """An older build skips the question; a restored database has forgotten it."""
    order = closing_order(UNKNOWN)
    waits = []
    for _ in range(7):
        timer = order.timer(PaymentOverdue)
        assert timer is not None
        waits.append((timer.due - order.at) / timedelta(hours=1))
        assert order.let_go_off(PaymentOverdue).facts == [OrderPaymentClosing(attempt=1)]

    assert waits == [1, 2, 4, 8, 16, 24, 24]


def test_a_capture_of_another_amount_ends_the_waiting() -> None:
    """Payments refunds it when the order has expired."""
    order = closing_order().hear(captured(999))

    assert order.facts == EXPIRED
    assert order.state.paid == 0


# What an older build leaves: it does not know `closing`, and keeps it


def left_by_older(**changes: Any) -> OrderScenario:
    order = closing_order()
    order.rows[Ref(Order, order.key)] = replace(order.state, **changes)
    assert broken(order.state) == []
    return order


def test_an_order_that_an_older_build_gave_more_time_can_be_paid() -> None:
    """It took the answer to a question that it does not know for any decline."""
    more = {"charge": ChargeState.NONE, "deadline": closing_order().at + timedelta(days=7)}
    order = left_by_older(**more, payment_status=PaymentStatus.FAILED)

    (event,) = order.hear(AGAIN).facts
    assert isinstance(event, OrderPaymentRequested)
    assert (event.attempt, order.state.closing) == (2, 0)
    assert order.hear(captured(1000, attempt=2)).state.status is OrderStatus.PROCESSING
    assert left_by_older(**more).let_time_pass(timedelta(days=8)).facts == EXPIRED


def test_an_order_whose_payment_an_older_build_saw_cancelled_expires() -> None:
    order = left_by_older(charge=ChargeState.NONE)

    assert order.refuses(AGAIN).code == "not_payable"
    assert order.let_go_off(PaymentOverdue).facts == EXPIRED


def test_a_capture_of_another_amount_changes_nothing_of_an_order_that_an_older_build_closed() -> None:
    end = {"status": OrderStatus.CANCELLED, "deadline": None, "closed_at": closing_order().at}

    assert left_by_older(**end).hear(captured(999)).facts == []
