"""Manual settlement of charges and refunds whose outcome is unknown; the provider may know better later."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.payments.domain.operations import (
    ChargeCheckDue,
    FindCharge,
    FindRefund,
    RefundCharge,
    RefundDue,
    RefundProgress,
    RefundReported,
    RefundResult,
)
from services.payments.domain.owed import obligations
from services.payments.domain.payment import AttemptStatus, RefundStatus
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import (
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentRefundNeeded,
    PaymentSettled,
    PaymentSettlementContradicted,
    RefundLine,
    RefundPayment,
    SettlePayment,
)
from shared.contracts.values import PaymentStatus
from shared.core import Command, Event
from tests.unit.payments.examples import PaymentScenario, refund_reported, reported, requested

WHY = "Looked up in the dashboard."


def attempt_is(outcome: str, **more: Any) -> SettlePayment:
    return SettlePayment.model_validate({"attempt": 1, "outcome": outcome, "reason": WHY} | more)


def captured(reference: str = "pi_9") -> SettlePayment:
    return attempt_is("captured", reference=reference, amount=5000)


def unresolved() -> PaymentScenario:
    return PaymentScenario(requested()).lose_charge()


def settle_refund(payment: PaymentScenario, outcome: str, **more: Any) -> PaymentScenario:
    command = {"refund": payment.state.refunds[0].id, "outcome": outcome, "reason": WHY}
    return payment.hear(SettlePayment.model_validate(command | more))


def report_refund(payment: PaymentScenario, *result: Any) -> PaymentScenario:
    return payment.hear(refund_reported(payment.state.refunds[0].id, *result))


def unresolved_refund() -> PaymentScenario:
    return PaymentScenario(requested()).pay().hear(RefundPayment()).lose_refund()


def test_an_attempt_settled_as_captured() -> None:
    payment = unresolved().hear(captured())
    settled, event = payment.published
    assert settled == PaymentSettled(attempt=1, outcome="captured", reference="pi_9", reason=WHY)
    assert isinstance(event, PaymentCaptured)
    assert (event.amount, event.transaction) == (5000, "pi_9")
    assert payment.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert payment.state.status is PaymentStatus.PAID
    assert payment.hear(ChargeCheckDue(1)).requested == []


def test_an_attempt_settled_as_not_charged_can_be_paid_again() -> None:
    payment = unresolved().hear(attempt_is("not_charged"))
    event = payment.published[1]
    assert isinstance(event, PaymentDeclined)
    assert (event.reason, event.detail) == ("not_charged", WHY)
    assert WHY not in event.text
    assert payment.hear(requested(2)).pay().state.status is PaymentStatus.PAID


def test_a_settlement_decides_about_a_waiting_attempt() -> None:
    payment = unresolved().hear(requested(2)).hear(attempt_is("not_charged"))
    assert payment.charge().attempt == 2
    payment = unresolved().hear(requested(2)).hear(captured())
    assert payment.types() == [PaymentSettled, PaymentCaptured, PaymentCancelled]


def test_a_settled_capture_of_a_cancelled_order_is_refunded() -> None:
    refund = unresolved().hear(OrderCancelled()).hear(captured()).refund()
    assert (refund.charge, refund.amount) == ("pi_9", 5000)


def test_the_provider_confirms_a_settlement() -> None:
    payment = unresolved().hear(captured()).hear(reported("succeeded", "pi_9"))
    assert payment.published == []
    assert payment.ledger()["provider_balance"] == 5000


def test_the_provider_captured_what_was_settled_as_not_charged() -> None:
    payment = unresolved().hear(attempt_is("not_charged")).hear(reported("succeeded"))
    assert payment.types() == [PaymentSettlementContradicted, PaymentCaptured]
    assert payment.ledger()["provider_balance"] == 5000
    assert payment.state.status is PaymentStatus.PAID


def test_the_provider_captured_under_another_reference() -> None:
    payment = unresolved().hear(captured("pi_typo")).hear(reported("succeeded"))
    contradicted = payment.published[0]
    assert isinstance(contradicted, PaymentSettlementContradicted)
    assert "pi_1" in contradicted.text
    assert payment.balance_by_reference() == {"pi_1": 5000}
    assert payment.state.captured == 5000


def test_the_provider_captured_another_amount() -> None:
    report = reported("succeeded", "pi_9", 4000, requested=4000, store="", key="")
    payment = unresolved().hear(captured()).hear(report)
    contradicted, paid = payment.published
    assert isinstance(contradicted, PaymentSettlementContradicted)
    assert "40.00 USD captured" in contradicted.text
    assert isinstance(paid, PaymentCaptured)
    assert (paid.amount, payment.balance_by_reference()) == (4000, {"pi_9": 4000})
    assert payment.hear(report).published == []


def test_a_charge_in_another_currency_is_told_and_changes_no_sums() -> None:
    report = reported("succeeded", "pi_9", requested=5000, currency="EUR", store="", key="")
    payment = unresolved().hear(captured()).hear(report)
    assert payment.types() == [PaymentSettlementContradicted]
    assert payment.balance_by_reference() == {"pi_9": 5000}
    assert payment.hear(report).published == []


@pytest.mark.parametrize("message", [OrderCancelled(), RefundPayment(amount=700)])
def test_staff_refund_a_charge_in_another_currency(message: Command | Event) -> None:
    """The provider takes an amount in the charge's currency only."""
    report = reported("succeeded", "pi_9", requested=5000, currency="HUF", store="", key="")
    payment = unresolved().hear(captured()).hear(report).hear(message)
    assert (payment.last.of(RefundCharge), payment.refunds_open()) == ([], [])
    (task,) = payment.published
    assert isinstance(task, PaymentRefundNeeded)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_the_provider_never_captured_what_was_settled_as_captured(status: Any) -> None:
    payment = unresolved().hear(captured("pi_1")).hear(reported(status))
    assert payment.types()[0] is PaymentSettlementContradicted
    assert payment.balance_by_reference() == {}
    assert (payment.state.captured, payment.state.status) == (0, PaymentStatus.FAILED)


