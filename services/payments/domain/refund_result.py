"""How refunds end: the provider's answers and callbacks. Both go through `apply_refund_result`."""

from __future__ import annotations

from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import RefundCharge, RefundReported, RefundResult
from services.payments.domain.payment import ChargeAttempt, Payment, Refund, RefundStatus, Share, payments
from shared.contracts.payments import (
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSettlementContradicted,
    PaymentSurplusRefunded,
    PaymentUnresolved,
    RefundedLine,
)
from shared.core import Context, Decision

RETURNED = "The bank returned the refund. Refund the customer another way."
NEVER_MADE = "The provider has no such refund. Request it again."


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
    if refund is None or not refund.is_pending or refund.reference:
        return Decision(payment)  # a callback came first
    change = PaymentChange(payment, context)
    _failed(change, refund, outcome.code, outcome.text)
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
    return apply_refund_result(payment, report.refund, report.result, context)


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
            _done(change, refund, result.reference)
    elif result.status == "pending":
        change.update_refund(refund, status=RefundStatus.PENDING, reference=result.reference)
    else:
        if refund.status is RefundStatus.DONE:
            change.enter_movement("refund_returned", refund.amount, result.reference, refund.attempt)
        text = RETURNED if result.reference else NEVER_MADE
        _failed(change, refund, result.code or "failed", text, result.reference)


def settle_refund(change: PaymentChange, refund: Refund, reference: str, text: str) -> None:
    """Staff settle an unresolved refund: made as `reference`, or (empty) not made."""
    refund = change.update_refund(refund, settled_by=change.context.actor)
    if reference:
        _done(change, refund, reference)
    else:
        _failed(change, refund, "not_refunded", text)


def fail_pending_refunds(change: PaymentChange, attempt: ChargeAttempt) -> None:
    """Fail pending refunds of a charge that a correction has replaced."""
    text = f"It was requested of {attempt.reference}, which did not pay this order. Request it again."
    for refund in change.state.refunds_of(attempt):
        if refund.is_pending and not refund.reference:
            _failed(change, refund, "other_payment", text)


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
    if (
        refund.status is not RefundStatus.FAILED
        or payment.paying_attempt is None
        or refund.attempt != payment.paying_attempt.number
    ):
        return refund.amount
    return payment.refundable


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


def _done(change: PaymentChange, refund: Refund, reference: str) -> None:
    before = change.state
    shares = _shares_that_fit(before, refund)
    refund = change.update_refund(
        refund, status=RefundStatus.DONE, reference=reference, shares=shares, code="", text=""
    )
    change.enter_movement("refund", -refund.amount, reference, refund.attempt)
    payment = change.state
    if payment.paying_attempt is None or refund.attempt != payment.paying_attempt.number:
        change.publish(
            PaymentSurplusRefunded(
                refund=refund.id,
                attempt=_told_as(payment, refund),
                amount=refund.amount,
                currency=payment.currency,
                transaction=reference,
            )
        )
        return
    change.publish(
        PaymentRefunded(
            refund=refund.id,
            amount=refund.amount,
            currency=payment.currency,
            captured=payment.paying_attempt.captured,
            refunded=payment.order_refunded,
            items=_lines(before, payment, refund),
            reason=refund.reason,
            transaction=reference,
        )
    )


def _told_as(payment: Payment, refund: Refund) -> int:
    """The attempt that checkout knows."""
    attempt = payment.attempt(refund.attempt)
    return attempt.extra_of or attempt.number if attempt else refund.attempt


def _shares_that_fit(payment: Payment, refund: Refund) -> tuple[Share, ...]:
    """One that was thought failed may be for items that were refunded again since: then it is for none of them."""
    remaining = {share.item: share.amount for share in payment.refundable_shares()}
    late = refund.status is RefundStatus.FAILED
    return () if late and any(share.amount > remaining[share.item] for share in refund.shares) else refund.shares


def _failed(change: PaymentChange, refund: Refund, code: str, text: str, reference: str = "") -> None:
    change.update_refund(refund, status=RefundStatus.FAILED, code=code, text=text, reference=reference)
    change.publish(PaymentRefundFailed(refund=refund.id, amount=refund.amount, code=code, text=text))


def _lines(before: Payment, after: Payment, refund: Refund) -> tuple[RefundedLine, ...]:
    """The items of this refund, and those that became wholly refunded by it."""
    was, now = _whole_items(before), _whole_items(after)
    amounts = {share.item: share.amount for share in refund.shares}
    return tuple(
        RefundedLine(item=item.item, amount=amounts.get(item.item, 0), whole=item.item in now)
        for item in after.items
        if item.item in amounts or item.item in now - was
    )


def _whole_items(payment: Payment) -> set[str]:
    if payment.paying_attempt and payment.order_refunded >= payment.paying_attempt.captured:
        return {item.item for item in payment.items}
    refunded = payment.refunded_shares()
    return {item.item for item in payment.items if 0 < item.amount <= refunded[item.item]}
