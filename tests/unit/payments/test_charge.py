"""Charging: an order is charged once, however and whenever the provider reports."""

from __future__ import annotations

import pytest

from services.payments.domain.ledger import AttemptRecord
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCheckDue,
    ChargeReported,
    ChargeResult,
    FindCharge,
    FindFee,
)
from services.payments.domain.payment import AttemptStatus, Payment
from services.payments.storage import payment_columns
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaymentClosing
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentSurplusRefunded,
    PaymentUnresolved,
    RefundPayment,
)
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core.scenario import START
from tests.unit.payments.examples import VISA, PaymentScenario, reported, requested

CANCEL_FIRST = CancelCharge("stripe", "o-1", 1, "pi_1")


def test_a_request_becomes_one_charge() -> None:
    payment = PaymentScenario(requested())
    charge = payment.charge()
    assert (charge.attempt, charge.amount, charge.currency, charge.payment_method) == (1, 5000, "USD", "pm_1")
    assert payment.published == []
    assert payment.hear(requested()).requested == []


def test_a_charge_that_succeeds_captures_the_payment() -> None:
    payment = PaymentScenario(requested()).pay()
    (captured,) = payment.published
    assert isinstance(captured, PaymentCaptured)
    assert (captured.amount, captured.transaction, captured.card) == (5000, "pi_1", VISA)
    assert payment.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert payment.state.status is PaymentStatus.PAID


def test_a_callback_after_the_answer_changes_nothing() -> None:
    payment = PaymentScenario(requested()).pay()
    before = payment.state
    payment.hear(reported("succeeded"))
    assert (payment.state, payment.published, payment.records) == (before, [], [])


def test_an_answer_after_the_callback_only_adds_the_card() -> None:
    payment = PaymentScenario(requested(), reported("succeeded"))
    assert payment.types() == [PaymentCaptured]
    payment.pay()
    assert (payment.published, payment.records) == ([], [])
    assert payment.state.paying_attempt is not None and payment.state.paying_attempt.card == VISA


def test_a_3ds_answer_after_the_capture_is_ignored() -> None:
    payment = PaymentScenario(requested(), reported("succeeded"))
    payment.ask_for_3ds()
    assert payment.published == []
    assert payment.state.status is PaymentStatus.PAID


def test_a_late_failure_changes_neither_a_capture_nor_a_cancellation() -> None:
    failed = reported("failed")
    payment = PaymentScenario(requested()).pay().hear(failed)
    assert (payment.published, payment.state.status) == ([], PaymentStatus.PAID)
    payment = PaymentScenario(requested()).ask_for_3ds().hear(OrderCancelled()).hear(failed)
    assert payment.published == []
    assert payment.cancel_charge().published == [PaymentCancelled(attempt=1)]


def test_a_second_card_pays_after_a_declined_one() -> None:
    payment = PaymentScenario(requested()).decline()
    (failed,) = payment.published
    assert isinstance(failed, PaymentDeclined)
    assert (failed.code, failed.card) == ("insufficient_funds", VISA)
    assert payment.state.status is PaymentStatus.FAILED
    payment.hear(requested(2)).pay()
    assert [event.attempt for event in payment.last.of(PaymentCaptured)] == [2]


def test_a_failure_by_callback_and_answer_is_published_once() -> None:
    payment = PaymentScenario(requested(), reported("failed"))
    assert isinstance(payment.published[0], PaymentDeclined)
    assert payment.decline().published == []


def test_a_customer_confirms_the_payment() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds()
    assert payment.published == [PaymentActionRequired(attempt=1, url="https://bank.example/1")]
    payment.hear(reported("succeeded"))
    assert [event.card for event in payment.last.of(PaymentCaptured)] == [VISA]


def test_a_customer_fails_to_confirm_the_payment() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds()
    code = "payment_intent_authentication_failure"
    payment.hear(ChargeReported(1, ChargeResult("pi_1", "failed", code=code, text="No.")))
    assert isinstance(payment.published[0], PaymentDeclined)


