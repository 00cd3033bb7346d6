"""What follows from a refund that was made, or was not: ledger, facts, and the next try of what is owed."""

from __future__ import annotations

from datetime import timedelta

from services.payments.domain.change import LONGEST_WAIT, PaymentChange
from services.payments.domain.operations import RefundDue
from services.payments.domain.payment import Payment, Refund, RefundStatus, Share
from services.payments.domain.refund_choices import (
    access_removed,
    newly_whole,
    offer_access_removed,
    put_back,
    whole_items,
)
from shared.contracts.payments import PaymentRefunded, PaymentRefundFailed, PaymentSurplusRefunded, RefundedLine
from shared.core.waits import growing_wait

FIRST_WAIT = timedelta(hours=1)
"""After a refusal, doubled each time, up to a day."""


def made(change: PaymentChange, refund: Refund, reference: str) -> None:
    """Enter a refund that was made, by the provider or, `recorded`, in another way."""
    before = change.state
    shares = shares_that_fit(before, refund)
    refund = change.update_refund(
        refund, status=RefundStatus.DONE, reference=reference, shares=shares, code="", text=""
    )
    change.enter_movement("refund", -refund.amount, reference, refund.attempt, elsewhere=refund.recorded)
    payment = change.state
    if payment.paying_attempt is None or refund.attempt != payment.paying_attempt.number:
        change.publish(
            PaymentSurplusRefunded(
                refund=refund.id,
                attempt=told_as(payment, refund),
                amount=refund.amount,
                currency=payment.currency,
                transaction=reference,
                recorded=refund.recorded,
            )
        )
        return
    whole = newly_whole(before, payment)
    change.publish(
        PaymentRefunded(
            refund=refund.id,
            amount=refund.amount,
            currency=payment.currency,
            captured=payment.paying_attempt.captured,
            refunded=payment.order_refunded,
            items=refunded_lines(before, payment, refund),
            reason=refund.reason,
            transaction=reference,
            recorded=refund.recorded,
            remove_access=access_removed(payment, whole),
            remove_offer_access=offer_access_removed(payment, refund),
            restock=put_back(payment, whole),
        )
    )


def told_as(payment: Payment, refund: Refund) -> int:
    """The attempt that checkout knows."""
    attempt = payment.attempt(refund.attempt)
    return attempt.number_in_checkout if attempt else refund.attempt


def shares_that_fit(payment: Payment, refund: Refund) -> tuple[Share, ...]:
    """One that was thought failed may be for items that were refunded again since: then it is for none of them."""
    remaining = {share.item: share.amount for share in payment.refundable_shares()}
    late = refund.status is RefundStatus.FAILED
    return () if late and any(share.amount > remaining[share.item] for share in refund.shares) else refund.shares


def failed(
    change: PaymentChange,
    refund: Refund,
    code: str,
    text: str,
    reference: str = "",
    *,
    returned: bool = False,
    try_again: bool = True,
) -> None:
    """Enter a refund that was not made, or, `returned`, was made and sent back by the bank. What is owed is tried again
    after hours, later daily; staff are told of the first time only."""
    was_made = refund.status is RefundStatus.DONE
    refund = change.update_refund(refund, status=RefundStatus.FAILED, code=code, text=text, reference=reference)
    if refund.tries == 1 or reference or was_made:
        change.publish(
            PaymentRefundFailed(refund=refund.id, amount=refund.amount, code=code, text=text, returned=returned)
        )
    if try_again:
        try_again_later(change, refund)


def try_again_later(change: PaymentChange, refund: Refund) -> None:
    if waits_to_be_tried_again(change.state, refund):
        retry_at = change.context.at + growing_wait(FIRST_WAIT, LONGEST_WAIT, refund.tries)
        change.update_refund(refund, retry_at=retry_at)
        change.timer(retry_at, RefundDue(refund.id), f"refund_{refund.id}")


def waits_to_be_tried_again(payment: Payment, refund: Refund) -> bool:
    """What the bank sent back waits for staff: it would come back again."""
    attempt = payment.attempt(refund.attempt)
    if attempt is None or refund.status is not RefundStatus.FAILED or refund.reference or refund.recorded:
        return False
    return payment.must_be_refunded(attempt) and payment.refundable_of(attempt) > 0


def refunded_lines(before: Payment, after: Payment, refund: Refund) -> tuple[RefundedLine, ...]:
    """The items of this refund, and those that became wholly refunded by it."""
    whole, new = whole_items(after), newly_whole(before, after)
    amounts = {share.item: share.amount for share in refund.shares}
    return tuple(
        RefundedLine(item=item.item, amount=amounts.get(item.item, 0), whole=item.item in whole)
        for item in after.items
        if item.item in amounts or item.item in new
    )
