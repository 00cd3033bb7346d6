"""Paying: the charge, a declined card, 3-D Secure, and what is captured too late (paths 1 to 3)."""

from __future__ import annotations

from datetime import timedelta

from services.checkout.domain.order import PaymentOverdue, SubmissionOverdue
from shared.contracts.checkout import (
    CancelOrder,
    OrderExpired,
    OrderFailed,
    OrderPaid,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentRequested,
    OrderRefunded,
)
from shared.contracts.fulfillment import StockReserved
from shared.contracts.payments import PaymentActionRequired, PaymentCancelled, PaymentDeclined, PaymentUnresolved
from shared.contracts.storefront import CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import FulfilmentStatus, OrderStatus, PaymentStatus
from tests.unit.checkout.examples import VISA, captured, paid_order, placed_order, refunded, reserved_order

DECLINED = PaymentDeclined(
    attempt=1,
    code="insufficient_funds",
    text="Your card has insufficient funds.",
    card=VISA,
    reason="insufficient_funds",
    detail="Request req_1 of sk_live_1.",
)
CONFIRM = PaymentActionRequired(attempt=1, url="https://bank.example/3ds")
PAGE = "https://northwind.example/orders/o-1"
AGAIN = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_mastercard"))


# Captured


def test_reserved_stock_has_the_customer_charged_once() -> None:
    order = reserved_order("course")

    (request,) = order.facts
    assert isinstance(request, OrderPaymentRequested)
    assert (request.attempt, request.amount, request.payment_method) == (1, 1000, "pm_card_visa")
    assert request.return_url == PAGE
    assert order.state.choice is None
    assert order.hear(StockReserved()).facts == []


def test_a_captured_payment_begins_the_delivery() -> None:
    order = reserved_order("course").hear(captured(1000))

    assert order.facts == [OrderPaid(amount=1000, currency="USD", card=VISA)]
    assert order.record().payment_status is PaymentStatus.PAID
    assert order.record().fulfilment_status is FulfilmentStatus.IN_PROGRESS
    assert order.pending == {}


def test_a_free_order_is_paid_at_once() -> None:
    order = reserved_order("gift", payment=PaymentChoice())

    assert order.facts == [OrderPaid(amount=0, currency="USD")]


def test_a_capture_of_another_amount_pays_nothing() -> None:
    order = reserved_order("course").hear(captured(999))

    assert order.facts == []
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert order.record().message == "9.99 USD captured, but the order amount is 10.00 USD."


def test_a_second_capture_after_the_refund_does_not_make_the_order_paid_again() -> None:
    order = paid_order("course").given(CancelOrder(), refunded(1000, of=1000))

    assert order.hear(captured(1000, attempt=2)).facts == []
    assert order.record().payment_status is PaymentStatus.REFUNDED


# Declined


def test_a_declined_card_leaves_the_order_waiting_with_a_page_to_pay_again() -> None:
    order = reserved_order("course").hear(DECLINED)

    until = order.at + timedelta(days=7)
    (event,) = order.facts
    assert event.model_copy(update={"page": None}) == OrderPaymentDeclined(
        attempt=1, code="insufficient_funds", text=DECLINED.text, url=PAGE, until=until, tries_left=7
    )
    assert order.state.status is OrderStatus.PENDING_PAYMENT
    assert order.record().payment_status is PaymentStatus.FAILED
    assert order.record().pay_url == PAGE
    assert [timer.due for timer in order.pending.values()] == [until]
    assert "req_1" in str(order.entry("payment.declined").detail)
    assert "req_1" not in str((event, order.record(), order.entry("payment.declined").text))


def test_another_card_pays_after_a_decline() -> None:
    order = reserved_order("course").given(DECLINED, AGAIN)

    (request,) = order.facts
    assert isinstance(request, OrderPaymentRequested)
    assert (request.attempt, request.payment_method) == (2, "pm_card_mastercard")
    assert order.record().pay_url is None
    order.hear(captured(1000, attempt=2))
    assert order.state.status is OrderStatus.PROCESSING


def test_a_decline_of_an_earlier_attempt_changes_nothing() -> None:
    order = reserved_order("course").given(DECLINED, AGAIN)

    assert order.hear(DECLINED).facts == []
    assert order.record().payment_status is PaymentStatus.PENDING


def test_paying_again_needs_reserved_stock_and_a_card() -> None:
    assert placed_order("course").refuses(AGAIN).code == "not_reserved"
    no_card = CheckoutPaymentRetried(payment=PaymentChoice())
    assert reserved_order("course").hear(DECLINED).refuses(no_card).code == "invalid_submission"


# Not paid in time