def test_a_check_in_progress_does_not_undo_a_settlement() -> None:
    payment = unresolved().hear(ChargeCheckDue(1))
    check = payment.operation(FindCharge)
    payment.hear(captured())
    payment.answer(check, not_charged())
    assert payment.published == []
    assert payment.state.status is PaymentStatus.PAID


def test_a_refund_settled_as_refunded() -> None:
    payment = settle_refund(unresolved_refund(), "refunded", reference="re_9")
    assert payment.types() == [PaymentSettled, PaymentRefunded]
    assert payment.balance_by_reference() == {"pi_1": 5000, "re_9": -5000}
    assert report_refund(payment, "succeeded", "re_9").published == []
    assert report_refund(payment, "failed", "re_9", "lost_or_stolen_card").types() == [PaymentRefundFailed]


def test_a_refund_made_under_another_reference() -> None:
    payment = report_refund(settle_refund(unresolved_refund(), "refunded", reference="re_typo"), "succeeded")
    assert payment.types() == [PaymentSettlementContradicted]
    assert payment.balance_by_reference() == {"pi_1": 5000, "re_1": -5000}
    assert payment.state.refunds[0].reference == "re_1"


def other_refund(payment: PaymentScenario, reference: str, *, found: bool) -> PaymentScenario:
    """The provider reports a refund of 30.00 instead of 50.00: in a callback, or where it is looked up."""
    result = RefundResult(reference, charge="pi_1", amount=3000, currency="USD")
    if found:
        return payment.answer(FindRefund, FindRefund.Done(result))
    return payment.hear(RefundReported(payment.state.refunds[0].id, result))


@pytest.mark.parametrize("found", [True, False])
def test_a_refund_of_another_amount_than_was_settled(*, found: bool) -> None:
    payment = other_refund(settle_refund(unresolved_refund(), "refunded", reference="re_9"), "re_9", found=found)
    contradicted, failed, refunded = payment.published
    assert isinstance(contradicted, PaymentSettlementContradicted)
    assert "re_9" in contradicted.text
    assert "30.00 USD" in contradicted.text
    assert isinstance(failed, PaymentRefundFailed)
    assert isinstance(refunded, PaymentRefunded)
    assert (failed.amount, refunded.amount, refunded.refunded) == (5000, 3000, 3000)
    assert payment.balance_by_reference() == {"pi_1": 5000, "re_9": -3000}
    assert other_refund(payment, "re_9", found=False).published == []


def test_a_refund_of_another_amount_though_none_was_settled() -> None:
    payment = other_refund(settle_refund(unresolved_refund(), "not_refunded"), "re_1", found=True)
    assert payment.types() == [PaymentSettlementContradicted, PaymentRefunded]
    assert payment.balance_by_reference() == {"pi_1": 5000, "re_1": -3000}
    assert other_refund(payment, "re_1", found=False).published == []


def test_the_rest_of_a_refund_of_another_amount_is_refunded_where_all_is_owed() -> None:
    payment = unresolved().hear(captured()).hear(OrderCancelled()).lose_refund()
    result = RefundResult("re_9", charge="pi_9", amount=3000, currency="USD")
    settle_refund(payment, "refunded", reference="re_9").answer(FindRefund, FindRefund.Done(result))
    assert payment.hear(RefundDue(payment.state.refunds[0].id)).refund().amount == 2000


