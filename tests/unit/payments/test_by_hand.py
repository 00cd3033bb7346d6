"""Payments by hand: a provider without an API, whose refunds staff make and confirm."""

from __future__ import annotations

import pytest

from services.payments.domain.invariants import broken
from services.payments.domain.ledger import PAID_ELSEWHERE
from services.payments.domain.owed import ObligationStatus, obligations
from services.payments.domain.payment import AttemptStatus
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaymentClosing
from shared.contracts.payments import (
    PaymentCancelled,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRefundNeeded,
    PaymentSettled,
    PaymentSurplusRefunded,
    RecordPayment,
    RefundPayment,
    SettlePayment,
)
from shared.contracts.values import OrderStatus, PaymentStatus
from tests.unit.payments.examples import PaymentScenario, requested

EXPIRED = OrderExpired(was=OrderStatus.PENDING_PAYMENT)
TRANSFER = RecordPayment(method="bank_transfer", reference="SEPA-1", note="On the statement of May 3.")


def awaited(attempt: int = 1) -> PaymentScenario:
    return PaymentScenario(requested(attempt, provider="manual", method="bank_transfer", payment_method=None))


def confirm(payment: PaymentScenario, outcome: str = "refunded") -> PaymentScenario:
    command = {"refund": payment.state.refunds[-1].id, "outcome": outcome, "reason": "Sent today."}
    return payment.hear(SettlePayment.model_validate(command))


def test_it_waits_without_a_call() -> None:
    payment = awaited()
    assert (payment.requested, payment.published, payment.timers) == ([], [], [])
    assert payment.state.status is PaymentStatus.PENDING
    assert broken(payment.state, at_rest=True) == []


def test_what_staff_record_pays_the_order() -> None:
    payment = awaited().hear(TRANSFER)
    assert payment.types() == [PaymentSettled, PaymentCaptured]
    (captured,) = payment.last.of(PaymentCaptured)
    assert (captured.provider, captured.method, captured.transaction) == ("manual", "bank_transfer", "SEPA-1")
    assert payment.ledger() == {PAID_ELSEWHERE: 5000, "sales": -5000}
    assert payment.state.attempts[0].settled_by == "staff:anna"
    assert payment.requested == []
    assert payment.refuses(TRANSFER).code == "not_awaited"


def test_another_amount_is_refused_with_the_right_one() -> None:
    refused = awaited().refuses(RecordPayment(method="cash", amount=4000))
    assert refused.code == "wrong_amount" and "50.00" in refused.text and "40.00" in refused.text


@pytest.mark.parametrize("payment", [PaymentScenario(requested()), PaymentScenario(requested()).pay()])
def test_an_order_that_waits_for_none_is_refused(payment: PaymentScenario) -> None:
    assert payment.refuses(TRANSFER).code == "not_awaited"


def test_the_customer_may_pay_by_card_instead() -> None:
    payment = awaited().hear(requested(2))
    assert payment.published == [PaymentCancelled(attempt=1)]
    assert payment.charge().provider == "stripe"
    payment.pay()
    assert payment.state.attempts[0].status is AttemptStatus.CANCELLED


def test_and_the_other_way_round() -> None:
    payment = PaymentScenario(requested()).decline()
    payment.hear(requested(2, provider="manual", method="cash", payment_method=None))
    assert payment.requested == []
    assert payment.hear(RecordPayment(method="cash")).last.of(PaymentCaptured)[0].provider == "manual"


@pytest.mark.parametrize("end", [OrderCancelled(), EXPIRED, OrderPaymentClosing(attempt=1)])
def test_the_orders_end_cancels_it(end: object) -> None:
    payment = awaited().hear(end)
    assert payment.published == [PaymentCancelled(attempt=1)]
    assert payment.requested == []


def test_a_payment_after_the_orders_end_is_refunded_by_hand() -> None:
    payment = awaited().hear(EXPIRED).hear(TRANSFER)
    assert payment.types() == [PaymentSettled, PaymentCaptured, PaymentRefundNeeded]
    assert payment.requested == []
    assert [(it.status, it.amount, it.for_staff) for it in obligations(payment.state)] == [
        (ObligationStatus.BY_HAND, 5000, True)
    ]
    confirm(payment)
    assert payment.types() == [PaymentSettled, PaymentRefunded]
    assert (payment.state.owed, payment.ledger()) == (0, {PAID_ELSEWHERE: 0, "sales": 0})
    assert payment.requested == []


def test_a_second_payment_by_hand_is_a_surplus() -> None:
    payment = awaited().hear(requested(2)).pay().hear(TRANSFER)
    assert PaymentCaptured not in payment.types() and PaymentRefundNeeded in payment.types()
    assert confirm(payment).types() == [PaymentSettled, PaymentSurplusRefunded]
    assert payment.state.status is PaymentStatus.PAID


def test_a_refund_stays_open_until_staff_confirm_it() -> None:
    payment = awaited().hear(TRANSFER).hear(RefundPayment(amount=1200))
    (needed,) = payment.published
    assert isinstance(needed, PaymentRefundNeeded) and needed.amount == 1200
    assert (payment.state.owed, payment.state.refundable) == (1200, 3800)
    assert broken(payment.state, at_rest=True) == []
    confirm(payment)
    assert payment.state.status is PaymentStatus.PARTIALLY_REFUNDED


def test_one_that_staff_could_not_make_may_be_requested_again() -> None:
    payment = confirm(awaited().hear(TRANSFER).hear(RefundPayment()), "not_refunded")
    assert payment.state.refundable == 5000
    assert payment.hear(RefundPayment()).types() == [PaymentRefundNeeded]


def test_a_repeated_answer_names_the_provider_of_the_attempt_that_paid() -> None:
    payment = awaited().hear(requested(2, method="card")).pay().hear(OrderPaymentClosing(attempt=2))
    assert [(it.provider, it.method) for it in payment.last.of(PaymentCaptured)] == [("stripe", "card")]
