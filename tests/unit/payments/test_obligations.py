"""The parts of what is owed: what each waits for, and whether staff must act."""

from __future__ import annotations

from typing import Any

from services.payments.domain.operations import RefundReported, RefundResult
from services.payments.domain.owed import Obligation, obligations
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import RefundPayment
from tests.unit.payments.examples import PaymentScenario, refund_reported, requested
from tests.unit.payments.test_owed import surplus


def parts(payment: PaymentScenario) -> tuple[Obligation, ...]:
    found = obligations(payment.state)
    assert sum(part.amount for part in found) == payment.state.owed
    return found


def shown(payment: PaymentScenario) -> list[tuple[Any, ...]]:
    return [(part.attempt, part.amount, part.status.value, part.for_staff) for part in parts(payment)]


def cancelled() -> PaymentScenario:
    return PaymentScenario(requested()).pay().hear(OrderCancelled())


def test_nothing_is_owed_of_a_paid_order() -> None:
    assert shown(PaymentScenario(requested()).pay()) == []


def test_a_refund_that_the_provider_was_asked_for_is_sent_and_owed_no_more_once_it_is_made() -> None:
    payment = PaymentScenario(requested()).pay().hear(RefundPayment(amount=100))
    assert shown(payment) == [(1, 100, "sent", False)]
    assert shown(payment.make_refund()) == []


def test_what_the_provider_refused_waits_for_its_next_try_and_says_why() -> None:
    payment = cancelled().fail_refund()
    assert shown(payment) == [(1, 5000, "owed", False)]
    (part,) = parts(payment)
    refund = payment.state.refunds[0]
    assert (part.refund, part.tries, part.code, part.text) == (refund.id, 1, "charge_disputed", "Disputed.")
    assert part.since == refund.at
    payment.let_go_off(f"refund_{refund.id}")
    assert shown(payment) == [(1, 5000, "sent", False)]
    (part,) = parts(payment)
    assert (part.tries, part.text) == (2, "Disputed."), "the last refusal is still said"
    payment.hear(refund_reported(refund.id, "pending"))
    assert parts(payment)[0].text == ""


def test_what_the_bank_has_yet_to_pay_is_pending_with_its_reference() -> None:
    payment = cancelled()
    payment.hear(refund_reported(payment.refund().refund, "pending"))
    assert shown(payment) == [(1, 5000, "pending", False)]
    assert parts(payment)[0].reference == "re_1"


def test_what_the_bank_sent_back_waits_for_staff() -> None:
    payment = cancelled().make_refund()
    id = payment.state.refunds[0].id
    payment.hear(refund_reported(id, "failed", f"re_{id}"))
    assert shown(payment) == [(1, 5000, "owed", True)]


def test_what_waits_for_staff_says_why_the_bank_sent_it_back() -> None:
    """Though another refund of the same money was refused, and was not tried again while the first was under way."""
    payment = cancelled().fail_refund().hear(RefundPayment()).fail_refund()
    automatic, requested_by_staff = payment.state.refunds
    payment.let_go_off(f"refund_{automatic.id}").hear(refund_reported(automatic.id, "pending"))
    assert payment.let_go_off(f"refund_{requested_by_staff.id}").requested == []
    payment.hear(refund_reported(automatic.id, "failed", code="lost"))

    assert shown(payment) == [(1, 5000, "owed", True)]
    (part,) = parts(payment)
    assert (part.refund, part.reference, part.code) == (automatic.id, "re_1", "lost")


def test_an_unknown_outcome_is_for_staff_to_settle() -> None:
    assert shown(cancelled().lose_refund()) == [(1, 5000, "unknown", True)]


def test_each_attempt_has_a_part_of_its_own_and_what_staff_took_over_is_off_it() -> None:
    payment = surplus().fail_refund()
    payment.hear(RefundPayment(attempt=1, amount=2000, refund_payment=False, note="In cash."))
    payment.hear(RefundPayment(amount=500))
    assert shown(payment) == [(1, 3000, "owed", False), (2, 500, "sent", False)]


def test_a_refund_in_the_dashboard_settles_its_part() -> None:
    payment = cancelled().fail_refund()
    made = RefundResult("re_d", charge="pi_1", amount=5000, currency="USD")
    assert shown(payment.hear(RefundReported("", made))) == []


def test_a_refused_refund_of_a_valid_order_is_no_part() -> None:
    assert shown(PaymentScenario(requested()).pay().hear(RefundPayment(amount=100)).fail_refund()) == []


def sent_back_and_refused() -> PaymentScenario:
    """Of 50.00, the bank sent 30.00 back; the provider refused the rest, and is asked again."""
    payment = PaymentScenario(requested()).pay().hear(RefundPayment(amount=3000)).make_refund()
    sent_back = payment.state.refunds[0].id
    payment.hear(OrderCancelled()).fail_refund()
    return payment.hear(refund_reported(sent_back, "failed", f"re_{sent_back}", "lost"))


def test_what_the_bank_sent_back_waits_for_staff_while_the_rest_is_tried_again() -> None:
    payment = sent_back_and_refused()
    assert shown(payment) == [(1, 2000, "owed", False), (1, 3000, "owed", True)]
    assert [part.code for part in parts(payment)] == ["charge_disputed", "lost"]
    payment.let_go_off(f"refund_{payment.state.refunds[1].id}")
    assert shown(payment) == [(1, 3000, "owed", True), (1, 2000, "sent", False)]


def test_what_staff_took_over_is_off_what_waits_for_them() -> None:
    payment = sent_back_and_refused()
    payment.hear(RefundPayment(amount=1000, refund_payment=False, note="In cash."))
    assert shown(payment) == [(1, 2000, "owed", False), (1, 2000, "owed", True)]
    payment.hear(RefundPayment(amount=2000, refund_payment=False, note="In cash."))
    assert shown(payment) == [(1, 2000, "owed", False)]
    payment.hear(RefundPayment(amount=500, refund_payment=False, note="In cash."))
    assert shown(payment) == [(1, 1500, "owed", False)]
    payment.let_go_off(f"refund_{payment.state.refunds[1].id}")
    assert payment.refund().amount == 1500