def test_a_refund_settled_as_not_refunded_can_be_requested_again() -> None:
    payment = settle_refund(unresolved_refund(), "not_refunded")
    assert payment.types() == [PaymentSettled, PaymentRefundFailed]
    assert payment.state.refundable == 5000
    assert report_refund(payment, "succeeded").types() == [PaymentSettlementContradicted, PaymentRefunded]
    assert payment.state.refunds[0].status is RefundStatus.DONE


def test_who_settled_it_is_kept() -> None:
    assert unresolved().hear(captured()).state.attempts[0].settled_by == "staff:anna"


@pytest.mark.parametrize(
    ("command", "codes"),
    [
        (attempt_is("captured", refund="r-1"), ["ambiguous"]),
        (SettlePayment(outcome="captured", reason=WHY), ["ambiguous"]),
        (attempt_is("refunded", attempt=7, reference="x"), ["wrong_outcome", "unknown_attempt"]),
        (SettlePayment(refund="r-1", outcome="refunded", reason=WHY), ["unknown_refund"]),
        (attempt_is("captured", amount=1), ["missing_reference", "wrong_amount"]),
        (attempt_is("not_charged", reference="pi_1"), ["no_reference"]),
    ],
)
def test_a_settlement_that_does_not_fit_is_refused_with_every_problem(command: SettlePayment, codes: list[str]) -> None:
    assert [problem.code for problem in unresolved().refuses(command).problems] == codes


def test_a_known_outcome_cannot_be_settled() -> None:
    refused = PaymentScenario(requested()).pay().refuses(attempt_is("not_charged"))
    assert refused.code == "not_unresolved"
    assert "captured" in refused.text
    assert PaymentScenario().refuses(captured()).code == "not_found"


def test_a_later_attempt_can_be_settled() -> None:
    payment = PaymentScenario(requested()).decline().hear(requested(2)).lose_charge()
    payment.hear(attempt_is("captured", attempt=2, reference="pi_2")).hear(requested(3))
    assert payment.state.attempts[1].status is AttemptStatus.CAPTURED


def checks(payment: PaymentScenario) -> list[str]:
    return [find.reference for find in payment.last.of(FindCharge)]


def not_charged() -> FindCharge.Done:
    return FindCharge.Done(reported("failed", "").result)


def test_a_settlement_is_checked_once_more() -> None:
    assert checks(unresolved().hear(captured("pi_9"))) == ["pi_9"]
    payment = unresolved().hear(attempt_is("not_charged"))
    assert checks(payment) == [""]
    payment.find_charge("succeeded", amount=5000)
    assert payment.types() == [PaymentSettlementContradicted, PaymentCaptured]
    assert [type(one) for one in settle_refund(unresolved_refund(), "not_refunded").requested] == [FindRefund]


def test_a_reference_that_cannot_be_found_is_published_and_the_right_one_looked_up() -> None:
    payment = unresolved().hear(captured("pi_typo"))
    payment.answer(FindCharge, FindCharge.Failed("resource_missing", "No such payment_intent."))
    assert payment.types() == [PaymentSettlementContradicted]
    assert checks(payment) == [""]
    payment.find_charge("succeeded", amount=5000)
    assert payment.balance_by_reference() == {"pi_1": 5000}


def test_a_pending_refund_of_a_wrong_charge_is_made_of_the_right_one() -> None:
    payment = unresolved().hear(OrderCancelled()).hear(captured("pi_typo"))
    wrong = payment.refund()
    assert (wrong.charge, wrong.unconfirmed) == ("pi_typo", True)
    payment.hear(reported("succeeded"))
    assert payment.types() == [PaymentSettlementContradicted, PaymentRefundFailed, PaymentCaptured]
    (right,) = payment.last.of(RefundCharge)
    assert (right.charge, right.amount, right.unconfirmed) == ("pi_1", 5000, False)
    assert right.refund != wrong.refund
    payment.make_refund(right)
    assert payment.state.refunded == payment.state.captured == 5000


def test_a_pending_refund_of_a_charge_that_never_was_is_not_owed() -> None:
    payment = unresolved().hear(OrderCancelled()).hear(captured("pi_1")).hear(reported("failed"))
    assert payment.types()[:2] == [PaymentSettlementContradicted, PaymentRefundFailed]
    assert (payment.state.captured, payment.state.pending, payment.balance_by_reference()) == (0, 0, {})


