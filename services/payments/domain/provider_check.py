"""Checking with the provider how an attempt or a refund stands whose outcome is unknown.

What is unknown is checked until the provider answers. What staff settled is checked once more, so that a slip is found.
"""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.charge_result import apply_charge_result
from services.payments.domain.operations import ChargeCheckDue, FindCharge, FindRefund, RefundCheckDue
from services.payments.domain.payment import Payment, payments
from services.payments.domain.refund_made import told_as
from services.payments.domain.refund_result import apply_refund_result
from services.payments.domain.whose import is_ours
from shared.contracts.payments import PaymentSettlementContradicted
from shared.core import Context, Decision, FailedOutcome, UnresolvedOutcome


@payments.on(ChargeCheckDue)
def charge_check_due(payment: Payment, due: ChargeCheckDue, context: Context) -> Decision[Payment]:
    """One check at a time: the next is set when this one has ended without an answer."""
    change = PaymentChange(payment, context)
    attempt = payment.attempt(due.attempt)
    if attempt and attempt.needs_check:
        change.check_charge(attempt, attempt.reference, due.tries)
    return change.decision()


@payments.answers(FindCharge.Done)
def charge_found(payment: Payment, find: FindCharge, outcome: FindCharge.Done, context: Context) -> Decision[Payment]:
    result = outcome.result
    if not find.reference and result.reference and not is_ours(payment, context.key, find.attempt, result):
        change = PaymentChange(payment, context)  # a look-up of an older build goes by order and attempt alone
        change.check_charge_later(find.attempt, find.tries + 1)
        return change.decision()
    return apply_charge_result(payment, find.attempt, result, context, next_check=find.tries + 1)


@payments.answers(FindCharge.Failed, FindCharge.Unresolved)
def charge_not_found(
    payment: Payment, find: FindCharge, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    change = PaymentChange(payment, context)
    attempt = payment.attempt(find.attempt)
    if attempt and attempt.needs_check:
        change.check_charge_later(attempt.number, find.tries + 1)
    elif attempt and attempt.settled_by and find.reference and find.reference == attempt.reference:
        settled = f"Settled as {attempt.status} by {attempt.settled_by}"
        text = f"{settled}, but the provider cannot find {find.reference}: {outcome.text}"
        change.publish(PaymentSettlementContradicted(attempt=attempt.number, text=text[:2000]))
        change.check_charge(attempt, "")
    return change.decision()


@payments.on(RefundCheckDue)
def refund_check_due(payment: Payment, due: RefundCheckDue, context: Context) -> Decision[Payment]:
    change = PaymentChange(payment, context)
    refund = payment.refund(due.refund)
    if refund and refund.needs_check:
        change.check_refund(refund, due.tries)
    return change.decision()


@payments.answers(FindRefund.Done)
def refund_found(payment: Payment, find: FindRefund, outcome: FindRefund.Done, context: Context) -> Decision[Payment]:
    return apply_refund_result(payment, find.refund, outcome.result, context, next_check=find.tries + 1)


@payments.answers(FindRefund.Failed, FindRefund.Unresolved)
def refund_not_found(
    payment: Payment, find: FindRefund, outcome: FailedOutcome | UnresolvedOutcome, context: Context
) -> Decision[Payment]:
    change = PaymentChange(payment, context)
    refund = payment.refund(find.refund)
    if refund and refund.needs_check:
        change.check_refund_later(refund, find.tries + 1)
    elif refund and refund.settled_by and find.reference and find.reference == refund.reference:
        settled = f"Settled as {refund.status} by {refund.settled_by}"
        text = f"{settled}, but the provider cannot find {find.reference}: {outcome.text}"
        told = PaymentSettlementContradicted(attempt=told_as(payment, refund), refund=refund.id, text=text[:2000])
        change.publish(told)
    return change.decision()
