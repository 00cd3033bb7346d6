"""What payments requests of a provider: keys made of what is paid for, and bounds in time."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from services.payments.domain.declines import CUSTOMER_TEXTS, DeclineReason
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    FindCharge,
    FindFee,
    FindRefund,
    ProviderOperation,
    RefundCharge,
)
from shared.contracts.checkout import OrderCancelled, OrderExpired
from shared.contracts.payments import PaymentCancelled, PaymentCaptured, PaymentDeclined
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core.scenario import START
from tests.unit.payments.examples import PaymentScenario, requested

UNTIL = START + timedelta(days=7)
TWO_HOURS_AGO = START - timedelta(hours=2)


def charge(attempt: int = 1) -> ChargeCard:
    return PaymentScenario(requested(attempt, requested_at=TWO_HOURS_AGO, until=UNTIL)).charge()


def test_the_key_of_a_charge_is_what_is_paid_for() -> None:
    first, again = charge(), charge()
    assert first.idempotency_key(uuid4()) == again.idempotency_key(uuid4())
    assert first.idempotency_key(uuid4()) != charge(2).idempotency_key(uuid4())


def test_the_key_of_a_refund_is_the_refund() -> None:
    refund = PaymentScenario(requested()).pay().hear(OrderCancelled()).refund()
    assert refund.refund in refund.idempotency_key(uuid4())
    assert refund.idempotency_key(uuid4()) == refund.idempotency_key(uuid4())


def test_a_charge_ends_with_the_orders_time_and_a_refund_never() -> None:
    assert charge().deadline(START) == UNTIL
    assert PaymentScenario(requested()).charge().deadline(START) == START + timedelta(days=1)
    for kind in (CancelCharge, RefundCharge, FindCharge, FindRefund):
        assert kind.give_up_after is None


@pytest.mark.parametrize("kind", [ChargeCard, CancelCharge, RefundCharge, FindCharge, FindFee, FindRefund])
def test_every_call_is_safe_to_repeat_and_goes_to_its_provider(kind: type[ProviderOperation]) -> None:
    assert kind.safe_to_repeat
    assert (kind.key_lifetime is not None) == (kind in (ChargeCard, RefundCharge))
    assert charge().destination() == "stripe"


def test_a_charge_knows_since_when_it_can_have_been_made() -> None:
    assert charge().since == TWO_HOURS_AGO
    payment = PaymentScenario(requested(requested_at=TWO_HOURS_AGO)).lose_charge().let_go_off("check_charge_1")
    assert payment.operation(FindCharge).since == TWO_HOURS_AGO


@pytest.mark.parametrize("code", ["gave_up", "not_tried"])
def test_a_charge_that_could_not_be_made_in_time_is_no_decline(code: str) -> None:
    text = "given up: Stripe does not answer"
    payment = PaymentScenario(requested()).answer(ChargeCard, ChargeCard.Failed(code, text))
    assert payment.published == [PaymentCancelled(attempt=1)]
    assert payment.state.status is PaymentStatus.FAILED
    assert payment.state.attempts[0].text == text


def test_a_charge_that_was_never_begun_of_an_expired_order_leaves_nothing() -> None:
    payment = PaymentScenario(requested(), OrderExpired(was=OrderStatus.PENDING_PAYMENT))
    payment.answer(ChargeCard, ChargeCard.Failed("not_tried", "paused"))
    assert payment.published == [PaymentCancelled(attempt=1)]
    assert payment.requested == []


def test_a_charge_of_a_cancelled_order_is_refunded() -> None:
    payment = PaymentScenario(requested(), OrderCancelled()).pay()
    assert payment.types() == [PaymentCaptured]
    assert payment.refund().amount == 5000


@pytest.mark.parametrize("reason", DeclineReason)
def test_a_customer_reads_a_reason_of_the_list_and_never_the_providers_words(reason: DeclineReason) -> None:
    words = "No such PaymentMethod: 'pm_1' (request req_1)"
    payment = PaymentScenario(requested())
    payment.answer(ChargeCard, ChargeCard.Failed("resource_missing", words, reason=reason))
    (failed,) = payment.published
    assert isinstance(failed, PaymentDeclined)
    assert (failed.reason, failed.text) == (reason.value, CUSTOMER_TEXTS[reason])
    assert (failed.code, failed.detail) == ("resource_missing", words)


def test_a_charge_that_is_still_processing_is_checked_later() -> None:
    payment = PaymentScenario(requested()).answer_charge("processing")
    waits = []
    for _ in range(12):
        (timer,) = payment.timers
        waits.append(timer.due - payment.at)
        payment.let_go_off("check_charge_1").find_charge("processing")
    assert waits[:3] == [timedelta(minutes=10), timedelta(minutes=20), timedelta(minutes=40)]
    assert waits[-1] == timedelta(days=1)