def test_what_staff_recorded_of_a_capture_that_was_none_is_undone_with_it() -> None:
    payment = PaymentScenario(requested()).lose_charge()
    captured = {"attempt": 1, "outcome": "captured", "reference": "pi_1", "reason": "Seen."}
    payment.hear(SettlePayment.model_validate(captured))
    payment.hear(RefundPayment(refund_payment=False, note="In cash.", reference="receipt 3"))
    payment.hear(reported("cancelled"))
    assert (payment.state.captured, payment.state.refunded) == (0, 0)
    assert not any(payment.ledger().values())


@given(
    amount=st.integers(1, 9000),
    cash=st.lists(st.integers(1, 3000), max_size=3),
    pending=st.lists(st.integers(1, 3000), max_size=2),
    closed=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_what_staff_paid_out_counts_whatever_amount_the_provider_then_reports(
    amount: int, cash: list[int], pending: list[int], closed: bool
) -> None:
    """It is the same charge: only what is more than was captured gives way."""
    payment = unresolved().hear(captured())
    for part in cash:
        payment.offer(RefundPayment(amount=part, refund_payment=False, note="In cash."))
    for part in pending:
        payment.offer(RefundPayment(amount=part))
    if closed:
        payment.hear(OrderCancelled())
    paid_out, requested_before = payment.state.refunded, payment.state.pending
    payment.hear(reported("succeeded", "pi_9", amount, requested=5000, store="", key=""))
    now = payment.state
    left = amount - now.refunded
    assert (now.captured, now.refunded) == (amount, min(paid_out, amount))
    assert now.pending == (left if closed else sum(it.amount for it in now.refunds if it.is_pending))
    assert closed or requested_before > left or now.pending == requested_before
    assert payment.ledger().get("paid_elsewhere", 0) == -now.refunded
    for failed in payment.last.of(PaymentRefundFailed):
        assert "was captured of pi_9" in failed.text


def test_what_was_captured_beyond_the_orders_amount_is_owed_until_it_is_refunded_apart() -> None:
    payment = unresolved().hear(captured()).hear(reported("succeeded", "pi_9", 6000, requested=5000))
    (part,) = obligations(payment.state)
    assert (payment.state.owed, part.amount, part.for_staff, part.code) == (1000, 1000, True, "overpaid")

    for item in ("1", "2"):
        payment.hear(RefundPayment(items=(RefundLine(item=item),))).make_refund()
        assert (payment.state.owed, sum(part.amount for part in obligations(payment.state))) == (1000, 1000)
    assert payment.told().status is PaymentStatus.REFUNDED
    assert payment.all.of(PaymentRefunded)[-1].remove_offer_access

    payment.hear(RefundPayment(amount=400)).make_refund()
    assert payment.state.owed == 600
    payment.hear(RefundPayment()).make_refund()
    assert (payment.state.owed, payment.state.refunded, obligations(payment.state)) == (0, 6000, ())


def recorded_from_the_dashboard() -> PaymentScenario:
    payment = PaymentScenario(requested()).pay()
    return payment.hear(RefundPayment(amount=1000, refund_payment=False, note="In the dashboard.", reference="re_D"))


def from_the_dashboard(amount: int, status: RefundProgress) -> RefundReported:
    return RefundReported("", RefundResult("re_D", status, "", "pi_1", amount, "USD"))


@pytest.mark.parametrize("amount", [700, 1500, 5000])
@pytest.mark.parametrize("status", ["succeeded", "pending"])
def test_the_provider_made_another_amount_than_staff_recorded(amount: int, status: RefundProgress) -> None:
    payment = recorded_from_the_dashboard().hear(from_the_dashboard(amount, status))
    assert payment.types()[:2] == [PaymentSettlementContradicted, PaymentRefundFailed]
    payment.hear(from_the_dashboard(amount, "succeeded"))
    assert (payment.state.refunded, payment.ledger().get("paid_elsewhere", 0)) == (amount, 0)
    assert payment.balance_by_reference() == {"pi_1": 5000, "re_D": -amount}
    assert payment.hear(from_the_dashboard(amount, "succeeded")).published == []


def test_the_provider_did_not_make_what_staff_recorded() -> None:
    payment = recorded_from_the_dashboard().hear(from_the_dashboard(1000, "pending"))
    assert (payment.published, payment.state.refunded) == ([], 1000)
    payment.hear(from_the_dashboard(1000, "failed"))
    assert payment.types() == [PaymentSettlementContradicted, PaymentRefundFailed]
    assert (payment.state.refunded, payment.ledger().get("paid_elsewhere", 0)) == (0, 0)
    assert payment.hear(from_the_dashboard(1000, "failed")).published == []