def test_an_order_that_is_not_paid_in_time_expires() -> None:
    order = reserved_order("course").hear(DECLINED)

    assert order.let_go_off(PaymentOverdue).facts == [OrderExpired(was=OrderStatus.PENDING_PAYMENT)]
    assert order.record().closed_at == order.at
    assert order.refuses(AGAIN).code == "not_payable"


def test_a_capture_after_the_expiry_is_refunded() -> None:
    order = reserved_order("course").hear(PaymentUnresolved(attempt=1, text="Time-out."))
    assert order.record().message == "The payment is being checked with the payment provider."
    assert "Time-out." in str(order.timeline[-1].detail)

    order.let_go_off(PaymentOverdue).hear(DECLINED)
    assert order.hear(captured(1000)).facts == []
    assert order.record().payment_status is PaymentStatus.PAID
    (event,) = order.hear(refunded(1000, of=1000)).facts
    assert isinstance(event, OrderRefunded)
    assert order.record().payment_status is PaymentStatus.REFUNDED
    assert order.state.status is OrderStatus.EXPIRED


def test_a_decline_after_the_expiry_only_adds_a_timeline_entry() -> None:
    order = reserved_order("course").let_go_off(PaymentOverdue).hear(PaymentCancelled(attempt=1))

    assert order.hear(DECLINED).facts == []
    assert order.pending == {}
    assert order.timeline[-1].text.endswith("(No effect: the order is expired.)")


def test_a_timer_that_was_overtaken_only_adds_a_timeline_entry() -> None:
    order = paid_order("course")

    for timer, text in ((PaymentOverdue(), "time to pay"), (SubmissionOverdue(), "time to submit the checkout")):
        assert order.hear(timer).facts == []
        assert order.timeline[-1].text == f"The {text} is over. (No effect: the order is processing.)"
    assert order.state.status is OrderStatus.PROCESSING


def test_a_late_result_says_why_it_has_no_effect() -> None:
    order = reserved_order("course")
    assert (
        order.hear(DECLINED.model_copy(update={"attempt": 2}))
        .timeline[-1]
        .text.endswith("(No effect: another attempt is in progress.)")
    )
    again = order.hear(DECLINED).hear(DECLINED)
    assert again.timeline[-1].text.endswith("(No effect: no payment is in progress.)")
    again.hear(captured(1000)).hear(captured(1000, attempt=2))
    assert again.timeline[-1].text.endswith("(No effect: it is paid already.)")


def test_a_payment_timer_that_goes_off_too_early_is_set_again() -> None:
    order = placed_order("course")
    due = order.pending.pop(("o-1", "PaymentOverdue")).due

    order.hear(PaymentOverdue())
    assert [timer.due for timer in order.timers] == [due]


# 3-D Secure


def test_the_customer_is_sent_to_the_bank() -> None:
    order = reserved_order("course").hear(CONFIRM)

    (event,) = order.facts
    assert isinstance(event, OrderPaymentActionRequired)
    assert event.until == order.state.deadline
    assert order.record().pay_url == "https://bank.example/3ds"
    order.hear(captured(1000))
    assert order.record().pay_url is None
    assert order.state.status is OrderStatus.PROCESSING


def test_a_customer_who_leaves_the_bank_can_pay_in_another_way() -> None:
    order = reserved_order("course").given(CONFIRM, AGAIN)

    (request,) = order.facts
    assert isinstance(request, OrderPaymentRequested)
    assert order.hear(PaymentCancelled(attempt=1)).facts == []
    assert order.refuses(AGAIN).code == "payment_under_way"


def test_after_a_cancelled_attempt_the_customer_can_pay_again() -> None:
    order = reserved_order("course").given(CONFIRM, PaymentCancelled(attempt=1))

    assert order.record().pay_url == PAGE
    assert len(order.hear(AGAIN).facts) == 1


def test_an_amount_that_the_provider_refuses_is_for_staff_and_no_decline() -> None:
    order = reserved_order("course")
    words = "Amount must convert to at least 50 cents."
    order.hear(PaymentCancelled(attempt=1, code="amount_too_small", text="Contact the store.", detail=words))

    assert [type(fact) for fact in order.facts] == [OrderFailed]
    assert (order.record().status, order.record().message) == (OrderStatus.FAILED, "Contact the store.")
    assert (order.state.declines, order.record().payment_status) == (0, PaymentStatus.PENDING)
    entry = order.timeline[-2]
    assert entry.text == "Payment attempt 1 cancelled. Needs attention: the provider does not take the amount."
    assert entry.detail == {"attempt": 1, "code": "amount_too_small", "provider": words}
