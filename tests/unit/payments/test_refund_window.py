"""The provider's limits are said before they are met: a window of days, no partial refunds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.payments.domain import capabilities
from services.payments.domain.capabilities import Capabilities
from services.payments.domain.operations import RefundProgress, RefundReported, RefundResult
from services.payments.domain.owed import obligations
from services.payments.domain.payment import RefundStatus
from services.payments.domain.preview import RefundPreview, preview
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import PaymentRefunded, PaymentRefundNeeded, RefundPayment, SettlePayment
from shared.core.fast_dataclasses import replace
from tests.unit.payments.examples import PaymentScenario, reported, requested

DAYS = timedelta(days=1)
RECORDED = RefundPayment(refund_payment=False, note="By bank transfer.")


@pytest.fixture(autouse=True)
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that is refunded for 180 days, and in whole only."""
    can = Capabilities(
        full_refunds=True, partial_refunds=False, dashboard="https://pay.example", refund_window_days=180
    )
    monkeypatch.setitem(capabilities.BY_METHOD, ("stripe", "later"), can)


def paid(method: str = "later") -> PaymentScenario:
    return PaymentScenario(requested(method=method)).pay()


def previewed(payment: PaymentScenario, command: RefundPayment) -> RefundPreview:
    found = preview(payment.state, command, payment.at)
    assert isinstance(found, RefundPreview), found
    return found


def test_until_the_window_is_over_it_is_refunded() -> None:
    payment = paid().let_time_pass(179 * DAYS)
    captured_at = payment.state.attempts[0].captured_at
    assert captured_at is not None
    assert previewed(payment, RefundPayment()).refundable_until == captured_at + 180 * DAYS
    assert payment.hear(RefundPayment()).make_refund().last.of(PaymentRefunded)


def test_after_it_the_provider_is_not_asked_and_the_refusal_says_since_when() -> None:
    payment = paid().let_time_pass(181 * DAYS)
    refused = payment.refuses(RefundPayment())
    assert refused.code == "refund_window_over"
    assert refused.text.startswith("stripe refunds it for 180 days only, until ")
    assert preview(payment.state, RefundPayment(), payment.at) == refused
    assert payment.hear(RECORDED).last.of(PaymentRefunded)[0].recorded


def test_the_window_counts_from_the_capture() -> None:
    payment = PaymentScenario(requested(method="later")).ask_for_3ds()
    payment.let_time_pass(5 * DAYS).hear(reported("succeeded"))
    assert payment.let_time_pass(179 * DAYS).hear(RefundPayment()).requested


def test_all_problems_are_named_at_once() -> None:
    refused = paid().let_time_pass(181 * DAYS).refuses(RefundPayment(reason="whim"))
    assert [it.code for it in refused.problems] == ["unknown_reason", "refund_window_over"]


def test_what_must_be_refunded_after_it_is_for_staff() -> None:
    payment = paid().let_time_pass(181 * DAYS).hear(OrderCancelled())
    assert payment.requested == []
    (needed,) = payment.last.of(PaymentRefundNeeded)
    assert "https://pay.example" in needed.text
    (refund,) = payment.state.refunds
    assert (refund.by_hand, refund.status) == (True, RefundStatus.PENDING)


def test_a_preview_says_that_staff_make_a_partial_refund_themselves() -> None:
    payment = paid()
    assert previewed(payment, RefundPayment(amount=100)).by_hand
    assert not previewed(payment, RefundPayment()).by_hand
    assert payment.hear(RefundPayment(amount=100)).last.of(PaymentRefundNeeded)


def test_cards_have_no_window() -> None:
    payment = paid("card").let_time_pass(3000 * DAYS)
    assert previewed(payment, RefundPayment(amount=100)).refundable_until is None
    assert payment.hear(RefundPayment(amount=100)).requested


def test_an_attempt_of_an_older_build_counts_from_its_request() -> None:
    payment = paid()
    (attempt,) = payment.state.attempts
    older = payment.state.with_attempt(replace(attempt, captured_at=None))
    assert older.refundable_until(attempt) is not None
    assert older.refundable_until(older.attempts[0]) == attempt.at + 180 * DAYS


@pytest.mark.parametrize("settled_first", [True, False])
@pytest.mark.parametrize("status", ["succeeded", "pending"])
def test_what_staff_made_in_the_dashboard_is_the_refund_that_they_were_asked_for(
    settled_first: bool, status: RefundProgress
) -> None:
    payment = paid().hear(RefundPayment(amount=100))
    (task,) = payment.state.refunds
    if settled_first:
        payment.hear(SettlePayment(refund=task.id, outcome="refunded", reason="In the dashboard."))
    payment.hear(RefundReported("", RefundResult("re_D", status, "", "pi_1", 100, "USD")))
    payment.hear(RefundReported("", RefundResult("re_D", "succeeded", "", "pi_1", 100, "USD")))
    assert [(it.id, it.status, it.reference) for it in payment.state.refunds] == [(task.id, "done", "re_D")]
    assert (payment.state.refunded, payment.state.owed) == (100, 0)
    assert payment.balance_by_reference() == {"pi_1": 5000, "re_D": -100}
    assert len(payment.all.of(PaymentRefunded)) == 1


def test_a_refund_of_another_amount_in_the_dashboard_is_one_more() -> None:
    payment = paid().hear(RefundPayment(amount=100))
    payment.hear(RefundReported("", RefundResult("re_D", "succeeded", "", "pi_1", 200, "USD")))
    assert (payment.state.refunded, payment.state.pending) == (200, 100)


def ends_between_tries() -> PaymentScenario:
    payment = paid().let_time_pass(180 * DAYS - timedelta(minutes=90)).hear(OrderCancelled()).fail_refund()
    payment.let_time_pass(timedelta(hours=1)).fail_refund()
    return payment.let_time_pass(timedelta(hours=2))


def test_staff_are_told_of_an_owed_refund_whose_window_ends_between_two_tries() -> None:
    payment = ends_between_tries()
    (refund,) = payment.state.refunds
    assert (refund.by_hand, refund.status, payment.refunds_open()) == (True, RefundStatus.PENDING, [])
    (needed,) = payment.all.of(PaymentRefundNeeded)
    assert (needed.refund, needed.amount) == (refund.id, 5000)


def test_staff_are_told_once_of_what_they_make_by_hand() -> None:
    payment = ends_between_tries()
    (refund,) = payment.state.refunds
    payment.hear(SettlePayment(refund=refund.id, outcome="not_refunded", reason="The account is closed."))
    payment.let_time_pass(2 * DAYS)
    assert [(part.status.value, part.for_staff) for part in obligations(payment.state)] == [("by_hand", True)]
    assert len(payment.all.of(PaymentRefundNeeded)) == 1
    payment.hear(SettlePayment(refund=refund.id, outcome="refunded", reason="By bank transfer."))
    assert payment.state.owed == 0