def test_a_new_attempt_cancels_an_open_3ds_attempt() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(requested(2))
    assert payment.requested == [CANCEL_FIRST]
    payment.cancel_charge()
    assert payment.published == [PaymentCancelled(attempt=1)]
    assert payment.requested == [payment.charge()]
    assert payment.charge().attempt == 2


def test_an_attempt_that_is_paid_before_it_is_cancelled_pays_the_order() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(requested(2)).cancel_charge("succeeded")
    assert payment.types() == [PaymentCaptured, PaymentCancelled]
    assert payment.published[-1] == PaymentCancelled(attempt=2)
    assert payment.requested == [FindFee("stripe", 1, "pi_1")]


def test_a_new_attempt_waits_for_an_open_charge() -> None:
    payment = PaymentScenario(requested(), requested(2))
    assert payment.requested == []
    payment.decline()
    assert payment.charge().attempt == 2


def test_a_new_attempt_after_the_capture_is_not_charged() -> None:
    payment = PaymentScenario(requested()).pay().hear(requested(2))
    assert payment.published == [PaymentCancelled(attempt=2)]
    assert payment.requested == []


def test_a_third_attempt_replaces_the_waiting_second() -> None:
    payment = PaymentScenario(requested(), requested(2), requested(3))
    assert payment.published == [PaymentCancelled(attempt=2)]
    assert payment.decline().charge().attempt == 3


def test_3ds_is_cancelled_unseen_while_another_attempt_waits() -> None:
    payment = PaymentScenario(requested(), requested(2)).ask_for_3ds()
    assert payment.published == []
    assert payment.requested == [CANCEL_FIRST]


def test_a_second_capture_for_the_order_is_refunded() -> None:
    payment = PaymentScenario(requested()).decline().hear(requested(2)).pay()
    payment.hear(reported("succeeded"))
    assert payment.published == []
    refund = payment.refund()
    assert (refund.charge, refund.amount) == ("pi_1", 5000)
    payment.make_refund()
    (surplus,) = payment.published
    assert isinstance(surplus, PaymentSurplusRefunded)
    assert payment.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert payment.state.status is PaymentStatus.PAID
    assert payment.state.refundable == 5000


def test_a_capture_after_the_cancellation_is_refunded() -> None:
    payment = PaymentScenario(requested(), OrderCancelled())
    assert payment.requested == []
    payment.pay()
    assert payment.types() == [PaymentCaptured]
    assert payment.refund().amount == 5000
    payment.make_refund()
    (refunded,) = payment.published
    assert isinstance(refunded, PaymentRefunded)
    assert [line.whole for line in refunded.items] == [True, True]
    assert payment.ledger() == {"provider_balance": 0, "sales": 0}


def test_a_cancellation_cancels_an_open_3ds_attempt() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(OrderCancelled())
    assert payment.requested == [CANCEL_FIRST]
    assert payment.cancel_charge().published == [PaymentCancelled(attempt=1)]
    assert payment.hear(OrderExpired(was=OrderStatus.PENDING_PAYMENT)).requested == []


def test_3ds_after_the_cancellation_is_cancelled_unseen() -> None:
    payment = PaymentScenario(requested(), OrderCancelled()).ask_for_3ds()
    assert payment.published == []
    assert payment.requested == [CANCEL_FIRST]


def test_a_cancellation_refunds_what_was_captured() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled())
    assert payment.refund().amount == 5000


def test_reports_about_unknown_orders_are_ignored() -> None:
    payment = PaymentScenario(reported("succeeded"))
    assert (payment.row(Payment), payment.all.entries) == (None, [])


