"""Refunds that the provider reports: our own by their id, and those made in its dashboard by their reference."""

from __future__ import annotations

import re

from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundReported, RefundResult
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, payments
from services.payments.domain.refund import shares_of_all
from services.payments.domain.refund_made import failed
from services.payments.domain.refund_result import MADE_AT_PROVIDER, apply_refund_result, enter, make_room
from shared.contracts.payments import PaymentUnresolved
from shared.core import Context, Decision, hashed_id
from shared.core.money import Money

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")


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
    if result.status == "failed" or result.currency != payment.currency or not result.amount:
        return Decision(payment)
    change = PaymentChange(payment, context)
    attempt = next((it for it in payment.attempts if it.reference and it.reference == result.charge), None)
    if known:
        _recorded_before(change, known, result)
    elif attempt:
        _made_at_provider(change, attempt, result, report.refund)
    elif _may_be_known_later(payment, result):
        others = (early for early in payment.early_refunds if early.reference != result.reference)
        change.set(early_refunds=(*others, result))
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


def enter_early_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Those of a charge whose reference has just become known."""
    for result in change.state.early_refunds:
        if result.charge == attempt.reference:
            change.set(early_refunds=tuple(it for it in change.state.early_refunds if it is not result))
            _made_at_provider(change, attempt, result)


def _recorded_before(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    """Staff recorded by its reference what they did in the provider's dashboard: then the provider moved the money."""
    attempt = change.state.attempt(refund.attempt)
    same = attempt and (result.charge, result.amount) == (attempt.reference, refund.amount)
    if not same or result.status != "succeeded" or refund.status is not RefundStatus.DONE:
        return
    change.enter_movement("correction", refund.amount, refund.reference, refund.attempt, elsewhere=True)
    change.enter_movement("refund", -refund.amount, result.reference, refund.attempt)
    change.update_refund(refund, recorded=False, settled_by="")


def _made_at_provider(change: PaymentChange, attempt: ChargeAttempt, result: RefundResult, id: str = "") -> None:
    """Enter a refund that we did not request: the provider will not make ours of the same money."""
    context, payment = change.context, change.state
    left, ours = payment.refundable_of(attempt), list[Refund]()
    for refund in reversed([*payment.refunds_of(attempt)]):
        if result.amount > left and refund.is_pending and not refund.reference:
            ours.append(refund)
            left += refund.amount
    for refund in ours:
        # Where its call has not ended, what is owed is tried again when it has.
        text, ended = f"{result.reference} was made at the provider before.", refund.status is RefundStatus.UNRESOLVED
        failed(change, refund, MADE_AT_PROVIDER, text, try_again=ended)
    if not make_room(change, attempt, result.amount, result.reference):
        text = f"The provider made {result.reference} of {Money(result.amount, payment.currency)}, more than is left."
        change.publish(PaymentUnresolved(attempt=attempt.extra_of or attempt.number, text=text))
        return
    whole = attempt == payment.paying_attempt and result.amount == change.state.refundable_of(attempt)
    ours_forgotten = _ID.fullmatch(id) and payment.refund(id) is None
    refund = Refund(
        id=id if ours_forgotten else str(hashed_id("refund", context.key, result.reference)),
        attempt=attempt.number,
        amount=result.amount,
        at=context.at,
        shares=shares_of_all(change.state) if whole else (),
        reason=MADE_AT_PROVIDER,
    )
    enter(change, change.update_refund(refund), result)
