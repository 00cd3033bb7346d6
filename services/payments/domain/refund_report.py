"""Refunds that the provider reports: our own by their id, and those made in its dashboard by their reference."""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundReported, RefundResult
from services.payments.domain.payment import Payment, Refund, RefundStatus, payments
from services.payments.domain.refund_made import failed
from services.payments.domain.refund_result import (
    RETURNED,
    apply_refund_result,
    contradict,
    forget_early,
    keep_for_later,
    made_at_provider,
)
from shared.core import Context, Decision
from shared.core.money import Money


@payments.on(RefundReported)
def refund_reported(payment: Payment, report: RefundReported, context: Context) -> Decision[Payment]:
    return apply_refund_report(payment, report, context)


def apply_refund_report(payment: Payment, report: RefundReported, context: Context) -> Decision[Payment]:
    result, named = report.result, payment.refund(report.refund)
    known = next((it for it in payment.refunds if it.reference and it.reference == result.reference), None)
    if named and _is_about(payment, named, result):
        return apply_refund_result(payment, named.id, result, context)
    if known and not known.recorded:
        return apply_refund_result(payment, known.id, result, context)
    if known:
        change = PaymentChange(payment, context)
        _recorded_before(change, known, result)
        return change.decision()
    change = PaymentChange(payment, context)
    if result.status == "failed":
        forget_early(change, result)
        return change.decision()
    if result.currency != payment.currency or not result.amount:
        return Decision(payment)
    attempt = next((it for it in payment.attempts if it.reference and it.reference == result.charge), None)
    if attempt:
        made_at_provider(change, attempt, result, report.refund)
    elif _may_be_known_later(payment, result):
        keep_for_later(change, result)
    return change.decision()


def _is_about(payment: Payment, refund: Refund, result: RefundResult) -> bool:
    """Anyone who uses the account can write our metadata into a refund, too. An older build's report says no more."""
    attempt = payment.attempt(refund.attempt)
    charge = attempt.reference if attempt else ""
    about = (result.charge, result.amount, result.currency)
    return not result.currency or about == (charge, refund.amount, payment.currency)


def _may_be_known_later(payment: Payment, result: RefundResult) -> bool:
    """Its charge may be an attempt's whose answer has not come, or one that we made for an attempt unknown so far."""
    strays = {stray.reference for stray in payment.strays if stray.ours}
    return result.charge in strays or any(it.is_charging and not it.reference for it in payment.attempts)


def _recorded_before(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    """Staff recorded by its reference what they did in the provider's dashboard: then the provider moved the money."""
    attempt = change.state.attempt(refund.attempt)
    about = attempt and (result.charge, result.currency) == (attempt.reference, change.state.currency)
    if not about or attempt is None or refund.status is not RefundStatus.DONE:
        return
    same = result.amount == refund.amount
    if same and result.status == "pending":
        return
    if not same or result.status == "failed":
        contradict(change, refund, result)
    change.enter_movement("correction", refund.amount, refund.reference, refund.attempt, elsewhere=True)
    if result.status == "failed":
        failed(change, refund, result.code or "failed", RETURNED, result.reference)
        return
    if not same:
        given = Money(result.amount, change.state.currency)
        failed(change, refund, "other_amount", f"The provider made {result.reference} of {given}.")
        made_at_provider(change, attempt, result)
        return
    change.enter_movement("refund", -refund.amount, result.reference, refund.attempt)
    change.update_refund(refund, recorded=False, settled_by="")
