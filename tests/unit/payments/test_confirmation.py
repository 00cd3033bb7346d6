"""3-D Secure that waits is checked with the provider, so that a lost callback costs minutes, not the order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.payments.domain.operations import ChargeCheckDue, ChargeReported, ChargeResult, FindCharge
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import PaymentActionRequired, PaymentCaptured, PaymentDeclined
from tests.unit.payments.examples import PaymentScenario, reported, requested

MINUTE = timedelta(minutes=1)


def confirming() -> PaymentScenario:
    return PaymentScenario(requested()).ask_for_3ds()


def test_it_is_checked_after_a_minute_then_less_and_less_often_up_to_an_hour() -> None:
    payment, waits = confirming(), []
    for _ in range(9):
        timer = payment.timer("check_charge_1")
        assert timer is not None
        waits.append((timer.due - payment.at) / MINUTE)
        payment.let_go_off("check_charge_1")
        assert [type(operation) for operation in payment.requested] == [FindCharge]
        assert payment.find_charge("requires_action", url="https://bank.example/1").published == []

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_confirmation_whose_callback_was_lost_is_found() -> None:
    payment = confirming().let_go_off("check_charge_1").find_charge("succeeded", amount=5000)

    assert payment.types() == [PaymentCaptured]
    assert payment.pending == {}


def test_a_failure_whose_callback_was_lost_is_found() -> None:
    payment = confirming().let_go_off("check_charge_1").find_charge("failed", code="authentication_failed")

    assert payment.types() == [PaymentDeclined]
    assert payment.pending == {}


@pytest.mark.parametrize("end", [reported("succeeded"), reported("failed"), requested(2), OrderCancelled()])
def test_once_it_is_over_nothing_is_checked(end: object) -> None:
    payment = confirming().hear(end)

    assert payment.timer("check_charge_1") is None
    assert payment.hear(ChargeCheckDue(1)).requested == []


def test_a_charge_that_is_paid_at_once_sets_no_timer() -> None:
    payment = PaymentScenario(requested()).pay()

    assert (payment.all.timers, payment.pending) == ([], {})


def test_the_answer_after_the_callback_does_not_begin_the_checks_again() -> None:
    callback = ChargeReported(1, ChargeResult("pi_1", "requires_action", url="https://bank.example/1"))
    payment = PaymentScenario(requested()).hear(callback)
    due = payment.timer("check_charge_1")

    payment.ask_for_3ds()

    assert payment.timer("check_charge_1") == due is not None


def test_a_check_that_finds_nothing_out_is_repeated() -> None:
    payment = confirming().let_go_off("check_charge_1")
    payment.answer(FindCharge, FindCharge.Unresolved("no answer"))

    timer = payment.timer("check_charge_1")
    assert timer is not None
    assert (timer.message, timer.due - payment.at) == (ChargeCheckDue(1, 2), 2 * MINUTE)


def test_an_unknown_outcome_that_waits_for_the_customer_is_checked_soon() -> None:
    payment = PaymentScenario(requested()).lose_charge().let_go_off("check_charge_1")
    payment.find_charge("requires_action", url="https://bank.example/1")

    assert payment.types() == [PaymentActionRequired]
    timer = payment.timer("check_charge_1")
    assert timer is not None
    assert timer.due - payment.at == MINUTE
