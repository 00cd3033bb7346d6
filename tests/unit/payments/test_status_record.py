"""The record on `payments.status.v1`: whole, and told from the first outcome on."""

from __future__ import annotations

from shared.contracts.payments import PaymentStatusRecord, RefundPayment
from shared.contracts.values import PaymentStatus
from tests.unit.payments.examples import VISA, PaymentScenario, reported, requested


def records(payment: PaymentScenario) -> list[PaymentStatusRecord]:
    return payment.all.of(PaymentStatusRecord)


def test_an_order_that_is_paid_at_once_has_one_record() -> None:
    payment = PaymentScenario(requested())
    assert records(payment) == []
    payment.pay()
    assert len(records(payment)) == 1
    told = payment.told()
    assert (told.status, told.captured, told.refundable, told.revision) == (PaymentStatus.PAID, 5000, 5000, 1)
    (attempt,) = told.attempts
    assert (attempt.provider, attempt.reference, attempt.card, attempt.captured) == ("stripe", "pi_1", VISA, 5000)
    assert [(item.item, item.refundable) for item in told.items] == [("1", 3000), ("2", 2000)]


def test_every_later_change_is_told_with_a_higher_revision() -> None:
    payment = PaymentScenario(requested()).decline().hear(requested(2)).pay().hear(RefundPayment(amount=100))
    payment.make_refund()
    revisions = [record.revision for record in records(payment)]
    assert revisions == [*range(1, len(revisions) + 1)] and len(revisions) == 5
    told = payment.told()
    assert [attempt.status for attempt in told.attempts] == ["declined", "captured"]
    assert [(refund.status, refund.amount) for refund in told.refunds] == [("done", 100)]
    assert told.status is PaymentStatus.PARTIALLY_REFUNDED
    assert payment.hear(requested(2)).last.of(PaymentStatusRecord) == []


def test_what_is_owed_and_what_is_stray_is_told() -> None:
    payment = PaymentScenario(requested()).decline().hear(requested(2)).pay().hear(reported("succeeded")).fail_refund()
    payment.hear(reported("succeeded", "pi_x", amount=50, requested=50))
    told = payment.told()
    assert (told.owed, told.attempts[0].owed, told.attempts[0].surplus, told.attempts[1].owed) == (5000, 5000, True, 0)
    assert [(stray.reference, stray.amount) for stray in told.stray_charges] == [("pi_x", 50)]
