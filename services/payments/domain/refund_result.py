"""How refunds end: the provider's answers and callbacks. Both go through `apply_refund_result`."""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundCharge, RefundReported, RefundResult
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, payments
from services.payments.domain.refund import shares_of_all
from services.payments.domain.refund_made import failed, made
from shared.contracts.payments import PaymentSettlementContradicted, PaymentUnresolved, SettlePayment
from shared.core import Context, Decision, hashed_id
from shared.core.money import Money

RETURNED = "The bank returned the refund. Refund the customer another way."
NEVER_MADE = "The provider has no such refund. Request it again."
MADE_AT_PROVIDER = "made_at_provider"


@payments.answers(RefundCharge.Done)
def refund_made(
    payment: Payment, operation: RefundCharge, outcome: RefundCharge.Done, context: Context
) -> Decision[Payment]:
    return apply_refund_result(payment, operation.refund, outcome.result, context)


@payments.answers(RefundCharge.Failed)
def refund_failed(
    payment: Payment, operation: RefundCharge, outcome: RefundCharge.Failed, context: Context
) -> Decision[Payment]:
    refund = payment.refund(operation.refund)
    if refund is None or not refund.is_pending or refund.reference or operation.tries != refund.tries:
        return Decision(payment)  # a callback came first
    change = PaymentChange(payment, context)
    failed(change, refund, outcome.code, outcome.text)
    return change.decision()


@payments.answers(RefundCharge.Unresolved)
def refund_unresolved(
    payment: Payment, operation: RefundCharge, outcome: RefundCharge.Unresolved, context: Context
) -> Decision[Payment]:
    refund = payment.refund(operation.refund)
    if refund is None or refund.status is not RefundStatus.PENDING or refund.reference:
        return Decision(payment)
    change = PaymentChange(payment, context)
    change.update_refund(refund, status=RefundStatus.UNRESOLVED, text=outcome.text)
    change.publish(PaymentUnresolved(attempt=refund.attempt, text=f"Refund {refund.id}: {outcome.text}"[:2000]))
    change.check_refund_later(refund, tries=1)
    return change.decision()


@payments.on(RefundReported)
def refund_reported(payment: Payment, report: RefundReported, context: Context) -> Decision[Payment]:
    return apply_refund_report(payment, report, context)


def apply_refund_report(payment: Payment, report: RefundReported, context: Context) -> Decision[Payment]:
    """Of one that we requested, by its id; of one made in the provider's dashboard, by its reference."""
    result = report.result
    by_reference = (refund.id for refund in payment.refunds if refund.reference == result.reference)
    id = report.refund if payment.refund(report.refund) else next(by_reference, "")
    if id:
        return apply_refund_result(payment, id, result, context)
    if result.status == "failed" or result.currency != payment.currency or not result.amount:
        return Decision(payment)
    change = PaymentChange(payment, context)
    if attempt := next((it for it in payment.attempts if it.reference and it.reference == result.charge), None):
        _made_at_provider(change, attempt, result, report.refund)
    elif any(it.is_charging and not it.reference for it in payment.attempts):
        others = (early for early in payment.early_refunds if early.reference != result.reference)
        change.set(early_refunds=(*others, result))
    return change.decision()


