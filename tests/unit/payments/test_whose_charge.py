"""Whose charge it is: reference or our key, amount, currency and store, never the order's name alone."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.operations import (
    CancelCharge,
    ChargeCheckDue,
    ChargeReported,
    ChargeResult,
    FindCharge,
    FindFee,
    RefundReported,
    RefundResult,
    SurplusDue,
)
from services.payments.domain.payment import AttemptStatus
from shared.contracts.checkout import OrderExpired
from shared.contracts.payments import (
    PaymentCaptured,
    PaymentDeclined,
    PaymentStrayCharge,
    PaymentSurplusRefunded,
    PaymentUnresolved,
)
from shared.contracts.values import OrderStatus, PaymentStatus
from tests.unit.payments.examples import PaymentScenario, reported, requested

OTHERS: dict[str, dict[str, Any]] = {
    "amount": {"amount": 50, "requested": 50},
    "currency": {"currency": "EUR"},
    "store": {"store": "s-2"},
    "key": {"key": ""},
    "another key": {"key": "o-1.attempt.2"},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_strange_charge_with_our_metadata_does_not_hide_the_true_capture(other: dict[str, Any]) -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(reported("succeeded", "pi_x", **other))
    (told,) = payment.published
    assert isinstance(told, PaymentStrayCharge) and told.transaction == "pi_x"
    assert payment.state.captured == 0
    payment.hear(reported("succeeded", "pi_x", **other))
    assert payment.published == []
    payment.hear(reported("succeeded"))
    assert payment.types() == [PaymentCaptured]
    assert payment.balance_by_reference() == {"pi_1": 5000}
    assert payment.requested == [FindFee("stripe", 1, "pi_1")]
    assert [stray.reference for stray in payment.state.strays] == ["pi_x"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "requires_action", "processing"])
def test_a_strange_charge_that_took_no_money_is_ignored(status: Any) -> None:
    payment = PaymentScenario(requested()).hear(reported(status, "pi_x", key=""))
    assert (payment.published, payment.state.strays) == ([], ())
    assert payment.state.attempts[0].is_charging


def test_before_the_reference_is_known_our_key_tells() -> None:
    payment = PaymentScenario(requested(), reported("succeeded"))
    assert payment.types() == [PaymentCaptured]


def test_a_second_capture_of_a_paid_attempt_is_refunded() -> None:
    payment = PaymentScenario(requested()).pay().hear(reported("succeeded", "pi_2"))
    refund = payment.refund()
    assert (refund.charge, refund.amount) == ("pi_2", 5000)
    payment.make_refund()
    assert [(type(it), it.attempt) for it in payment.last.of(PaymentSurplusRefunded)] == [(PaymentSurplusRefunded, 1)]
    assert payment.balance_by_reference() == {"pi_1": 5000, "pi_2": 5000, f"re_{refund.refund}": -5000}
    assert (payment.state.status, payment.state.refundable) == (PaymentStatus.PAID, 5000)
    assert payment.hear(reported("succeeded", "pi_2")).requested == []
    assert payment.hear(requested(2)).requested == []  # the next attempt's number is checkout's


def test_what_is_told_of_its_refund_names_the_attempt_that_checkout_knows() -> None:
    payment = PaymentScenario(requested()).pay().hear(reported("succeeded", "pi_2")).lose_refund()
    assert [event.attempt for event in payment.last.of(PaymentUnresolved)] == [1]


def test_our_charge_for_an_attempt_that_does_not_exist_is_refunded_if_none_appears() -> None:
    payment = PaymentScenario(requested()).pay().hear(our_second())
    assert (payment.requested, payment.published) == ([], [])
    payment.let_go_off("surplus_pi_2")
    assert payment.refund().charge == "pi_2"
    assert payment.state.strays == ()
    assert payment.state.attempts[0].extra_of == 2


def test_our_charge_for_an_attempt_that_appears_later_is_that_attempts() -> None:
    """As after a restore, when callbacks are replayed before what they are about."""
    payment = PaymentScenario(requested()).decline().hear(our_second()).hear(requested(2)).pay()
    assert payment.state.strays == ()
    assert payment.hear(SurplusDue("pi_2")).requested == []
    assert payment.balance_by_reference() == {"pi_2": 5000}


def test_a_charge_that_was_refunded_as_unknown_pays_no_attempt_that_appears_later() -> None:
    payment = PaymentScenario(requested()).decline().hear(our_second()).let_go_off("surplus_pi_2").make_refund()
    payment.hear(requested(2)).pay()
    (declined,) = payment.last.of(PaymentDeclined)
    assert declined.reason == "not_charged"
    assert payment.balance_by_reference()["pi_2"] == 5000
    assert payment.hear(requested(3)).charge().attempt == 3


def test_a_refund_of_a_charge_that_is_not_known_yet_is_entered_with_it() -> None:
    payment = PaymentScenario(requested()).pay().hear(our_second())
    refunded = RefundResult("re_d", charge="pi_2", amount=5000, currency="USD")
    payment.hear(RefundReported("", refunded)).let_go_off("surplus_pi_2")
    assert payment.requested == []
    assert payment.balance_by_reference() == {"pi_1": 5000, "pi_2": 5000, "re_d": -5000}


@pytest.mark.parametrize("status", ["failed", "cancelled", "processing", "requires_action"])
def test_another_charge_under_our_key_ends_no_attempt_whose_charge_is_known(status: Any) -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(reported(status, "pi_x"))
    assert payment.published == []
    assert payment.state.attempts[0].reference == "pi_1"


def test_a_confirmation_that_the_bank_works_on_is_checked_again() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().let_go_off("check_charge_1").find_charge("processing")
    assert [timer.message for timer in payment.timers] == [ChargeCheckDue(1, 2)]


def test_a_report_is_found_by_its_reference_where_its_metadata_say_nothing() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds()
    payment.hear(ChargeReported(0, ChargeResult("pi_1", "succeeded", 5000, requested=5000, currency="USD")))
    assert payment.types() == [PaymentCaptured]


def test_a_report_of_an_older_build_counts_as_before() -> None:
    payment = PaymentScenario(requested()).hear(ChargeReported(1, ChargeResult("pi_1", "succeeded", 5000)))
    assert payment.types() == [PaymentCaptured]


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "https://", "https://" + "x" * 3000])
def test_a_confirmation_without_a_page_is_cancelled_as_an_unsupported_method(url: str) -> None:
    payment = PaymentScenario(requested()).answer_charge("requires_action", url=url)
    assert payment.published == []
    assert payment.requested == [CancelCharge("stripe", "o-1", 1, "pi_1")]
    payment.cancel_charge()
    (declined,) = payment.published
    assert isinstance(declined, PaymentDeclined)
    assert (declined.reason, declined.code) == ("payment_method_unusable", "unsupported_method")
    assert payment.hear(requested(2)).charge().attempt == 2


def test_one_that_was_paid_meanwhile_pays_the_order() -> None:
    payment = PaymentScenario(requested()).answer_charge("requires_action").cancel_charge("succeeded")
    assert payment.types() == [PaymentCaptured]


def test_one_of_a_closed_order_is_cancelled_as_usual() -> None:
    payment = PaymentScenario(requested(), OrderExpired(was=OrderStatus.PENDING_PAYMENT))
    payment.answer_charge("requires_action").cancel_charge()
    assert payment.state.attempts[0].status is AttemptStatus.CANCELLED


def test_a_look_up_says_what_tells_the_charge_from_others() -> None:
    payment = PaymentScenario(requested()).lose_charge().let_go_off("check_charge_1")
    find = payment.operation(FindCharge)
    assert (find.amount, find.currency, find.store, find.key) == (5000, "USD", "s-1", "o-1.attempt.1")


def test_a_look_up_that_found_another_charge_is_made_again() -> None:
    payment = PaymentScenario(requested()).lose_charge().let_go_off("check_charge_1")
    payment.answer(FindCharge, FindCharge.Done(reported("succeeded", "pi_x", amount=50, requested=50).result))
    assert payment.published == []
    assert [timer.message for timer in payment.timers] == [ChargeCheckDue(1, 2)]


def test_provider_and_method_belong_to_the_attempt() -> None:
    payment = PaymentScenario(requested(method="card")).pay()
    (captured,) = payment.last.of(PaymentCaptured)
    assert (captured.provider, captured.method) == ("stripe", "card")
    assert (payment.state.attempts[0].provider, payment.state.attempts[0].method) == ("stripe", "card")


def our_second() -> ChargeReported:
    return ChargeReported(2, reported("succeeded", "pi_2", key="o-1.attempt.2").result)
