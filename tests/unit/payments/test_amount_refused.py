"""An amount that the provider refuses although checkout accepted it: for staff, and no decline."""

from __future__ import annotations

import pytest

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import ChargeCard
from services.payments.domain.payment import AttemptStatus
from shared.contracts.checkout import OrderPaymentClosing
from shared.contracts.payments import PaymentCancelled, PaymentDeclined
from shared.contracts.values import PaymentStatus
from tests.unit.payments.examples import PaymentScenario, requested

WORDS = "Amount must convert to at least 50 cents. 3.00 kr converts to approximately $0.28."


def refused(code: str = "amount_too_small") -> PaymentScenario:
    failed = ChargeCard.Failed(code, WORDS, reason=DeclineReason.NOT_CHARGEABLE)
    return PaymentScenario(requested()).answer(ChargeCard, failed)


@pytest.mark.parametrize("code", ["amount_too_small", "amount_too_large", "amount_off_step"])
def test_the_attempt_is_cancelled_and_staff_read_the_limit(code: str) -> None:
    payment = refused(code)
    assert payment.all.of(PaymentDeclined) == []
    (told,) = payment.last.of(PaymentCancelled)
    assert (told.code, told.detail) == (code, WORDS)
    (attempt,) = payment.state.attempts
    assert (attempt.status, attempt.code, attempt.text) == (AttemptStatus.CANCELLED, code, WORDS)
    assert payment.state.status is PaymentStatus.FAILED


def test_the_customer_reads_none_of_the_providers_words() -> None:
    (told,) = refused().last.of(PaymentCancelled)
    assert told.text == "This order cannot be paid in this way. Contact the store."


def test_another_problem_of_the_order_is_a_decline() -> None:
    assert refused("currency_unknown").last.of(PaymentDeclined)


def test_the_customer_can_pay_in_another_way() -> None:
    payment = refused().hear(requested(2, provider="manual", method="cash", payment_method=None))
    assert payment.state.attempts[-1].status is AttemptStatus.ACTION_REQUIRED


def test_an_order_that_expires_hears_how_its_attempt_ended() -> None:
    assert refused().hear(OrderPaymentClosing(attempt=1)).last.of(PaymentCancelled)
