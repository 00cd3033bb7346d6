"""The order's time to pay is over: nothing more is charged, what is open ends, and checkout gets an answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.payments.domain.invariants import broken
from services.payments.domain.operations import CancelCharge, ChargeCard
from services.payments.domain.payment import AttemptStatus
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaymentClosing
from shared.contracts.payments import PaymentActionRequired, PaymentCancelled, PaymentCaptured, PaymentDeclined
from shared.contracts.values import OrderStatus
from tests.unit.payments.examples import PaymentScenario, reported, requested

CLOSING = OrderPaymentClosing(attempt=1)


def test_an_attempt_that_waits_for_the_customer_is_cancelled() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(CLOSING)

    assert payment.published == []
    assert [type(operation) for operation in payment.requested] == [CancelCharge]
    assert payment.cancel_charge().published == [PaymentCancelled(attempt=1)]


def test_a_customer_who_was_quicker_has_paid() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(CLOSING)

    assert PaymentCaptured in payment.cancel_charge("succeeded").types()
    assert payment.hear(OrderPaymentClosing(attempt=1)).types() == [PaymentCaptured]


def test_a_charge_in_progress_ends_first() -> None:
    payment = PaymentScenario(requested()).hear(CLOSING)

    assert (payment.published, payment.requested) == ([], [])
    assert payment.decline().types() == [PaymentDeclined]


def test_a_charge_that_then_asks_for_3ds_is_cancelled_unseen() -> None:
    payment = PaymentScenario(requested()).hear(CLOSING).ask_for_3ds()

    assert payment.published == []
    assert payment.cancel_charge().published == [PaymentCancelled(attempt=1)]


def test_an_unresolved_charge_is_answered_when_it_is_known() -> None:
    payment = PaymentScenario(requested()).lose_charge().hear(CLOSING)

    assert (payment.published, payment.requested) == ([], [])
    payment.let_go_off("check_charge_1").find_charge("succeeded", amount=5000)
    assert payment.types() == [PaymentCaptured]


def test_an_attempt_that_waits_for_an_earlier_one_is_dropped_after_it() -> None:
    """It could still pay the order: checkout hears of the latest attempt last."""
    payment = PaymentScenario(requested()).lose_charge().given(requested(2), OrderPaymentClosing(attempt=2))
    assert (payment.published, payment.requested) == ([], [])

    payment.let_go_off("check_charge_1").find_charge("failed", "", code="not_charged")
    assert payment.published[-1] == PaymentCancelled(attempt=2)
    assert [type(event) for event in payment.published] == [PaymentDeclined, PaymentCancelled]
    assert not any(isinstance(operation, ChargeCard) for operation in payment.requested)


def test_an_earlier_attempt_that_was_paid_answers_first() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().given(requested(2), OrderPaymentClosing(attempt=2))

    assert payment.cancel_charge("succeeded").types() == [PaymentCaptured, PaymentCancelled]


def test_without_an_open_attempt_the_answer_comes_at_once() -> None:
    declined = PaymentScenario(requested()).decline()
    assert declined.hear(CLOSING).published == [PaymentCancelled(attempt=1)]
    assert declined.hear(CLOSING).published == [PaymentCancelled(attempt=1)]

    paid = PaymentScenario(requested()).pay()
    (first,) = paid.published
    (again,) = paid.hear(CLOSING).published
    assert isinstance(first, PaymentCaptured) and isinstance(again, PaymentCaptured)
    assert again.model_copy(update={"captured_at": first.captured_at}) == first


def test_a_repeated_question_changes_nothing() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(CLOSING)

    assert (payment.hear(CLOSING).published, payment.requested) == ([], [])
    payment.cancel_charge()


def test_an_attempt_after_the_question_is_not_charged() -> None:
    """Checkout's database was restored."""
    payment = PaymentScenario(requested()).decline().given(CLOSING, requested(2))

    assert payment.published == [PaymentCancelled(attempt=2)]
    assert payment.requested == []


def test_an_attempt_of_an_order_that_has_time_again_is_charged() -> None:
    """Checkout's older build knew of no question, took the answer for any decline and gave the customer a week more."""
    payment = PaymentScenario(requested()).hear(CLOSING).decline()
    assert payment.hear(requested(2, until=payment.at)).published == [PaymentCancelled(attempt=2)]

    payment.hear(requested(3, until=payment.at + timedelta(days=7))).ask_for_3ds()
    assert payment.types() == [PaymentActionRequired]
    assert not payment.state.closing


def test_what_must_be_refunded_is_not_told_as_captured() -> None:
    """Checkout's database was restored, and its order knows of no cancellation: it expires, else it would ask daily."""
    payment = PaymentScenario(requested()).pay().given(OrderCancelled())

    assert payment.hear(CLOSING).published == [PaymentCancelled(attempt=1)]


def test_a_capture_after_the_answer_is_refunded_once_the_order_has_expired() -> None:
    payment = PaymentScenario(requested()).decline().given(CLOSING, OrderExpired(was=OrderStatus.PENDING_PAYMENT))

    payment.hear(reported("succeeded")).make_refund()

    assert payment.ledger()["provider_balance"] == 0


def test_no_attempt_of_a_closing_payment_waits_for_the_customer() -> None:
    payment = PaymentScenario(requested()).hear(CLOSING).state
    (attempt,) = payment.attempts
    waiting = payment.with_attempt(replace(attempt, status=AttemptStatus.ACTION_REQUIRED, reference="pi_1"))

    assert broken(waiting) == ["after the time to pay no attempt waits for the customer"]