def enter_early_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Those of a charge whose reference has just become known."""
    early = change.state.early_refunds
    for result in early:
        if result.charge == attempt.reference:
            change.set(early_refunds=tuple(it for it in change.state.early_refunds if it is not result))
            _made_at_provider(change, attempt, result)


def _made_at_provider(change: PaymentChange, attempt: ChargeAttempt, result: RefundResult, id: str = "") -> None:
    """Enter a refund that we did not request, as far as the provider has not made ours of the same money."""
    context, payment = change.context, change.state
    left, ours = payment.refundable_of(attempt), list[Refund]()
    for refund in reversed([*payment.refunds_of(attempt)]):
        if result.amount > left and refund.is_pending and not refund.reference:
            ours.append(refund)
            left += refund.amount
    if result.amount > left:
        text = f"The provider made {result.reference} of {Money(result.amount, payment.currency)}, more than is left."
        change.publish(PaymentUnresolved(attempt=attempt.extra_of or attempt.number, text=text))
        return
    for refund in ours:
        failed(change, refund, MADE_AT_PROVIDER, f"{result.reference} was made at the provider before.")
    whole = attempt == payment.paying_attempt and result.amount == change.state.refundable_of(attempt)
    refund = Refund(
        id=id or str(hashed_id("refund", context.key, result.reference)),
        attempt=attempt.number,
        amount=result.amount,
        at=context.at,
        shares=shares_of_all(change.state) if whole else (),
        reason=MADE_AT_PROVIDER,
    )
    _enter(change, change.update_refund(refund), result)


def apply_refund_result(
    payment: Payment, id: str, result: RefundResult, context: Context, next_check: int = 1
) -> Decision[Payment]:
    """Repeated results are ignored. `next_check`: which check comes next of a refund that was made, but cannot be
    entered yet."""
    refund = payment.refund(id)
    if refund is None or _is_known(refund, result):
        return Decision(payment)
    change = PaymentChange(payment, context)
    if refund.status is RefundStatus.FAILED and result.status == "failed":
        change.update_refund(refund, reference=result.reference, settled_by="")
    elif refund.amount > _available(payment, refund):
        if next_check == 1:
            text = f"Refund {id} was made after all ({result.reference}), but its amount is reserved for other refunds."
            change.publish(PaymentUnresolved(attempt=refund.attempt, text=text))
        change.check_refund_later(refund, next_check)
    else:
        _enter(change, _compare_settled(change, refund, result) if refund.settled_by else refund, result)
    return change.decision()


def _enter(change: PaymentChange, refund: Refund, result: RefundResult) -> None:
    if result.status == "succeeded":
        if refund.status is not RefundStatus.DONE:
            made(change, refund, result.reference)
    elif result.status == "pending":
        change.update_refund(refund, status=RefundStatus.PENDING, reference=result.reference, code="", text="")
    else:
        returned = refund.status is RefundStatus.DONE
        if returned:
            change.enter_movement("refund_returned", refund.amount, result.reference, refund.attempt)
        text = RETURNED if result.reference else NEVER_MADE
        failed(change, refund, result.code or "failed", text, result.reference, returned=returned)


def settle_refund(change: PaymentChange, refund: Refund, command: SettlePayment) -> None:
    """Staff settle a refund of unknown outcome, or one that they make by hand."""
    refund = change.update_refund(refund, settled_by=change.context.actor)
    if command.outcome == "refunded":
        made(change, refund, command.reference)
    else:
        failed(change, refund, "not_refunded", command.reason)


def fail_pending_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Fail pending refunds of a charge that a correction has replaced."""
    text = f"It was requested of {attempt.reference}, which did not pay this order. Request it again."
    for refund in change.state.refunds_of(attempt):
        if refund.is_pending and not refund.reference:
            failed(change, refund, "other_payment", text)


def _is_known(refund: Refund, result: RefundResult) -> bool:
    """The provider's `failed` is final. What only our own call reported as failed may still turn out done."""
    match refund.status:
        case RefundStatus.FAILED:
            return bool(refund.reference) or result.status == "pending" or not result.reference
        case RefundStatus.DONE if refund.settled_by:
            return result.status == "pending" or not result.reference
        case RefundStatus.DONE:
            return result.status != "failed"
        case _:
            return result.status == "pending" and bool(refund.reference)


def _available(payment: Payment, refund: Refund) -> int:
    """How much can be entered for a refund. The amount of one that was thought failed may be reserved again: then a
    later one will turn out failed, and until it has, this one is checked again."""
    attempt = payment.attempt(refund.attempt)
    if refund.status is not RefundStatus.FAILED or attempt is None:
        return refund.amount
    return payment.refundable_of(attempt)


def _compare_settled(change: PaymentChange, refund: Refund, result: RefundResult) -> Refund:
    """Compare a manual settlement with the provider's result. A refund made under another reference is corrected at
    once."""
    if refund.status is RefundStatus.DONE and (result.status, result.reference) == ("succeeded", refund.reference):
        return change.update_refund(refund, settled_by="")
    settled = f"Settled as {refund.status} by {refund.settled_by}"
    text = f"{settled}, but the provider reports {result.reference} as {result.status}."
    change.publish(PaymentSettlementContradicted(attempt=refund.attempt, refund=refund.id, text=text))
    if refund.status is RefundStatus.DONE and result.reference != refund.reference:
        change.enter_movement("correction", refund.amount, refund.reference, refund.attempt)
        change.enter_movement("refund", -refund.amount, result.reference, refund.attempt)
    return change.update_refund(refund, reference=result.reference if refund.reference else "", settled_by="")