@pytest.mark.parametrize("end", [OrderCancelled(), OrderExpired(was=OrderStatus.PENDING_PAYMENT)])
def test_an_order_that_ended_before_its_payment_was_requested_is_never_charged(
    end: OrderCancelled | OrderExpired,
) -> None:
    """After a restore of checkout's database the request can come behind the end."""
    payment = PaymentScenario(end)
    assert (payment.all.published, payment.all.requested, payment.timers) == ([], [], [])

    payment.hear(requested())
    assert payment.published == [PaymentCancelled(attempt=1)]
    assert (payment.requested, payment.timers) == ([], [])
    assert payment.hear(requested(2)).published == [PaymentCancelled(attempt=2)]
    assert payment.hear(end).published == []


def test_an_order_that_ended_before_its_payment_was_requested_has_nothing_to_refund_or_settle() -> None:
    payment = PaymentScenario(OrderCancelled(), requested())

    assert payment.refuses(RefundPayment()).code == "not_paid"
    assert payment.hear(OrderPaymentClosing(attempt=1)).published == [PaymentCancelled(attempt=1)]


@pytest.mark.parametrize("end", [OrderExpired(was=OrderStatus.CREATED), OrderCancelled(code="sold_out")])
def test_nothing_is_kept_of_an_order_that_was_never_placed_or_sold_out(end: OrderCancelled | OrderExpired) -> None:
    """Most checkouts are abandoned, and a sale can turn many away: neither is charged by any order of reading."""
    payment = PaymentScenario(end)
    assert payment.row(Payment) is None


def test_an_attempt_for_a_closed_order_is_cancelled_not_charged() -> None:
    payment = PaymentScenario(requested()).decline().hear(OrderCancelled()).hear(requested(2))
    assert payment.published == [PaymentCancelled(attempt=2)]
    assert payment.requested == []


def test_a_callback_resolves_an_unresolved_charge() -> None:
    payment = PaymentScenario(requested()).lose_charge()
    assert payment.published == [PaymentUnresolved(attempt=1, text="no answer")]
    assert payment.state.unresolved
    payment.hear(requested(2))
    assert payment.requested == []
    assert isinstance(payment.published[0], PaymentUnresolved)
    payment.hear(reported("succeeded"))
    assert payment.types() == [PaymentCaptured, PaymentCancelled]
    assert not payment.state.unresolved


def test_an_unresolved_charge_is_checked_until_the_provider_answers() -> None:
    payment = PaymentScenario(requested()).lose_charge().let_go_off("check_charge_1")
    (find,) = payment.requested
    assert isinstance(find, FindCharge)
    assert (find.attempt, find.reference, find.since) == (1, "", payment.state.attempts[0].at)
    assert payment.timers == []
    payment.answer(FindCharge, FindCharge.Failed("resource_missing", "No such payment."))
    assert payment.timers[0].message == ChargeCheckDue(1, 2)
    payment.let_go_off("check_charge_1").find_charge("failed", "", code="not_charged", text="No such payment.")
    assert payment.types() == [PaymentDeclined]
    assert payment.hear(ChargeCheckDue(1, 3)).requested == []


def test_a_cancellation_that_fails_leaves_the_attempt_unresolved() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(requested(2))
    payment.answer(CancelCharge, CancelCharge.Failed("api_key_expired", "The key has expired."))
    assert payment.state.unresolved
    assert payment.requested == []
    payment.let_go_off("check_charge_1").find_charge("requires_action", url="https://bank.example/1")
    assert payment.requested == [CANCEL_FIRST]


def test_the_columns_of_a_payment() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(requested(2))
    columns = payment_columns(payment.state)
    assert (columns["status"], columns["reference"], columns["captured"]) == ("pending", "pi_1", 0)


def test_the_history_of_an_attempt_is_kept() -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(reported("succeeded"))
    statuses = [record.status for record in payment.all.of(AttemptRecord)]
    assert statuses == [AttemptStatus.CHARGING, AttemptStatus.ACTION_REQUIRED, AttemptStatus.CAPTURED]
    assert payment.state.attempts[0].at > START
