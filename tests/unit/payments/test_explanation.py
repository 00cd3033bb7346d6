"""Why a payment is where it is, what it waits for, and what staff may do about it."""

from __future__ import annotations

from services.payments.domain.explanation import FOLLOWING, explanation
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import RefundPayment, SettlePayment
from shared.contracts.values import PaymentStatus
from shared.core.explanation import Explanation
from tests.unit.payments.examples import PaymentScenario, requested
from tests.unit.payments.test_by_hand import awaited


def explained(payment: PaymentScenario) -> Explanation:
    return explanation(payment.state, "o-1", payment.at)


def waits(payment: PaymentScenario) -> list[tuple[str, str]]:
    return [(wait.who, wait.what) for wait in explained(payment).waits]


def possible(payment: PaymentScenario) -> set[str]:
    return {one.command for one in explained(payment).commands if one.possible}


def test_a_charge_waits_for_the_provider() -> None:
    payment = PaymentScenario(requested())
    assert waits(payment) == [("provider", "Charge payment attempt 1.")]
    assert possible(payment) == set()
    assert [(one.code, one.why_not) for one in explained(payment).commands if one.command == "payment.refund"] == [
        ("not_paid", "There is no captured payment to refund.")
    ]


def test_a_bank_asks_the_customer() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds()
    assert waits(payment) == [("customer", "Confirm payment attempt 1 with the bank.")]


def test_a_declined_one_says_why() -> None:
    payment = PaymentScenario(requested()).decline()
    found = explained(payment)
    assert (found.state, found.why, list(found.waits)) == ("failed", "Your card has insufficient funds.", [])


def test_an_unknown_outcome_waits_for_staff_and_can_be_settled() -> None:
    payment = PaymentScenario(requested()).lose_charge()
    assert waits(payment) == [("staff", "Look up payment attempt 1 at the provider, and settle it.")]
    assert possible(payment) == {"payment.settle"}
    payment.hear(SettlePayment(attempt=1, outcome="not_charged", reason="Looked up."))
    assert possible(payment) == set()


def test_the_next_attempt_waits_for_the_earlier_one() -> None:
    payment = PaymentScenario(requested()).lose_charge().hear(requested(2))
    assert ("payments", "Begin payment attempt 2, once the earlier one has ended.") in waits(payment)


def test_what_is_paid_waits_for_nothing_and_can_be_refunded() -> None:
    payment = PaymentScenario(requested()).pay()
    assert waits(payment) == [] and possible(payment) == {"payment.refund"}
    assert explained(payment).following == ["partially_refunded", "refunded"]


def test_a_refund_waits_for_the_provider_until_its_outcome_is_unknown() -> None:
    payment = PaymentScenario(requested()).pay().hear(RefundPayment())
    assert waits(payment) == [("provider", "Make the refund of 50.00 USD.")]
    assert possible(payment) == set()
    payment.lose_refund()
    assert waits(payment) == [("staff", "Look up the refund of 50.00 USD at the provider, and settle it.")]
    assert possible(payment) == {"payment.settle"}


def test_a_refund_that_was_refused_is_requested_again_at_its_time() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled(reason="Changed my mind.")).fail_refund()
    (wait,) = explained(payment).waits
    assert (wait.who, wait.until) == ("provider", payment.state.refunds[0].retry_at)
    assert wait.until and wait.until > payment.at


def test_what_is_paid_by_hand_waits_for_the_customer_and_is_recorded_by_staff() -> None:
    payment = awaited()
    assert waits(payment) == [("customer", "Pay 50.00 USD by hand; then staff record it.")]
    assert possible(payment) == {"payment.record"}


def test_what_follows_is_a_status_that_payments_has() -> None:
    assert {status for following in FOLLOWING.values() for status in following} <= FOLLOWING.keys()
    assert FOLLOWING.keys() <= set(PaymentStatus)
